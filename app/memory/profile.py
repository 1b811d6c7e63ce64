"""What is known about one user, at a glance: current facts, recent events, the newest summary."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.memory.errors import NotFound
from app.memory.filters import MemoryFilter, TagFilter
from app.memory.models import Memory, MemoryType, Scope, SessionRef, SummaryView
from app.memory.search import MemorySearch, SearchRequest
from app.memory.summary_views import SummaryViews
from app.memory.working import Window, WorkingMemory

MAX_FACTS = 50
MAX_EVENTS = 20


@dataclass(frozen=True, slots=True)
class Profile:
    """A user's profile; `summary` is None when nothing was summarized yet."""

    scope: Scope
    facts: tuple[Memory, ...]
    events: tuple[Memory, ...]
    summary: str | None = None
    summarized_at: datetime | None = None


def exactly(scope: Scope) -> MemoryFilter:
    """A filter on one scope: None is a scope of its own, not a wildcard."""
    # "" matches what has no value.
    return MemoryFilter(
        {"namespace": (TagFilter(eq=scope.namespace or ""),), "user_id": (TagFilter(eq=scope.user_id or ""),)}
    )


class Profiles:
    """Puts profiles together from what is stored; no model is called."""

    def __init__(self, search: MemorySearch, views: SummaryViews, working: WorkingMemory) -> None:
        self._search = search
        self._views = views
        self._working = working

    def of(self, scope: Scope) -> Profile:
        """The profile of exactly this tenant's user."""
        newest = max([*self._partitions(scope), *self._session(scope)], default=(None, None), key=_when)
        return Profile(
            scope,
            facts=self._newest(scope, MemoryType.SEMANTIC, MAX_FACTS),
            events=self._newest(scope, MemoryType.EPISODIC, MAX_EVENTS),
            summary=newest[1],
            summarized_at=newest[0],
        )

    def _newest(self, scope: Scope, kind: MemoryType, limit: int) -> tuple[Memory, ...]:
        """The newest memories of a kind, pinned ones first."""
        condition = exactly(scope).also("memory_type", TagFilter(eq=kind.value))
        found = self._search.search(SearchRequest(condition=condition, limit=limit)).memories
        return tuple(sorted((hit.memory for hit in found), key=lambda memory: not memory.pinned))

    def _partitions(self, scope: Scope) -> list[tuple[datetime, str]]:
        """Summaries of views that are about this user in this namespace and about nobody else."""
        if scope.namespace is None or scope.user_id is None:
            return []
        found = []
        for view in self._views.all():
            group = {"user_id": scope.user_id, "namespace": scope.namespace}
            if "user_id" in view.group_by and ("namespace" in view.group_by or _only(view, scope.namespace)):
                wanted = {name: value for name, value in group.items() if name in view.group_by}
                found += [(p.computed_at, p.summary) for p in self._views.partitions(view.id, wanted) if p.summary]
        return found

    def _session(self, scope: Scope) -> list[tuple[datetime, str]]:
        """The running summary of the user's newest session."""
        if scope.namespace is None or scope.user_id is None:
            return []
        ids, _total = self._working.list_ids(namespace=scope.namespace, user_id=scope.user_id, limit=1, offset=0)
        if not ids:
            return []
        try:
            session, _use = self._working.get(SessionRef(scope, ids[0]), Window())
        except NotFound:  # it expired just now
            return []
        return [(session.updated_at, session.context)] if session.context else []


def _only(view: SummaryView, namespace: str) -> bool:
    return any(condition.eq == namespace for condition in view.condition.tags.get("namespace", ()))


def _when(summary: tuple[datetime | None, str | None]) -> float:
    return summary[0].timestamp() if summary[0] else 0.0
