"""How the engine hands work to the background; `tasks/` implements it with Celery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.memory.models import BatchRef, FoldRef, SessionRef, ViewRunRef
from app.memory.topics.values import Corpus


@dataclass(frozen=True, slots=True)
class QueueState:
    """How many tasks wait in a queue, and since when the oldest of them does (0 when none, or not known)."""

    name: str
    depth: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """A background job: what starts it, how often, and the setting that switches it off."""

    name: str
    task: str
    every_seconds: float
    enabled: bool
    switch: str
    purpose: str


class Background(Protocol):
    """Starts chains. None of the calls may fail because the broker is away: the outbox brings the work back."""

    def promote(self, session: SessionRef, run_id: str) -> None:
        """Start the promotion of a session's pending items."""
        ...

    def process(self, batch: BatchRef) -> None:
        """Start the chain for a stored batch, by its kind."""
        ...

    def queue_depth(self) -> int:
        """Tasks that wait in all queues."""
        ...

    def queues(self) -> Sequence[QueueState]:
        """Each queue's state."""
        ...

    def schedules(self) -> Sequence[Schedule]:
        """What runs by the clock."""
        ...

    def fold(self, work: FoldRef) -> None:
        """Start the folding of a session."""
        ...

    def run_view(self, work: ViewRunRef) -> None:
        """Start a full run of a summary view."""
        ...

    def refit_topics(self, corpus: Corpus, task_id: str, *, fit: bool) -> None:
        """Start a refit of topics, or without `fit` only the rest of its backfill."""
        ...
