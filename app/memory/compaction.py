"""Compaction: stored memories that say the same become one, tenant by tenant, in slices that can be resumed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import groupby

import structlog

from app.config import Settings
from app.memory.consolidation import NEIGHBOURS, Consolidation
from app.memory.dedup.fold import Folder, Folding
from app.memory.filters import MemoryFilter
from app.memory.identity import new_id
from app.memory.lifecycle import tenant_filter
from app.memory.models import Scope, TaskRecord, utc_now
from app.store.batches import TaskRepository
from app.store.changes import Change, ChangeRepository
from app.store.compaction import CompactionRepository, Progress
from app.store.neighbours import NeighbourRepository
from app.store.records import RecordRepository, RecordRow

log = structlog.get_logger(__name__)
PAGE = 100
MOST_AT_ONCE = 6_400
SKEW_SECONDS = 30.0
TRIES = 5


class Compaction:
    """Folds duplicates and retires what was updated; the same rules as for incoming memories."""

    def __init__(
        self,
        records: RecordRepository,
        neighbours: NeighbourRepository,
        changes: ChangeRepository,
        progress: CompactionRepository,
        tasks: TaskRepository,
        consolidation: Consolidation,
        settings: Settings,
    ) -> None:
        self._records = records
        self._neighbours = neighbours
        self._changes = changes
        self._progress = progress
        self._tasks = tasks
        self._consolidation = consolidation
        self._settings = settings

    def compact(self, condition: MemoryFilter) -> int:
        """Compact everything that matches now; how many memories match afterwards."""
        self._run(condition, Progress(), lambda _progress: False)
        return self._records.count(condition)

    def due(self, namespace: str | None) -> bool:
        """Whether a tenant has memories that no finished run has looked at."""
        state = self._progress.load(namespace)
        if state is not None and not state.finished:
            return True
        since = math.nextafter(state.cursor, math.inf) if state else 0.0
        return self._records.count_written_since(tenant_filter(namespace), since) > 0

    def slice(self, namespace: str | None, token: str, *, seconds: float) -> bool:
        """Work on a tenant for about so long; whether nothing is left to do (or another worker is at it).

        Only memories written since the last finished run are looked at: all others were compared already. Progress
        is stored after every page, so a worker that dies costs one page; its lease runs out by itself.
        """
        if not self._progress.acquire(namespace, token):
            return True
        try:
            return self._slice(namespace, token, seconds)
        finally:
            self._progress.release(namespace, token)

    def _slice(self, namespace: str | None, token: str, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        condition = tenant_filter(namespace)
        state = self._progress.load(namespace)
        if state is None or state.finished:
            # Clocks differ: what another process wrote a little earlier by its own clock is looked at again.
            since = max(0.0, state.cursor - SKEW_SECONDS) if state else 0.0
            state = Progress(task_id=new_id(), cursor=since)
            total = self._records.count_written_since(condition, since)
            state = replace(state, total=total)
            self._tasks.save(TaskRecord(id=state.task_id, type="compaction", details=_details(namespace, state)))
            self._progress.save(namespace, state)

        def pause(progress: Progress) -> bool:
            self._progress.save(namespace, progress)
            self._tasks.advance(progress.task_id, "running", utc_now(), details=_details(namespace, progress))
            return not self._progress.acquire(namespace, token) or time.monotonic() >= deadline

        state, done = self._run(condition, state, pause)
        if done:
            self._drop_superseded(condition)
            state = replace(state, finished=True)
            self._progress.save(namespace, state)
            self._tasks.advance(state.task_id, "success", utc_now(), details=_details(namespace, state))
            if state.folded or state.superseded:
                log.info("tenant compacted", namespace=namespace, folded=state.folded, superseded=state.superseded)
        return done

    # ------------------------------------------------------------------------------------------------------------

    def _run(
        self, condition: MemoryFilter, state: Progress, pause: Callable[[Progress], bool]
    ) -> tuple[Progress, bool]:
        """Go through all memories in the order in which they were written, until nothing new comes.

        A memory that was folded into counts as written again, so it is looked at once more: the run ends when there
        is nothing left to fold.
        """
        limit = PAGE
        while True:
            rows = self._records.written_since(condition, state.cursor, limit=limit)
            if len(rows) == limit < MOST_AT_ONCE and rows[0].written == rows[-1].written:
                limit *= 2  # All of one instant: the cursor would not move.
                continue
            before = state.folded + state.superseded
            # One that waits for its vector (see `reembedding`) is left to the next run, which looks back a little.
            whole = sorted((r for r in rows if len(r.vector)), key=_scope_key)
            for scope, group in groupby(whole, key=lambda r: r.memory.scope):
                folding = self._fold(scope, list(group))
                state = replace(
                    state, folded=state.folded + folding.folded, superseded=state.superseded + folding.superseded
                )
            cursor = rows[-1].written if rows else state.cursor
            if rows and cursor == state.cursor:
                cursor = math.nextafter(cursor, math.inf)
            state = replace(state, cursor=cursor, seen=state.seen + len(rows))
            if len(rows) < limit and state.folded + state.superseded == before:
                return state, True
            limit = PAGE
            if pause(state):
                return state, False

    def _fold(self, scope: Scope, rows: Sequence[RecordRow]) -> Folding:
        """Fold one scope's rows; None of it, if others keep changing them: the next run sees them again."""
        semantic = self._settings.compact_semantic_duplicates
        left = list(rows)
        for _ in range(TRIES):
            probes = [self._consolidation.probe(row.memory, row.vector) for row in left]
            around = self._neighbours.around(scope, probes, k=NEIGHBOURS if semantic else 0)
            opinions = self._consolidation.opinions(probes, around.neighbours) if semantic else None
            folder = Folder(self._consolidation.radii, semantic=semantic, at=utc_now(), second_opinion=opinions)
            folding = folder.plan([(r.memory, r.revision, r.vector) for r in left], around.neighbours)
            if not folding.changes:
                return folding
            if self._changes.apply(scope, folding.changes, at=utc_now(), version=around.version) is not None:
                return folding
            again = self._records.read_with_vectors([(scope, row.memory.id) for row in left])
            left = [
                RecordRow(*found, 0.0)
                for found in again
                if found is not None and found[0].valid_to is None and len(found[2])
            ]
        return Folding((), 0, 0)

    def _drop_superseded(self, condition: MemoryFilter) -> None:
        """Let go of facts that were superseded longer ago than the deployment keeps them."""
        days = self._settings.superseded_retention_days
        if not days:
            return
        now = utc_now()
        for memory in self._records.superseded_before(condition, now - timedelta(days=days)):
            event = {"kind": "forgotten", "reason": f"superseded more than {days:g} days ago", "actor": "compaction",
                     "at": now, "ids": [memory.id]}  # fmt: skip
            self._changes.apply(memory.scope, [Change(memory.scope, memory.id, event=event, history=False)], at=now)


def _scope_key(row: RecordRow) -> tuple[bool, str, bool, str]:
    scope = row.memory.scope
    return (scope.namespace is None, scope.namespace or "", scope.user_id is None, scope.user_id or "")


def _details(namespace: str | None, state: Progress) -> dict[str, object]:
    return {
        "namespace": namespace,
        "memories_done": state.seen,
        "memories_total": max(state.total, state.seen),
        "folded": state.folded,
        "superseded": state.superseded,
    }
