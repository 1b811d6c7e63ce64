"""The pipeline's steps: from acknowledged messages to searchable memories.

Each step loads its batch by reference, does one thing, saves, and can be repeated: ids are derived from their
sources, the index refuses second copies, acknowledging twice changes nothing. Returning None ends the chain early.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from typing import Any

import numpy as np
import structlog

from app.config import Settings
from app.counting import count
from app.memory.consolidation import Consolidation
from app.memory.context import SessionContext
from app.memory.dedup.plan import Actor, Outcome, put_change
from app.memory.embedding import Vectors
from app.memory.entity_enrichment import EntityEnrichment
from app.memory.errors import NotFound
from app.memory.extraction.distiller import Distilled, Distiller
from app.memory.extraction.records import extraction_window, given_records, record_of, with_thread
from app.memory.extraction.summary import ThreadSummary, thread_summary_id
from app.memory.identity import fingerprint, new_id
from app.memory.labels import union
from app.memory.models import (
    Batch,
    BatchRef,
    ExtractionWindow,
    Memory,
    Scope,
    Session,
    SessionRef,
    TaskRecord,
    memory_hash,
    utc_now,
)
from app.memory.steps import RUN, TaskRecords
from app.memory.topics.assignment import merged_topics
from app.memory.topics.enrichment import TopicEnrichment
from app.store.batches import BatchRepository, TaskRepository
from app.store.changes import COUNTED, Change, ChangeRepository
from app.store.outbox import Outbox
from app.store.records import RecordRepository
from app.store.sessions import SessionRepository

log = structlog.get_logger(__name__)

WINDOW_MESSAGES = 60
PROMOTION_TASK = "promotion"
UPDATE_TRIES = 10
REFRESHED_TOGETHER = 64
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
        shown: TaskRecords,
        outbox: Outbox,
        distiller: Callable[[], Distiller],
        changes: ChangeRepository,
        consolidation: Consolidation,
        context: SessionContext,
        entities: Callable[[], EntityEnrichment],
        topics: Callable[[], TopicEnrichment],
        settings: Settings,
    ) -> None:
        self._sessions = sessions
        self._records = records
        self._batches = batches
        self._tasks = tasks
        self._shown = shown
        self._outbox = outbox
        self._changes = changes
        self._consolidation = consolidation
        # Factories: a process that never runs a step never loads its model.
        self._distiller = distiller
        self._context = context
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
        task_id = self._sessions.task_of(session, otherwise=run_id)
        self._tasks.begin(task_id or run_id, PROMOTION_TASK, utc_now(), details={RUN: run_id})
        if not pending:
            self._acknowledge_session(session, run_id, (), task_id, {})
            return None
        document = self._sessions.get(session, exact=True)
        taken = pending[:WINDOW_MESSAGES]
        window = extraction_window(session, document, taken, self._settings.grounding_context_messages)
        distilled = Distilled()
        if window is not None and self._settings.enable_discrete_memory_extraction:
            distilled = self._distiller().extract(self._with_previous_summary(window, document))
        batch = Batch(
            ref,
            session=session,
            window=window,
            done=tuple((item.field, item.digest) for item in taken),
            candidates=distilled.candidates,
            records=given_records(
                session, document, taken, with_messages=self._settings.index_all_messages_in_long_term_memory
            ),
            task_id=task_id,
            counts={
                "messages": len(window.new) if window else 0,
                "candidates": len(distilled.candidates),
                **distilled.left_out,
            },
        )
        self._batches.save(batch)
        return ref

    def ground(self, ref: BatchRef) -> BatchRef | None:
        """Make the candidates stand on their own and turn them into records; the rest is left out."""
        batch = self._batches.load(ref)
        if batch is None or batch.session is None:
            return None
        self._keep_lease(batch)
        if batch.window is not None and batch.candidates:
            window = batch.window
            distilled = self._distiller().ground(window, batch.candidates)
            made = [self._distiller().finish(record_of(window, c), window) for c in distilled.candidates]
            made = [self._keeping_its_history(memory) for memory in made]
            given = tuple(m for m in batch.records if m.id not in {new.id for new in made})
            batch = replace(
                batch,
                candidates=(),
                records=(*given, *made),
                counts={**batch.counts, "grounded": len(made), **distilled.left_out},
            )
        if not batch.records:
            self._finish(batch)
            return None
        self._batches.note(batch)
        return ref

    def _with_previous_summary(self, window: ExtractionWindow, document: Session | None) -> ExtractionWindow:
        """For the summary strategy: the thread's last summary, from which the next one goes on."""
        if window.strategy.name != ThreadSummary.name:
            return window
        previous = self._stored(window.session.scope, thread_summary_id(window.session))
        return with_thread(window, document, previous)

    def _keeping_its_history(self, memory: Memory) -> Memory:
        """A record with a fixed id replaces its last version: what users and searches did to that stays."""
        if memory.extraction_strategy != ThreadSummary.name:
            return memory
        known = self._stored(memory.scope, memory.id)
        if known is not None:
            memory = replace(memory, pinned=known.pinned, access_count=known.access_count, created_at=known.created_at)
        return replace(memory, memory_hash=memory_hash(memory))

    def _stored(self, scope: Scope, memory_id: str) -> Memory | None:
        found = self._records.read_with_vectors([(scope, memory_id)])[0]
        return found[0] if found else None

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
            return self._topics().assign(batch.records, _vectors(self._in_space(batch)))

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
        space = self._context.space.field
        self._batches.note(replace(batch, vectors=np.asarray(vectors, np.float32).tobytes(), space=space))
        return ref

    # -- deduplicate → index → acknowledge -----------------------------------------------------------------------------

    def deduplicate(self, ref: BatchRef) -> BatchRef | None:
        """Fold copies inside the batch into one; copies of stored facts are refused by `index`, atomically."""
        batch = self._batches.load(ref)
        if batch is None:
            return None
        if not batch.deduplicate:
            return ref
        batch = self._in_space(batch)
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
        self._batches.note(
            replace(
                batch,
                records=tuple(records),
                vectors=_vectors(batch)[rows].tobytes() if batch.vectors else b"",
                counts={**batch.counts, "folded": folded},
            )
        )
        return ref

    def index(self, ref: BatchRef) -> BatchRef | None:
        """Store the batch's memories in the index; each fact once, what it changes superseded.

        A large create comes without vectors: it is embedded here, each part while the one before it is stored.
        """
        batch, known = self._batches.load(ref), self._batches.load(ref, as_stored=True)
        if batch is None or known is None:
            return None
        if known.counts.get("memories_indexed"):
            return ref  # done before: what was merged meanwhile must not be replaced by what it was made of
        self._keep_lease(batch)
        batch = self._in_space(batch)
        if batch.vectors:
            self._progress(batch, "index", 0)
            outcomes = self._store(batch, batch.records, _vectors(batch))
        else:
            batch, outcomes = self._embed_and_store(batch)
        self._context.settle(batch.records)
        statuses = Counter(str(outcome.status) for outcome in outcomes)
        counts = {**batch.counts, **statuses, "memories_indexed": len(outcomes)}
        if batch.ref.kind == "create":
            # What is enriched from here on is what is stored, under the id that it has there.
            rows = [row for row, outcome in enumerate(outcomes) if outcome.status != "same"]
            stored = tuple(replace(batch.records[row], id=outcomes[row].memory_id) for row in rows)
            batch = replace(batch, records=stored, vectors=_vectors(batch)[rows].tobytes())
        self._batches.save(replace(batch, counts=counts))
        return ref

    def _store(self, batch: Batch, memories: Sequence[Memory], vectors: Vectors) -> list[Outcome]:
        # A large direct create is the client's own word, like a small one.
        actor: Actor = "pipeline" if batch.session is not None else "client"
        return self._consolidation.store(memories, vectors, deduplicate=batch.deduplicate, actor=actor)

    def _embed_and_store(self, batch: Batch) -> tuple[Batch, list[Outcome]]:
        """The batch with its vectors, and what became of its memories.

        The parts are stored in their order, one at a time: what is said later changes what was said before.
        """
        batch = replace(batch, records=tuple(self._context.complete(batch.records)), space=self._context.space.field)
        vectors: list[Vectors] = []
        outcomes: list[Outcome] = []
        with ThreadPoolExecutor(max_workers=1) as aside:
            storing: Future[list[Outcome]] | None = None
            for part in self._parts(batch, "index", self._context.embedded_together):
                vectors.append(self._context.embed(part))
                if storing is not None:
                    outcomes += storing.result()
                storing = aside.submit(copy_context().run, self._store, batch, part, vectors[-1])
            if storing is not None:
                outcomes += storing.result()
        return replace(batch, vectors=b"".join(part.tobytes() for part in vectors)), outcomes

    def refresh(self, ref: BatchRef) -> BatchRef | None:
        """Add the topics and entities found for memories that are indexed already, unless they changed meanwhile."""
        batch = self._batches.load(ref)
        if batch is None:
            return None
        by_scope: dict[Scope, list[Memory]] = defaultdict(list)
        for memory in batch.records:
            by_scope[memory.scope].append(memory)
        for scope, memories in by_scope.items():
            for start in range(0, len(memories), REFRESHED_TOGETHER):
                self._refresh(scope, memories[start : start + REFRESHED_TOGETHER])
        return ref

    def _refresh(self, scope: Scope, memories: Sequence[Memory]) -> None:
        """Two round trips, unless somebody changes one of them meanwhile: then they are read again."""
        for _ in range(UPDATE_TRIES):
            changes: dict[str, Change] = {}
            stored = self._records.read_with_vectors([(scope, memory.id) for memory in memories])
            for memory, row in zip(memories, stored, strict=True):
                if row is None or row[0].text != memory.text or memory.id in changes:
                    continue
                current, revision, _vector = row
                enriched = replace(
                    merged_topics(current, memory),
                    entities=union(current.entities, memory.entities),
                    metadata={**memory.metadata, **current.metadata},
                )
                # A record written again is indexed anew, and until Redis has collected what was there before, its
                # words count twice in how rare they are.
                if enriched != current:
                    changes[memory.id] = put_change(
                        enriched, None, expected_revision=revision, history=False, keeps=COUNTED
                    )
            if not changes or self._changes.apply(scope, list(changes.values()), at=utc_now()) is not None:
                return

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
            self._acknowledge_session(batch.session, run_id, batch.done, batch.task_id, batch.counts)
        else:
            self._outbox.finish(batch.ref)
            if batch.task_id:
                details = {**batch.counts, "step": "done", "memories_done": _size(batch)}
                self._tasks.advance(batch.task_id, "success", utc_now(), details=details)
        self._batches.delete(batch.ref)
        for outcome, number in batch.counts.items():
            if number:
                count("MEMORIES", number, outcome=outcome)
        log.info("batch finished", batch=batch.ref.batch_id, **batch.counts)

    def _acknowledge_session(
        self,
        session: SessionRef,
        run_id: str,
        done: Sequence[tuple[str, str]],
        task_id: str | None,
        counts: Mapping[str, int],
    ) -> None:
        """Mark items as done; the session's task ends when nothing is left, and sums up what its runs did."""
        left = self._sessions.acknowledge(session, done, token=run_id, at=utc_now(), again_in_seconds=0.0)
        if task_id is None:
            return
        task = self._tasks.get(task_id)
        so_far = task.details if task else {}
        sums: dict[str, Any] = {name: so_far.get(name, 0) + count for name, count in counts.items()}
        if not left:
            sums["step"] = "done"
            if "memories_total" in so_far:
                sums["memories_done"] = so_far["memories_total"]
        self._tasks.advance(task_id, "running" if left else "success", utc_now(), details=sums)
        if not left:
            self._sessions.end_task(session, task_id)

    def start(self, session: SessionRef) -> TaskRecord:
        """Promote a session now; the task that shows how far it is (finished at once if nothing waits).

        Raises NotFound for a session that does not exist.
        """
        document = self._sessions.get(session, exact=False)
        session = document.ref if document else session
        waiting = self._sessions.make_due(session, time.time())
        if document is None and not waiting:
            raise NotFound(f"Session {session.session_id} not found")
        task_id = (self._sessions.task_of(session, otherwise=new_id()) if waiting else None) or new_id()
        task = self._shown.get(task_id)
        if task is not None:
            return task
        task = TaskRecord(task_id, PROMOTION_TASK, status="pending" if waiting else "success")
        if not waiting:
            task = replace(task, started_at=task.created_at, completed_at=task.created_at)
        self._tasks.save(task)
        return self._shown.with_steps(task)

    def latest(self, session: SessionRef) -> TaskRecord | None:
        """The task of a session's promotion: the one that is not finished, or else the last one."""
        task_id = self._sessions.last_task(self._sessions.find(session) or session)
        return self._shown.get(task_id) if task_id else None

    def note_failure(self, ref: SessionRef | BatchRef, error: str, *, final: bool = False) -> None:
        """Let the task of a piece of work say what went wrong: `failed` when it is given up, else still `running`."""
        batch = self._batches.load(ref) if isinstance(ref, BatchRef) else None
        session = ref if isinstance(ref, SessionRef) else batch.session if batch else None
        task_id = batch.task_id if batch else None
        if task_id is None and session is not None:
            task_id = self._sessions.task_of(session)
        if task_id is not None:
            self._tasks.advance(task_id, "failed" if final else "running", utc_now(), error=error)

    def _in_space(self, batch: Batch) -> Batch:
        """The batch with vectors of the model in use: it may have been changed since the batch was embedded."""
        space = self._context.space.field
        if not batch.vectors or batch.space == space:
            return batch
        return replace(batch, vectors=self._context.embed(batch.records).tobytes(), space=space)

    def _keep_lease(self, batch: Batch) -> None:
        if batch.session is not None:
            run_id = batch.ref.batch_id.partition("-")[2]
            self._sessions.acquire_lease(batch.session, run_id, self._settings.promotion_lease_seconds)

    def _map(self, ref: BatchRef, change: Callable[[Batch], list[Memory]]) -> BatchRef | None:
        batch = self._batches.load(ref)
        if batch is None:
            return None
        self._batches.note(replace(batch, records=tuple(change(batch))))
        return ref

    def _chunks(self, batch: Batch, step: str) -> Iterator[list[str]]:
        """The texts of a batch in parts, each one call of a model."""
        return ([m.text for m in part] for part in self._parts(batch, step))

    def _parts(self, batch: Batch, step: str, size: int = PROGRESS_TEXTS) -> Iterator[Sequence[Memory]]:
        """The records of a batch in parts; the batch's task shows how far the step is, until the next one begins."""
        for start in range(0, len(batch.records), size):
            self._progress(batch, step, start)
            yield batch.records[start : start + size]

    def _progress(self, batch: Batch, step: str, done: int) -> None:
        if batch.task_id:
            details = {"step": step, "memories_done": done, "memories_total": _size(batch)}
            self._tasks.advance(batch.task_id, "running", utc_now(), details=details)


def _size(batch: Batch) -> int:
    """How many memories the batch came with: what turned out to be known leaves it when it is indexed."""
    return batch.counts.get("memories_indexed") or len(batch.records)


def _vectors(batch: Batch) -> Vectors:
    flat = np.frombuffer(batch.vectors, dtype=np.float32)
    return flat.reshape(len(batch.records), -1) if len(batch.records) else flat.reshape(0, 0)
