"""The engine's `Background`, on Celery."""

from __future__ import annotations

import structlog
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from app.config import get_settings
from app.memory.models import BatchRef, FoldRef, SessionRef, ViewRunRef
from app.memory.topics.values import Corpus
from tasks import pipelines
from tasks.celery_app import app
from tasks.queues import Queue
from tasks.topics import refit

log = structlog.get_logger(__name__)
_AWAY = (OperationalError, RedisError, ConnectionError, TimeoutError, OSError)


class CeleryBackground:
    """Starts chains; when the broker is away it only says so, and the outbox starts them later."""

    def promote(self, session: SessionRef, run_id: str) -> None:
        """Start the promotion of a session."""
        with_llm = get_settings().resolved_extraction_backend == "llm"
        self._send(pipelines.promotion(session, run_id, with_llm=with_llm))

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
        with app.connection_for_read() as connection:
            channel = connection.default_channel
            return sum(int(channel._size(queue.value)) for queue in Queue)

    @staticmethod
    def _send(chain: object) -> None:
        try:
            chain.apply_async()  # type: ignore[attr-defined]
        except _AWAY as error:
            log.warning("broker away; the outbox will start this later", error=str(error))
