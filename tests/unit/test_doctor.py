"""The doctor without a platform: what it says when there is none, and about settings that cannot work."""

from __future__ import annotations

import pytest

from app import doctor
from app.config import Settings
from app.container import Container
from app.doctor import Finding, worst


def findings(check, **settings) -> list[Finding]:
    engine = Container(Settings(_env_file=None, redis_url="redis://127.0.0.1:1/0", **settings))
    return list(doctor._guarded("subject", check, engine))


def test_a_redis_that_is_away_is_a_finding_with_its_address_not_a_traceback():
    (found,) = findings(doctor._redis)
    assert found.level == "fail"
    assert "127.0.0.1:1 does not answer" in found.said
    assert found.advice


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"task_time_limit_seconds": 200, "broker_visibility_timeout_seconds": 150}, "is not above"),
        ({"extraction_backend": "llm"}, "without a model"),
        ({"webhook_url": "https://example.org"}, "WEBHOOK_SECRET"),
    ],
)
def test_settings_that_cannot_work_together_are_told(settings, told):
    (found,) = findings(doctor._settings, **settings)
    assert found.level == "fail"
    assert told in found.said
    assert found.advice


def test_a_lease_that_ends_before_the_task_does_is_told():
    (found,) = findings(doctor._settings, promotion_lease_seconds=60)
    assert (found.level, "PROMOTION_LEASE_SECONDS" in found.said) == ("warn", True)


@pytest.mark.parametrize(
    ("seconds", "level", "said"),
    [(0.2, "ok", "ahead of"), (-12.0, "warn", "12.000 s behind"), (60.0, "fail", "60.000 s ahead of")],
)
def test_clocks_that_differ_are_told(seconds, level, said):
    found = doctor._skew("the worker", seconds)
    assert (found.level, said in found.said, bool(found.advice)) == (level, True, level != "ok")


def test_good_settings_are_ok():
    assert [found.level for found in findings(doctor._settings)] == ["ok"]


@pytest.mark.parametrize(
    ("levels", "expected"),
    [(["ok", "ok"], "ok"), (["ok", "warn"], "warn"), (["warn", "fail", "ok"], "fail"), ([], "ok")],
)
def test_the_worst_finding_decides(levels, expected):
    assert worst([Finding(level, "s", "t") for level in levels]) == expected
