"""Forgetting and compaction: what leaves the store, by rule and never by surprise."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from app.memory.context import SessionContext
from app.memory.filters import MemoryFilter, TagFilter
from app.memory.identity import fingerprint
from app.memory.models import Memory, utc_now
from app.memory.ranking import SECONDS_PER_DAY, RecencyWeights, recency
from app.store.records import RecordRepository

log = structlog.get_logger(__name__)
SCAN_PAGE = 500


@dataclass(frozen=True, slots=True)
class ForgetPolicy:
    """Which memories may go (wire contract 3.10); None means that a limit is not used. Ages in days."""

    max_age_days: float | None = None
    max_inactive_days: float | None = None
    budget: int | None = None
    memory_type_allowlist: tuple[str, ...] | None = None
    hard_age_multiplier: float = 12.0


@dataclass(frozen=True, slots=True)
class ForgetReport:
    """What forgetting did, or on a dry run would do."""

    scanned: int
    deleted_ids: tuple[str, ...]
    dry_run: bool


def select_forgettable(
    memories: Sequence[Memory], policy: ForgetPolicy, now: datetime, pinned_ids: Collection[str] = ()
) -> list[Memory]:
    """The memories that the policy gives up, in the order given.

    With both ages set, a memory goes when it is older than `max_age_days × hard_age_multiplier`, or too old and too
    long unused at once; with one, when that one is exceeded. Of the others, `budget` keeps the most recent. Pinned
    memories and types outside the allowlist are never touched. Source: wire contract 3.10.
    """
    allowed = policy.memory_type_allowlist
    eligible = [
        m
        for m in memories
        if not m.pinned and m.id not in pinned_ids and (allowed is None or m.memory_type.value in allowed)
    ]
    gone = [m for m in eligible if _outlived(m, policy, now)]
    if policy.budget is not None:
        left = [m for m in eligible if m not in gone]
        weights = RecencyWeights()
        ranked = sorted(
            left,
            key=lambda m: (
                -recency(m.last_accessed.timestamp(), m.created_at.timestamp(), now.timestamp(), weights),
                m.id,
            ),
        )
        over = {(m.scope, m.id) for m in ranked[policy.budget :]} | {(m.scope, m.id) for m in gone}
        gone = [m for m in eligible if (m.scope, m.id) in over]
    return gone


def _outlived(memory: Memory, policy: ForgetPolicy, now: datetime) -> bool:
    age = (now - memory.created_at).total_seconds() / SECONDS_PER_DAY
    idle = (now - memory.last_accessed).total_seconds() / SECONDS_PER_DAY
    max_age, max_idle = policy.max_age_days, policy.max_inactive_days
    if max_age is not None and max_idle is not None:
        return age > max_age * policy.hard_age_multiplier or (age > max_age and idle > max_idle)
    if max_age is not None:
        return age > max_age
    return max_idle is not None and idle > max_idle


def scope_filter(namespace: str | None, user_id: str | None, session_id: str | None = None) -> MemoryFilter:
    """A filter on the given parts of a scope; None leaves a part open."""
    condition = MemoryFilter()
    for name, value in (("namespace", namespace), ("user_id", user_id), ("session_id", session_id)):
        if value is not None:
            condition = condition.also(name, TagFilter(eq=value))
    return condition


class Lifecycle:
    """Deletes by policy and folds duplicates."""

    def __init__(self, records: RecordRepository, context: SessionContext) -> None:
        self._records = records
        self._context = context

    def forget(
        self,
        condition: MemoryFilter,
        policy: ForgetPolicy,
        *,
        limit: int,
        dry_run: bool,
        pinned_ids: Collection[str] = (),
    ) -> ForgetReport:
        """Apply a policy to the oldest `limit` memories of a scope."""
        scanned = self._oldest(condition, limit)
        gone = select_forgettable(scanned, policy, utc_now(), pinned_ids)
        if not dry_run:
            self._records.delete([(m.scope, m.id) for m in gone])
            self._context.close_gaps(gone)
            for memory in gone:
                log.info("memory forgotten", memory=memory.id, namespace=memory.namespace, reason="policy")
        return ForgetReport(len(scanned), tuple(m.id for m in gone), dry_run)

    def compact(self, condition: MemoryFilter) -> int:
        """Fold memories that say the same into one; how many memories the scope holds afterwards.

        Of several copies a pinned one stays (all pinned ones do), else the one used last.
        """
        groups: dict[tuple[str | None, str | None, str], list[Memory]] = {}
        for memory in self._oldest(condition, None):
            mark = fingerprint(memory)
            if mark:
                groups.setdefault((memory.namespace, memory.user_id, mark), []).append(memory)
        extra: list[Memory] = []
        kept: list[tuple[Memory, str]] = []
        for (_namespace, _user_id, mark), copies in groups.items():
            if len(copies) > 1:
                keep = max(copies, key=lambda m: (m.pinned, m.last_accessed, m.id))
                extra += [m for m in copies if m is not keep and not m.pinned]
                kept.append((keep, mark))
        self._records.delete([(m.scope, m.id) for m in extra])
        self._context.close_gaps(extra)
        # The fact may have been known under a copy's id: from now on it is under that of the kept one.
        self._records.adopt_fingerprints(kept)
        return self._records.count(condition)

    def _oldest(self, condition: MemoryFilter, limit: int | None) -> list[Memory]:
        found: list[Memory] = []
        offset = 0
        while limit is None or offset < limit:
            size = SCAN_PAGE if limit is None else min(SCAN_PAGE, limit - offset)
            page, _total = self._records.list_page(condition, offset=offset, limit=size, oldest_first=True)
            found += [m for m in self._records.read(page) if m is not None]
            offset += len(page)
            if len(page) < size:
                break
        return found
