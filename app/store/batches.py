"""Batches on their way through the pipeline, and the task records that users see."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from app.memory.models import Batch, BatchRef, TaskRecord
from app.memory.permissions import Limits
from app.store import codec, keys
from app.store.client import RedisClient, store_errors
from app.store.scripts import script
from app.store.vectors import DEFAULT

BATCH_TTL_SECONDS = 7 * 86_400
TASK_TTL_SECONDS = 7 * 86_400
TERMINAL = ("success", "failed")


@store_errors
class BatchRepository:
    """One hash per batch: `doc` (JSON) and `vectors` (float32 bytes)."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._update = script(client, "batch_update")
        self._thread = threading.local()

    def save(self, batch: Batch, *, also: Callable[[Any], None] | None = None, atomic: bool = False) -> None:
        """Store the batch whole; it expires if nobody finishes it. One round trip.

        `also` may queue more commands for the same round trip, which come after it; `atomic`: all of them or none, for
        which they must be about keys of the same tenant.
        """
        key = keys.batch(batch.ref.namespace, batch.ref.batch_id)
        with self._client.pipeline(transaction=atomic or also is None) as pipeline:
            pipeline.hset(key, mapping={"doc": _doc(batch), "vectors": batch.vectors})
            pipeline.expire(key, BATCH_TTL_SECONDS)
            if also is not None:
                also(pipeline)
            pipeline.execute()
        self._remember(batch, stored=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Meanwhile this thread remembers its batch: what it saved need not be read again, nor stored at each `note`.

        What was noted and not stored by `store_noted` is forgotten at the end.
        """
        self._thread.held = None
        try:
            yield
        finally:
            del self._thread.held

    def note(self, batch: Batch) -> None:
        """Save a state that can be made again: stored at once, or, while batches are held, by `store_noted`."""
        if hasattr(self._thread, "held"):
            self._remember(batch, stored=False)
        else:
            self.save(batch)

    def store_noted(self) -> None:
        """Store what this thread noted, unless the batch was finished or erased meanwhile. At most one round trip."""
        batch, stored = getattr(self._thread, "held", None) or (None, True)
        if batch is None or stored:
            return
        key = keys.batch(batch.ref.namespace, batch.ref.batch_id)
        self._update(keys=[key], args=[_doc(batch), batch.vectors, BATCH_TTL_SECONDS])
        self._remember(batch, stored=True)

    def _remember(self, batch: Batch | None, *, stored: bool) -> None:
        if hasattr(self._thread, "held"):
            self._thread.held = batch and (batch, stored)

    def load(self, ref: BatchRef, *, as_stored: bool = False) -> Batch | None:
        """The batch, or None if it is finished (or expired); `as_stored`: as others see it, not as it is held."""
        held = getattr(self._thread, "held", None)
        if held is not None and held[0].ref == ref and not as_stored:
            batch: Batch = held[0]
            return batch
        return self.load_many([ref])[0]

    def load_many(self, refs: Sequence[BatchRef]) -> list[Batch | None]:
        """Each batch, or None if it is finished (or expired). One round trip."""
        with self._client.pipeline(transaction=False) as pipeline:
            for ref in refs:
                pipeline.hmget(keys.batch(ref.namespace, ref.batch_id), "doc", "vectors")
            return [self._batch_of(ref, *row) for ref, row in zip(refs, pipeline.execute(), strict=True)]

    @staticmethod
    def _batch_of(ref: BatchRef, doc_json: bytes | None, vectors: bytes | None) -> Batch | None:
        if doc_json is None:
            return None
        doc = codec.loads(doc_json)
        return Batch(
            ref=ref,
            session=codec.ref_from_json(doc["session"]) if doc["session"] else None,
            window=codec.window_from_json(doc["window"]) if doc["window"] else None,
            done=tuple((field, digest) for field, digest in doc["done"]),
            candidates=tuple(codec.candidate_from_json(c) for c in doc["candidates"]),
            records=tuple(codec.memory_from_json(m) for m in doc["records"]),
            vectors=vectors or b"",
            space=doc.get("space", DEFAULT.field),
            deduplicate=doc["deduplicate"],
            task_id=doc["task_id"],
            counts=doc["counts"],
        )

    def delete(self, ref: BatchRef) -> None:
        """The batch is finished."""
        self.delete_in(self._client, [ref])
        self._remember(None, stored=True)

    @staticmethod
    def delete_in(pipeline: Any, refs: Sequence[BatchRef]) -> None:
        """Delete batches, as part of a round trip."""
        pipeline.delete(*(keys.batch(ref.namespace, ref.batch_id) for ref in refs))


def _doc(batch: Batch) -> bytes:
    return codec.dumps(
        {
            "session": codec.ref_to_json(batch.session) if batch.session else None,
            "window": codec.window_to_json(batch.window) if batch.window else None,
            "done": batch.done,
            "candidates": [codec.candidate_to_json(c) for c in batch.candidates],
            "records": [codec.memory_to_json(m) for m in batch.records],
            "space": batch.space,
            "deduplicate": batch.deduplicate,
            "task_id": batch.task_id,
            "counts": batch.counts,
        }
    )


@store_errors
class TaskRepository:
    """Task records, kept for seven days after their last change."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    def save(self, task: TaskRecord) -> None:
        """Store a task record whole."""
        stored: dict[str, Any] = {name: getattr(task, name) for name in TaskRecord.__slots__}
        stored["limits"] = task.limits.as_json() if task.limits is not None else None
        self._client.set(keys.task(task.id), codec.dumps(stored), ex=TASK_TTL_SECONDS)

    def begin(self, task_id: str, kind: str, at: datetime, *, details: Mapping[str, Any]) -> None:
        """Note that work has started: a new record, or the one that waits; one that has ended starts over."""
        task = self.get(task_id)
        if task is None or task.status in TERMINAL:
            task = TaskRecord(task_id, kind, created_at=at)
        known = {**task.details, **details}
        self.save(replace(task, status="running", started_at=task.started_at or at, error_message=None, details=known))

    def get(self, task_id: str) -> TaskRecord | None:
        """The task record, or None."""
        raw = self._client.get(keys.task(task_id))
        if raw is None:
            return None
        stored = codec.loads(raw)
        for name in ("created_at", "started_at", "completed_at"):
            stored[name] = codec.to_time(stored[name])
        limits = stored.pop("limits", None)
        return TaskRecord(**stored, limits=Limits.of(limits) if limits is not None else None)

    def advance(
        self,
        task_id: str,
        status: str,
        at: datetime,
        *,
        error: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Move a task to a status; terminal states stay as they are."""
        task = self.get(task_id)
        if task is None or task.status in TERMINAL:
            return
        self.save(
            replace(
                task,
                status=status,
                started_at=task.started_at or at,
                completed_at=at if status in TERMINAL else None,
                error_message=error,
                details={**task.details, **(details or {})},
            )
        )
