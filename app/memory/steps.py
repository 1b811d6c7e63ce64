"""Task records with the steps of their work: what waits, what runs, what is done, and how long each took."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from app.memory.models import StepNote, TaskRecord
from app.store.batches import TERMINAL, TaskRepository
from app.store.steps import StepRepository

# The order of the steps, by the type of their task; `tasks/pipelines.py` sends them so.
STEPS = {
    "promotion": ("extract", "ground", "entities", "embed", "topics", "deduplicate", "index", "acknowledge"),
    "create_memories": ("deduplicate", "index", "entities", "topics", "refresh", "acknowledge"),
}
# The detail of a task record that names the run whose steps it shows; without it that is the task itself.
RUN = "run"


class TaskRecords:
    """Task records as people see them."""

    def __init__(self, tasks: TaskRepository, steps: StepRepository) -> None:
        self._tasks = tasks
        self._steps = steps

    def get(self, task_id: str) -> TaskRecord | None:
        """The task record, or None."""
        task = self._tasks.get(task_id)
        return task and self.with_steps(task)

    def with_steps(self, task: TaskRecord) -> TaskRecord:
        """The record, with `steps` among its details if it is that of a pipeline."""
        if task.type not in STEPS:
            return task
        details = dict(task.details)
        known = self._steps.of(details.pop(RUN, task.id))
        ended = task.status in TERMINAL
        now = time.time()
        steps = [_shown(name, known.get(name), ended=ended, now=now) for name in STEPS[task.type]]
        return replace(task, details={**details, "steps": steps})


def _shown(name: str, note: StepNote | None, *, ended: bool, now: float) -> dict[str, Any]:
    if note is None:
        # Work with nothing to store ends early.
        return {"step": name, "state": "skipped" if ended else "waiting", "started_at": None, "seconds": None}
    seconds = now - note.started if note.seconds is None and not ended else note.seconds
    return {
        "step": name,
        "state": note.state,
        "started_at": datetime.fromtimestamp(note.started, UTC),
        "seconds": None if seconds is None else round(max(0.0, seconds), 3),
    }
