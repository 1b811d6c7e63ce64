"""The soak run tells a process that grows from one that took a step when something happened to it."""

from __future__ import annotations

import pytest

from tests.load.soak import trend

SECONDS = range(0, 900, 2)


@pytest.mark.parametrize(
    ("megabytes", "grows"),
    [
        (lambda at: 500.0, False),
        (lambda at: 500.0 + (40.0 if at > 610 else 0.0), False),
        (lambda at: 300.0 + min(200.0, at), False),
        (lambda at: 500.0 + at / 60 * 2.0, False),
        (lambda at: 500.0 + at / 60 * 4.0, True),
        (lambda at: 500.0 + max(0, at - 700) / 60 * 6.0, True),
    ],
    ids=["flat", "a step", "warming up", "4 % in ten minutes", "8 % in ten minutes", "later"],
)
def test_growth_is_what_goes_on_in_the_end(megabytes, grows):
    found = trend("worker", [(float(at), megabytes(at)) for at in SECONDS], undisturbed=605.0)
    assert (found.judged, found.grows) == (True, grows)


def test_a_short_life_is_not_judged():
    assert not trend("worker", [(float(at), 100.0 + at) for at in range(700, 880, 2)], undisturbed=605.0).judged
