"""The pipeline's steps: from acknowledged messages to searchable memories.

Each step loads its batch by reference, does one thing, saves, and can be repeated: ids are derived from their
sources, the index refuses second copies, acknowledging twice changes nothing. Returning None ends the chain early.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import structlog

from app.config import Settings
from app.memory.context import SessionContext, in_order_of_arrival
from app.memory.entity_enrichment import EntityEnrichment
from app.memory.extraction.base import Extractor
from app.memory.identity import extracted_memory_id, fingerprint, memory_hash
from app.memory.labels import union
from app.memory.models import (
    Batch,
    BatchRef,
    Candidate,
    ExtractionWindow,
    Memory,
    MemoryType,
    Message,
    PendingItem,
    Session,
    SessionRef,
    utc_now,
)
from app.memory.topics.assignment import merged_topics
from app.memory.topics.enrichment import TopicEnrichment
from app.store.batches import BatchRepository, TaskRepository
from app.store.outbox import Outbox
from app.store.records import RecordRepository
from app.store.sessions import SessionRepository

log = structlog.get_logger(__name__)

WINDOW_MESSAGES = 60
UPDATE_TRIES = 10
# How many texts one call of a model gets, between two reports of progress.
PROGRESS_TEXTS = 256


class Promotion:
    """One method per step; see `tasks/pipelines.py` for their order."""

    def __init__(
        self,
        *,
        sessions: SessionRepository,
        records: RecordRepository,
        batches: BatchRepository,
        tasks: TaskRepository,
        outbox: Outbox,
        extractor: Callable[[], Extractor],
        context: SessionContext,
        entities: Callable[[], EntityEnrichment],
        topics: Callable[[], TopicEnrichment],
        settings: Settings,
    ) -> None:
        self._sessions = sessions
        self._records = records
        self._batches = batches
        self._tasks = tasks
        self._outbox = outbox
        self._context = context
        # Factories: a process that never runs a step never loads its model.
        self._extractor = extractor
        self._entities = entities
        self._topics = topics
        self._settings = settings

    # -- extract → ground ------------------------------------------------------------------------------------------

    def extract(self, session: SessionRef, run_id: str) -> BatchRef | None:
        """Open a batch with a session's pending items and distil candidates from its messages."""
        ref = BatchRef(session.scope.namespace, f"session-{run_id}")
        if self._batches.load(ref) is not None:
            return ref
        if not self._sessions.acquire_lease(session, run_id, self._settings.promotion_lease_seconds):
            self._sessions.postpone(session, time.time() + 2.0)
            return None
        pending = self._sessions.pending(session)
        if not pending:
            self._acknowledge_session(session, run_id, ())
            return None
        document = self._sessions.get(session, exact=True)
        taken = pending[:WINDOW_MESSAGES]
        window = self._window(session, document, taken)
        candidates: Sequence[Candidate] = ()
        if window is not None and self._settings.enable_discrete_memory_extraction:
            candidates = self._extractor().extract(window)
        batch = Batch(
            ref,
            session=session,
            window=window,
            done=tuple((item.field, item.digest) for item in taken),
            candidates=tuple(candidates),
            records=self._given_records(session, document, taken),
            counts={"messages": len(window.new) if window else 0, "candidates": len(candidates)},
        )
        self._batches.save(batch)
        return ref

    def _window(
        self, session: SessionRef, document: Session | None, taken: Sequence[PendingItem]
    ) -> ExtractionWindow | None:
        new = tuple(item.item for item in taken if isinstance(item.item, Message))
        if not new:
            return None
        ids = {message.id for message in new}
        context: tuple[Message, ...] = ()
        summary, timezone = None, "UTC"
        if document is not None:
            summary = document.context or None
            timezone = str((document.data or {}).get("timezone") or "UTC")
            before = [m for m in document.messages if m.id not in ids and m.created_at <= new[-1].created_at]
            count = self._settings.grounding_context_messages
            context = tuple(before[-count:]) if count else ()
        strategy = document.strategy if document else ExtractionWindow(session, ()).strategy
        return ExtractionWindow(session, new, context, summary, timezone, strategy)

    def _given_records(
        self, session: SessionRef, document: Session | None, taken: Sequence[PendingItem]
    ) -> tuple[Memory, ...]:
        """Structured memories of the session, and its messages as records where the deployment wants those."""
        now = utc_now()
        scope = session.scope
        strategy = document.strategy if document else None
        records = []
        for item in taken:
            given = item.item
            if isinstance(given, Memory):
                given = replace(
                    given,
                    namespace=given.namespace if given.namespace is not None else scope.namespace,
                    user_id=given.user_id if given.user_id is not None else scope.user_id,
                    session_id=given.session_id if given.session_id is not None else session.session_id,
                    extraction_strategy=strategy.name if strategy else given.extraction_strategy,
                    extraction_strategy_config=strategy.config if strategy else given.extraction_strategy_config,
                    discrete_memory_extracted="t",
                )
            elif self._settings.index_all_messages_in_long_term_memory:
                given = Memory(
                    id=given.id,
                    text=f"{given.role}: {given.content}",
                    memory_type=MemoryType.MESSAGE,
                    namespace=scope.namespace,
                    user_id=scope.user_id,
                    session_id=session.session_id,
                    created_at=given.created_at,
                    last_accessed=now,
                    extraction_strategy="message",
                    extracted_from=(given.id,),
                    metadata={"role": given.role},
                )
            else:
                continue
            records.append(replace(given, persisted_at=now, updated_at=now, memory_hash=memory_hash(given)))
        return tuple(in_order_of_arrival(records))

    def ground(self, ref: BatchRef) -> BatchRef | None:
        """Make the candidates stand on their own and turn them into records; the rest is left out."""
        batch = self._batches.load(ref)
        if batch is None or batch.session is None:
            return None
        self._keep_lease(batch)
        grounded: Sequence[Candidate] = ()
        if batch.window is not None and batch.candidates:
            grounded = self._extractor().ground(batch.window, batch.candidates)
        made = tuple(self._record_of(batch.session, batch.window, candidate) for candidate in grounded)
        given = tuple(m for m in batch.records if m.id not in {new.id for new in made})
        batch = replace(
            batch,
            candidates=(),
            records=given + made,
            counts={**batch.counts, "grounded": len(made)},
        )
        if not batch.records:
            self._finish(batch)
            return None
        self._batches.save(batch)
        return ref

    def _record_of(self, session: SessionRef, window: ExtractionWindow | None, candidate: Candidate) -> Memory:
        assert window is not None
        times = {m.id: m.created_at for m in window.new}
        said = candidate.created_at or max(
            (times[i] for i in candidate.extracted_from if i in times), default=utc_now()
        )
        now = utc_now()
        metadata = dict(candidate.metadata)
        if candidate.quote:
            metadata.setdefault("quote", candidate.quote)
        if candidate.confidence is not None:
            metadata.setdefault("confidence", candidate.confidence)
        memory = Memory(
            id=extracted_memory_id(session, candidate.extracted_from, candidate.text, said),
            text=candidate.text,
            memory_type=candidate.memory_type,
            namespace=session.scope.namespace,
            user_id=session.scope.user_id,
            session_id=session.session_id,
            created_at=said,
            last_accessed=now,
            updated_at=now,
            event_date=candidate.event_date,
            persisted_at=now,
            topics=candidate.topics,
            entities=candidate.entities,
            extracted_from=candidate.extracted_from,
            extraction_strategy=window.strategy.name,
            extraction_strategy_config=window.strategy.config,
            metadata=metadata,
        )
        return replace(memory, memory_hash=memory_hash(memory))

    # -- entities → embed → topics -----------------------------------------------------------------------------------

    def entities(self, ref: BatchRef) -> BatchRef | None:
        """Add named entities to the batch's memories; what the client gave stays."""
        if not self._settings.enable_ner:
            return ref

        def add(batch: Batch) -> list[Memory]:
            return self._entities().assign(batch.records, self._chunks(batch, "entities"), batch.session)

        return self._map(ref, add)

    def topics(self, ref: BatchRef) -> BatchRef | None:
        """Add topics to the batch's memories; what the client gave stays."""
        if not self._settings.enable_topic_extraction or not self._settings.top_k_topics:
            return ref

        def add(batch: Batch) -> list[Memory]:
            self._progress(batch, "topics", 0)
            return self._topics().assign(batch.records, _vectors(batch))

        return self._map(ref, add)

    def embed(self, ref: BatchRef) -> BatchRef | None:
        """Fill in the batch's vectors, float32 of shape (n, dim)."""
        batch = self._batches.load(ref)
        if batch is None:
            return None
        self._keep_lease(batch)
        records = self._context.complete(batch.records)
        batch = replace(batch, records=tuple(records))
        parts = [self._context.embed(part) for part in self._parts(batch, "embed")]
        vectors = np.concatenate(parts) if parts else np.empty((0, 0), np.float32)
        self._batches.save(replace(batch, vectors=np.asarray(vectors, np.float32).tobytes()))
        return ref

    # -- deduplicate → index → acknowledge -----------------------------------------------------------------------------

    def deduplicate(self, ref: BatchRef) -> BatchRef | None:
        """Fold copies inside the batch into one; copies of stored facts are refused by `index`, atomically."""
        batch = self._batches.load(ref)
        if batch is None:
            return None
        if not batch.deduplicate:
            return ref
        vectors = _vectors(batch)
        kept: dict[str, int] = {}
        records: list[Memory] = []
        rows: list[int] = []
        for row, memory in enumerate(batch.records):
            mark = fingerprint(memory)
            key = f"{memory.namespace}\x1f{memory.user_id}\x1f{mark}"
            if mark and key in kept:
                first = records[kept[key]]
                records[kept[key]] = replace(
                    first,
                    extracted_from=union(first.extracted_from, memory.extracted_from),
                    topics=union(first.topics, memory.topics),
                    entities=union(first.entities, memory.entities),
                )
                continue
            if mark:
                kept[key] = len(records)
            records.append(memory)
            rows.append(row)
        folded = len(batch.records) - len(records)
        self._batches.save(
            replace(
                batch,
                records=tuple(records),
                vectors=vectors[rows].tobytes(),
                counts={**batch.counts, "folded": folded},
            )
        )
        return ref

    def index(self, ref: BatchRef) -> BatchRef | None:
        """Store the batch's memories in the index; each fact once."""
        batch = self._batches.load(ref)
        if batch is None:
            return None
        self._keep_lease(batch)
        self._progress(batch, "index", 0)
        results = self._records.put_many(
            batch.records,
            _vectors(batch),
            [fingerprint(m) for m in batch.records],
            deduplicate=batch.deduplicate,
        )
        self._context.settle(batch.records)
        statuses = [result.status for result in results]
        counts = {**batch.counts, **{name: statuses.count(name) for name in ("stored", "replaced", "same")}}
        self._batches.save(replace(batch, counts=counts))
        return ref

    def refresh(self, ref: BatchRef) -> BatchRef | None:
        """Add the topics and entities found for memories that are indexed already, unless they changed meanwhile."""
        batch = self._batches.load(ref)
        if batch is None:
            return None
        for memory in batch.records:
            for _ in range(UPDATE_TRIES):
                stored = self._records.read_with_vectors([(memory.scope, memory.id)])[0]
                if stored is None or stored[0].text != memory.text:
                    break
                current, revision, vector = stored
                enriched = replace(
                    merged_topics(current, memory),
                    entities=union(current.entities, memory.entities),
                    metadata={**memory.metadata, **current.metadata},
                )
                mark = fingerprint(enriched)
                if self._records.update(enriched, vector, mark, expected_revision=revision).status != "conflict":
                    break
        return ref

    def acknowledge(self, ref: BatchRef) -> BatchRef | None:
        """Mark the batch's sources as done; only now does the work leave the outbox."""
        batch = self._batches.load(ref)
        if batch is not None:
            self._finish(batch)
        return None

    # ------------------------------------------------------------------------------------------------------------

    def _finish(self, batch: Batch) -> None:
        if batch.session is not None:
            run_id = batch.ref.batch_id.partition("-")[2]
            self._acknowledge_session(batch.session, run_id, batch.done)
        else:
            self._outbox.finish_batch(batch.ref)
        if batch.task_id:
            details = {**batch.counts, "step": "done", "memories_done": len(batch.records)}
            self._tasks.advance(batch.task_id, "success", utc_now(), details=details)
        self._batches.delete(batch.ref)
        log.info("batch finished", batch=batch.ref.batch_id, **batch.counts)

    def _acknowledge_session(self, session: SessionRef, run_id: str, done: Sequence[tuple[str, str]]) -> None:
        self._sessions.acknowledge(session, done, token=run_id, at=utc_now(), again_in_seconds=0.0)

    def _keep_lease(self, batch: Batch) -> None:
        if batch.session is not None:
            run_id = batch.ref.batch_id.partition("-")[2]
            self._sessions.acquire_lease(batch.session, run_id, self._settings.promotion_lease_seconds)

    def _map(self, ref: BatchRef, change: Callable[[Batch], list[Memory]]) -> BatchRef | None:
        batch = self._batches.load(ref)
        if batch is None:
            return None
        self._batches.save(replace(batch, records=tuple(change(batch))))
        return ref

    def _chunks(self, batch: Batch, step: str) -> Iterator[list[str]]:
        """The texts of a batch in parts, each one call of a model."""
        return ([m.text for m in part] for part in self._parts(batch, step))

    def _parts(self, batch: Batch, step: str) -> Iterator[Sequence[Memory]]:
        """The records of a batch in parts; the batch's task shows how far the step is."""
        total = len(batch.records)
        for start in range(0, total, PROGRESS_TEXTS):
            self._progress(batch, step, start)
            yield batch.records[start : start + PROGRESS_TEXTS]
        self._progress(batch, step, total)

    def _progress(self, batch: Batch, step: str, done: int) -> None:
        if batch.task_id:
            details = {"step": step, "memories_done": done, "memories_total": len(batch.records)}
            self._tasks.advance(batch.task_id, "running", utc_now(), details=details)


def _vectors(batch: Batch) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    flat = np.frombuffer(batch.vectors, dtype=np.float32)
    return flat.reshape(len(batch.records), -1) if len(batch.records) else flat.reshape(0, 0)
