"""Erasing one user in one tenant, with a receipt; and carrying a tenant elsewhere and back without loss."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np

from app.memory.errors import BackendUnavailable
from app.memory.identity import new_id
from app.memory.models import Batch, BatchRef, PartitionSummary, Scope, SummaryView, ViewRunRef, utc_now
from app.store.batches import BatchRepository, TaskRepository
from app.store.outbox import Outbox
from app.store.tenants import TenantKeys
from app.store.vector_cache import VectorCache
from app.store.views import ViewRepository

ROUNDS = 5
_COUNTED = {"ltm": "memories", "wm": "sessions", "ltmv": "histories", "wmp": "pending", "wmx": "session_marks",
            "wmf": "folds"}  # fmt: skip
NOT_COVERED = (
    "backups and replicas made before, and anything that the search engine's process memory holds until it is reused",
    "what clients and model endpoints keep",
    "query vectors in the memory of running web processes, until they are restarted or evicted",
    "log lines and task messages: they hold ids, never texts",
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was erased, and how that was checked. The user is named by a hash only."""

    id: str
    erased_at: datetime
    namespace: str | None
    user_sha256: str
    deleted: dict[str, int] = field(default_factory=dict)
    verified: bool = False
    append_only_file: str = ""
    not_covered: tuple[str, ...] = NOT_COVERED


class Erasure:
    """Deletes everything about a user, everywhere it may have spread to."""

    def __init__(
        self,
        tenants: TenantKeys,
        batches: BatchRepository,
        tasks: TaskRepository,
        outbox: Outbox,
        views: ViewRepository,
        query_cache: Callable[[], VectorCache | None],
    ) -> None:
        self._tenants = tenants
        self._batches = batches
        self._tasks = tasks
        self._outbox = outbox
        self._views = views
        self._query_cache = query_cache

    def erase(self, scope: Scope) -> Receipt:
        """Erase one user of one tenant; a scope without a user is the tenant's part that belongs to nobody.

        Work that was begun before is refused by the store from the first step on. Raises BackendUnavailable when new
        data of the user keeps coming in; calling again goes on.
        """
        now = time.time()
        self._tenants.mark_erased(scope, now)
        counts: dict[str, int] = {"work": 0, "batches": 0}
        for _ in range(ROUNDS):
            counts["work"] += self._tenants.forget_work(scope)
            counts["batches"] += self._drop_batches(scope)
            for prefix, number in self._tenants.delete(self._tenants.of_user(scope)).items():
                name = _COUNTED.get(prefix, "other")
                counts[name] = counts.get(name, 0) + number
            if not self._tenants.of_user(scope):
                break
        else:
            raise BackendUnavailable("new data of this user keeps coming in; stop its clients and erase again")
        counts["summaries"] = self._drop_summaries(scope)
        cache = self._query_cache()
        counts["cached_queries"] = cache.clear() if cache is not None else 0
        receipt = Receipt(
            id=new_id(),
            erased_at=utc_now(),
            namespace=scope.namespace,
            user_sha256=hashlib.sha256((scope.user_id or "").encode()).hexdigest(),
            deleted=counts,
            append_only_file=self._tenants.rewrite_append_only_file(),
        )
        receipt = replace(receipt, verified=not self._tenants.of_user(scope))
        kept = {name: getattr(receipt, name) for name in Receipt.__slots__}
        self._tenants.keep_receipt(scope.namespace, kept)
        return receipt

    def _drop_batches(self, scope: Scope) -> int:
        """Take the user's memories out of every batch on its way."""
        touched = 0
        for batch_id in self._tenants.batch_ids(scope.namespace):
            batch = self._batches.load(BatchRef(scope.namespace, batch_id))
            if batch is None:
                continue
            own = batch.session is not None and batch.session.scope == scope
            rows = [row for row, memory in enumerate(batch.records) if memory.scope != scope]
            if not own and len(rows) == len(batch.records):
                continue
            touched += 1
            if own or not rows:
                self._batches.delete(batch.ref)
                self._outbox.finish(batch.ref)
                if batch.task_id:
                    self._tasks.advance(batch.task_id, "failed", utc_now(), error="erased")
            else:
                self._batches.save(_without(batch, rows))
        return touched

    def _drop_summaries(self, scope: Scope) -> int:
        """Delete the summaries that may tell of the user; those that tell of others as well are made anew."""
        dropped = 0
        for view in self._views.all():
            again = False
            for partition in self._views.partitions(view.id):
                if not _may_tell_of(partition, view, scope):
                    continue
                self._views.delete_partition(view.id, partition.group)
                dropped += 1
                again = again or "user_id" not in partition.group
            if again:
                self._outbox.add(ViewRunRef(view.id), time.time())
        return dropped

    # -- export and import ---------------------------------------------------------------------------------------------

    def export(self, namespace: str | None) -> Iterator[bytes]:
        """A tenant as JSON lines, streamed; byte-identical as long as nothing changes."""
        return self._tenants.export_lines(namespace)

    def load(self, lines: Iterable[bytes], namespace: str | None, *, any_namespace: bool = False) -> Iterator[int]:
        """Read an export back in; yields the number of lines done. Raises InvalidRequest."""
        return self._tenants.import_lines(lines, namespace, any_namespace=any_namespace)


def _without(batch: Batch, rows: list[int]) -> Batch:
    vectors = batch.vectors
    if vectors and batch.records:
        matrix = np.frombuffer(vectors, np.float32).reshape(len(batch.records), -1)
        vectors = matrix[rows].tobytes()
    return replace(batch, records=tuple(batch.records[row] for row in rows), vectors=vectors)


def _may_tell_of(partition: PartitionSummary, view: SummaryView, scope: Scope) -> bool:
    for name, value in (("namespace", scope.namespace), ("user_id", scope.user_id)):
        if name in partition.group and partition.group[name] != value:
            return False
        wanted = [f.eq for f in view.condition.tags.get(name, ()) if f.eq is not None]
        if wanted and value not in wanted:
            return False
    return True
