"""Forgetting: what leaves the store, by rule and never by surprise."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from app.memory.context import SessionContext
from app.memory.filters import MemoryFilter, TagFilter
from app.memory.models import Memory, utc_now
from app.memory.ranking import SECONDS_PER_DAY, RecencyWeights, recency
from app.store.changes import Change, ChangeRepository
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
    """The memories that the policy gives up, in the order given; see `forgettable` for the rules."""
    return [memory for memory, _reason in forgettable(memories, policy, now, pinned_ids)]


def forgettable(
    memories: Sequence[Memory], policy: ForgetPolicy, now: datetime, pinned_ids: Collection[str] = ()
) -> list[tuple[Memory, str]]:
    """The memories that the policy gives up, each with the reason, in the order given.

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
    reasons = {(m.scope, m.id): reason for m in eligible if (reason := _outlived(m, policy, now))}
    if policy.budget is not None:
        weights = RecencyWeights()
        ranked = sorted(
            (m for m in eligible if (m.scope, m.id) not in reasons),
            key=lambda m: (
                -recency(m.last_accessed.timestamp(), m.created_at.timestamp(), now.timestamp(), weights),
                m.id,
            ),
        )
        reasons |= {(m.scope, m.id): f"beyond the budget of {policy.budget}" for m in ranked[policy.budget :]}
    return [(m, reasons[m.scope, m.id]) for m in eligible if (m.scope, m.id) in reasons]


def _outlived(memory: Memory, policy: ForgetPolicy, now: datetime) -> str | None:
    age = (now - memory.created_at).total_seconds() / SECONDS_PER_DAY
    idle = (now - memory.last_accessed).total_seconds() / SECONDS_PER_DAY
    max_age, max_idle = policy.max_age_days, policy.max_inactive_days
    if max_age is not None and max_idle is not None:
        if age > max_age * policy.hard_age_multiplier:
            return f"older than {max_age * policy.hard_age_multiplier:g} days"
        if age > max_age and idle > max_idle:
            return f"older than {max_age:g} days and unused for {max_idle:g}"
        return None
    if max_age is not None and age > max_age:
        return f"older than {max_age:g} days"
    if max_idle is not None and idle > max_idle:
        return f"unused for {max_idle:g} days"
    return None


def scope_filter(namespace: str | None, user_id: str | None, session_id: str | None = None) -> MemoryFilter:
    """A filter on the given parts of a scope; None leaves a part open."""
    condition = MemoryFilter()
    for name, value in (("namespace", namespace), ("user_id", user_id), ("session_id", session_id)):
        if value is not None:
            condition = condition.also(name, TagFilter(eq=value))
    return condition


def tenant_filter(namespace: str | None) -> MemoryFilter:
    """A filter on one tenant; None is the tenant without a name."""
    return MemoryFilter().also("namespace", TagFilter(eq=namespace or ""))


class Lifecycle:
    """Forgets by policy."""

    def __init__(self, records: RecordRepository, changes: ChangeRepository, context: SessionContext) -> None:
        self._records = records
        self._changes = changes
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
        """Apply a policy to the oldest `limit` memories of a scope; each deletion leaves an entry in the change log.

        A memory that was changed (pinned, perhaps) since it was read stays.
        """
        scanned = self._oldest(condition, limit)
        now = utc_now()
        revisions = {(m.scope, m.id): revision for m, revision in scanned}
        gone = forgettable([m for m, _revision in scanned], policy, now, pinned_ids)
        deleted = [m for m, _reason in gone]
        if not dry_run:
            deleted = [m for m, reason in gone if self._drop(m, revisions[m.scope, m.id], reason, now)]
            self._context.close_gaps(deleted)
        return ForgetReport(len(scanned), tuple(m.id for m in deleted), dry_run)

    def _drop(self, memory: Memory, revision: int, reason: str, now: datetime) -> bool:
        event = {"kind": "forgotten", "reason": reason, "actor": "forgetting", "at": now, "ids": [memory.id]}
        change = Change(memory.scope, memory.id, expected_revision=revision, event=event)
        applied = self._changes.apply(memory.scope, [change], at=now)
        if applied is not None:
            log.info("memory forgotten", memory=memory.id, namespace=memory.namespace, reason=reason)
        return applied is not None

    def _oldest(self, condition: MemoryFilter, limit: int) -> list[tuple[Memory, int]]:
        """The oldest memories with their revisions, in that order."""
        found: list[tuple[Memory, int]] = []
        offset = 0
        while offset < limit:
            size = min(SCAN_PAGE, limit - offset)
            page, _total = self._records.list_page(condition, offset=offset, limit=size, oldest_first=True)
            found += self._records.read_with_revisions(page)
            offset += len(page)
            if len(page) < size:
                break
        return found
