"""Notes how far a run of the pipeline is, for its task record."""

from __future__ import annotations

import time
from contextlib import suppress
from types import TracebackType

from app.memory.errors import BackendUnavailable
from app.memory.models import BatchRef, StepNote, Work
from app.store.steps import StepRepository


def run_of(work: Work, run_id: str | None) -> str | None:
    """The run whose steps are noted; None for work that has no task record with steps."""
    if run_id is not None:
        return run_id
    if isinstance(work, BatchRef) and work.kind in ("session", "create"):
        return work.batch_id.partition("-")[2]
    return None


class Progress:
    """Notes each step of a segment: one write where a step ends and the next begins. Its troubles stop no step."""

    def __init__(self, steps: StepRepository, run: str | None) -> None:
        self._steps = steps
        self._run = run
        self._name = ""
        self._started = 0.0

    def __enter__(self) -> Progress:
        return self

    def begin(self, name: str) -> None:
        """A step begins; the one before it is done."""
        now = time.time()
        before = self._ended("done", now) if self._name else {}
        self._name, self._started = name, now
        self._note({**before, name: StepNote("running", now)})

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._name:
            self._note(self._ended("done" if kind is None else "failed", time.time()))

    def _ended(self, state: str, now: float) -> dict[str, StepNote]:
        return {self._name: StepNote(state, self._started, now - self._started)}

    def _note(self, notes: dict[str, StepNote]) -> None:
        if self._run is not None:
            with suppress(BackendUnavailable):
                self._steps.note(self._run, notes)
