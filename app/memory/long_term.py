"""Long-term memory: records that clients create, read, change and delete by id."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.config import Settings
from app.counting import count
from app.memory.background import Background
from app.memory.consolidation import Consolidation
from app.memory.context import SessionContext, in_order_of_arrival
from app.memory.dedup.plan import Outcome, put_change, tombstone
from app.memory.enrichment import Enrichments
from app.memory.errors import BackendUnavailable, Conflict, InvalidRequest, NotFound
from app.memory.identity import new_id
from app.memory.indexing_text import embedded_texts
from app.memory.models import Batch, BatchRef, Memory, Scope, TaskRecord, memory_hash, utc_now
from app.memory.topics.assignment import given_by_client
from app.store.batches import BatchRepository, TaskRepository
from app.store.changes import COUNTED, Change, ChangeRepository
from app.store.outbox import Outbox
from app.store.records import RecordRepository

UPDATABLE = (
    "text", "topics", "entities", "memory_type", "namespace", "user_id", "session_id", "event_date", "pinned",
)  # fmt: skip
UPDATE_TRIES = 10


@dataclass(frozen=True, slots=True)
class CreateOutcome:
    """What a create did: per record its result when indexed already, else the id of the task that does it."""

    results: tuple[Outcome, ...] = ()
    task_id: str | None = None


class LongTermMemory:
    """Records by id. Searching is `MemorySearch`'s part."""

    def __init__(
        self,
        records: RecordRepository,
        batches: BatchRepository,
        tasks: TaskRepository,
        outbox: Outbox,
        changes: ChangeRepository,
        consolidation: Consolidation,
        context: SessionContext,
        enrichments: Enrichments,
        background: Background,
        settings: Settings,
    ) -> None:
        self._records = records
        self._batches = batches
        self._tasks = tasks
        self._outbox = outbox
        self._changes = changes
        self._consolidation = consolidation
        self._context = context
        self._enrichments = enrichments
        self._background = background
        self._settings = settings

    def create(self, memories: Sequence[Memory], *, deduplicate: bool) -> CreateOutcome:
        """Store memories; small batches are searchable when this returns, large ones become a task.

        Small: one embedding call, two round trips (look around, apply), then enrichment in the background. Large: the
        batch is stored with an outbox mark, so it survives whoever dies, and the chain is started.
        """
        if not memories:
            return CreateOutcome()
        now = utc_now()
        complete = in_order_of_arrival(
            [replace(m, persisted_at=now, updated_at=now, memory_hash=memory_hash(m)) for m in memories]
        )
        if len(complete) > self._settings.create_inline_limit:
            return CreateOutcome(task_id=self._create_later(complete, deduplicate))
        complete = self._context.complete(complete)
        vectors = self._context.embed(complete)
        results = self._consolidation.store(complete, vectors, deduplicate=deduplicate, actor="client")
        self._context.settle(complete)
        for outcome in results:
            count("MEMORIES", outcome=outcome.status)
        rows = [row for row, outcome in enumerate(results) if outcome.status != "same"]
        # What was merged is enriched under the id that it has now.
        self._enrichments.leave([replace(complete[row], id=results[row].memory_id) for row in rows], vectors[rows])
        return CreateOutcome(results=tuple(results))

    def _create_later(self, memories: list[Memory], deduplicate: bool) -> str:
        task = TaskRecord(id=new_id(), type="create_memories", details={"memories_total": len(memories)})
        ref = BatchRef(memories[0].namespace, f"create-{task.id}")
        self._tasks.save(task)
        self._batches.save(Batch(ref, records=tuple(memories), deduplicate=deduplicate, task_id=task.id))
        self._outbox.add(ref, time.time() + self._settings.promotion_lease_seconds)
        self._background.process(ref)
        return task.id

    def get(self, memory_id: str, *, namespace: str | None = None, user_id: str | None = None) -> Memory:
        """A memory by id; None leaves that part of the scope open. Raises NotFound, Conflict if several have it."""
        return self._one(memory_id, namespace, user_id)[0]

    def _one(self, memory_id: str, namespace: str | None, user_id: str | None) -> tuple[Memory, int]:
        found = self._records.find([memory_id], namespace=namespace, user_id=user_id)[0]
        if not found:
            raise NotFound(f"Memory with ID {memory_id} not found")
        if len(found) > 1:
            raise Conflict(
                f"Several tenants have a memory with ID {memory_id}; say which with the query parameters "
                "namespace and user_id"
            )
        return found[0]

    def update(
        self, memory_id: str, changes: Mapping[str, Any], *, namespace: str | None = None, user_id: str | None = None
    ) -> Memory:
        """Change fields of a memory (names in UPDATABLE); it is re-embedded and re-indexed when this returns.

        Raises NotFound, InvalidRequest when there is nothing to change, Conflict when the id is taken in the scope
        that the memory would move to.
        """
        if not changes:
            raise InvalidRequest("No fields provided for update")
        for _ in range(UPDATE_TRIES):
            current, _revision = self._one(memory_id, namespace, user_id)
            stored = self._records.read_with_vectors([(current.scope, current.id)])[0]
            if stored is None:
                continue
            current, revision, vector = stored
            changed = replace(current, **changes, updated_at=utc_now())
            changed = replace(changed, memory_hash=memory_hash(changed))
            if "topics" in changes:
                changed = given_by_client(changed)
            changed = self._context.complete([changed])[0]
            if embedded_texts(changed) != embedded_texts(current):
                vector = self._context.embed([changed])[0]
            moved = changed.scope != current.scope
            if moved and self._records.read_with_vectors([(changed.scope, current.id)])[0]:
                raise Conflict(f"There is a memory with ID {current.id} in the new scope already")
            event = {"kind": "edited", "reason": "changed by a client: " + ", ".join(sorted(changes)),
                     "actor": "client", "at": changed.updated_at, "ids": [current.id]}  # fmt: skip
            change = put_change(
                changed,
                vector,
                expected_revision=0 if moved else revision,
                keeps=frozenset() if moved else COUNTED,
                event=event,
            )
            if self._changes.apply(changed.scope, [change], at=changed.updated_at) is None:
                continue
            if moved:
                # New place first, old place last: between the two the memory is in both, never in none.
                gone = Change(current.scope, current.id, history=False, event={**event, "kind": "moved"})
                self._changes.apply(current.scope, [gone], at=changed.updated_at)
            self._context.settle([changed])
            self._context.close_gaps([current])
            return changed
        raise BackendUnavailable(f"Memory {memory_id} is being changed by others all the time; try again")

    def delete(self, memory_ids: Sequence[str], *, namespace: str | None = None, user_id: str | None = None) -> int:
        """Delete memories by id; unknown ids are ignored. How many were deleted.

        Raises Conflict, deleting nothing, when an id exists in several tenants and the scope does not say which.
        """
        unique = list(dict.fromkeys(memory_ids))
        if not unique:
            return 0
        found = self._records.find(unique, namespace=namespace, user_id=user_id)
        ambiguous = [memory_id for memory_id, rows in zip(unique, found, strict=True) if len(rows) > 1]
        if ambiguous:
            raise Conflict(
                f"Several tenants have memories with these IDs: {', '.join(ambiguous)}; say which with the query "
                "parameters namespace and user_id"
            )
        return self._delete({(rows[0][0].scope, rows[0][0].id) for rows in found if rows})

    def _delete(self, targets: set[tuple[Scope, str]]) -> int:
        """Delete memories and remember that the user wanted that: extraction does not bring them back."""
        deleted = 0
        now = utc_now()
        ordered = sorted(targets, key=lambda t: (t[0].namespace or "", t[0].user_id or "", t[1]))
        stored = self._records.read_with_vectors(ordered)
        by_scope: dict[Scope, list[Change]] = {}
        for (scope, memory_id), row in zip(ordered, stored, strict=True):
            if row is not None:
                event = {"kind": "deleted", "reason": "asked for by a client", "actor": "client", "at": now,
                         "ids": [memory_id]}  # fmt: skip
                grave = tombstone(row[0], row[2], now)
                by_scope.setdefault(scope, []).append(Change(scope, memory_id, event=event, tombstone=grave))
        for scope, changes in by_scope.items():
            applied = self._changes.apply(scope, changes, at=now)
            deleted += sum(status == "dropped" for status, _id in applied.outcomes) if applied else 0
        self._context.close_gaps([row[0] for row in stored if row is not None])
        return deleted
