"""The soak run's smoke test: a minute of it. The real run is `python -m tests.load.soak --minutes 15`."""

from __future__ import annotations

import pytest

from tests.load.soak import Soak, report
from tests.support.stack import private_stack


@pytest.mark.load
@pytest.mark.timeout(400)
def test_a_minute_of_mixed_load_with_a_worker_kill_and_a_redis_restart():
    with private_stack() as stack:
        soak = Soak(stack, seconds=60, rate=20)
        soak.run()
        print(report(soak))
        assert not soak.found.broken
