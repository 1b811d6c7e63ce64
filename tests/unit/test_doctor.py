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


def test_good_settings_are_ok():
    assert [found.level for found in findings(doctor._settings)] == ["ok"]


@pytest.mark.parametrize(
    ("levels", "expected"),
    [(["ok", "ok"], "ok"), (["ok", "warn"], "warn"), (["warn", "fail", "ok"], "fail"), ([], "ok")],
)
def test_the_worst_finding_decides(levels, expected):
    assert worst([Finding(level, "s", "t") for level in levels]) == expected
