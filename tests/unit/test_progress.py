"""Noting how far a run is: one round trip per change of step, and never a reason for a step to fail."""

from __future__ import annotations

import pytest
import redis

from app.memory.errors import BackendUnavailable
from app.memory.models import StepNote
from app.store.steps import StepRepository
from tasks.progress import Progress


@pytest.fixture
def away() -> StepRepository:
    """Steps kept in a Redis that is not there."""
    return StepRepository(redis.Redis(host="127.0.0.1", port=1, socket_connect_timeout=0.5, retry=None))


def failing(progress: Progress) -> None:
    with progress:
        progress.begin("extract")
        raise ZeroDivisionError("of the step")


def test_steps_run_while_redis_is_away(away: StepRepository) -> None:
    with pytest.raises(BackendUnavailable):
        away.note("run", {"embed": StepNote("running", 1.0)})
    ran = []
    with Progress(away, "run") as progress:
        for name in ("extract", "embed"):
            progress.begin(name)
            ran.append(name)
    assert ran == ["extract", "embed"]


def test_an_error_of_a_step_is_not_hidden_by_a_redis_that_is_away(away: StepRepository) -> None:
    with pytest.raises(ZeroDivisionError, match="of the step"):
        failing(Progress(away, "run"))
