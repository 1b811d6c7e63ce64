"""The engine's `Background`, on Celery."""

from __future__ import annotations

import json
import time
from typing import Any

import structlog

from app.config import get_settings
from app.memory.background import QueueState, Schedule
from app.memory.errors import BackendUnavailable
from app.memory.models import BatchRef, FoldRef, SessionRef, ViewRunRef
from app.memory.topics.values import Corpus
from tasks import pipelines, schedule
from tasks.celery_app import app
from tasks.observing import SENT_AT
from tasks.queues import BROKER_AWAY, Queue, depth
from tasks.topics import refit

log = structlog.get_logger(__name__)


def _state(channel: Any, queue: str, *, with_age: bool) -> QueueState:
    waiting = depth(channel, queue)
    oldest = 0.0
    if with_age and waiting and hasattr(channel, "client"):
        # New messages are pushed at the left end, workers take from the right one.
        raw = channel.client.lindex(queue, -1)
        sent_at = json.loads(raw).get("headers", {}).get(SENT_AT) if raw else None
        oldest = max(0.0, time.time() - sent_at) if sent_at else 0.0
    return QueueState(queue, waiting, oldest)


class CeleryBackground:
    """Starts chains; when the broker is away it only says so, and the outbox starts them later."""

    def promote(self, session: SessionRef, run_id: str) -> None:
        """Start the promotion of a session."""
        settings = get_settings()
        with_llm = settings.resolved_extraction_backend == "llm"
        self._send(pipelines.promotion(session, run_id, with_llm=with_llm, judged_by_llm=settings.llm_configured))

    def process(self, batch: BatchRef) -> None:
        """Start the chain for a stored batch."""
        self._send(pipelines.enrich(batch) if batch.kind == "enrich" else pipelines.create(batch))

    def fold(self, work: FoldRef) -> None:
        """Start the folding of a session."""
        with_llm = get_settings().resolved_summarization_backend == "llm"
        self._send(pipelines.folding(work, with_llm=with_llm))

    def run_view(self, work: ViewRunRef) -> None:
        """Start a full run of a summary view."""
        self._send(pipelines.view_run(work))

    def refit_topics(self, corpus: Corpus, task_id: str, *, fit: bool) -> None:
        """Start a refit of topics."""
        self._send(refit.s(corpus.namespace, corpus.shared, task_id, fit))

    def queue_depth(self) -> int:
        """Tasks that wait in all queues."""
        return sum(state.depth for state in self._states(with_age=False))

    def queues(self) -> list[QueueState]:
        """Each queue's depth and age; the age only where the broker is Redis or Valkey."""
        return self._states(with_age=True)

    def schedules(self) -> tuple[Schedule, ...]:
        """What beat starts."""
        return schedule.schedules(get_settings())

    @staticmethod
    def _states(*, with_age: bool) -> list[QueueState]:
        try:
            # From the pool that tasks are sent through: the dispatcher asks every second.
            with app.pool.acquire(block=True) as connection:
                channel = connection.default_channel
                return [_state(channel, queue.value, with_age=with_age) for queue in Queue]
        except BROKER_AWAY as error:
            raise BackendUnavailable(f"the broker is not available: {type(error).__name__}") from error

    @staticmethod
    def _send(chain: object) -> None:
        try:
            chain.apply_async()  # type: ignore[attr-defined]
        except BROKER_AWAY as error:
            log.warning("broker away; the outbox will start this later", error=str(error))
