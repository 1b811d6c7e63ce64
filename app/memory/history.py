"""What a memory was before, why it changed, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.memory.errors import Conflict, NotFound
from app.memory.models import Memory, Message, Scope, SessionRef, utc_now
from app.store.changes import Change, ChangeRepository, Version
from app.store.records import RecordRepository
from app.store.sessions import SessionRepository

# How many earlier values of an attribute are followed back.
MOST_PREDECESSORS = 50


@dataclass(frozen=True, slots=True)
class Source:
    """The messages behind a memory; those whose session still lives with their words."""

    session_id: str | None
    message_ids: tuple[str, ...]
    messages: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class MemoryHistory:
    """A memory now (None: deleted or folded away), what it was before each change, and the facts it superseded."""

    memory_id: str
    current: Memory | None
    versions: tuple[Version, ...]
    supersedes: tuple[Memory, ...]
    sources: tuple[Source, ...]


class History:
    """Reads and undoes changes of memories."""

    def __init__(
        self,
        records: RecordRepository,
        changes: ChangeRepository,
        sessions: SessionRepository,
        complete: Callable[[Scope, Sequence[str]], None],
    ) -> None:
        """`complete` gives memories, as they were, the vectors of models that were not in use then."""
        self._complete = complete
        self._records = records
        self._changes = changes
        self._sessions = sessions

    def of(self, memory_id: str, *, namespace: str | None = None, user_id: str | None = None) -> MemoryHistory:
        """Everything known about a memory's past. Raises NotFound, Conflict when several tenants have the id.

        A deleted memory is found when namespace and user are those that it had.
        """
        current, scope = self._locate(memory_id, namespace, user_id)
        own_id = current.id if current is not None else memory_id
        versions = self._changes.versions(scope, own_id)
        if current is None and not versions:
            raise NotFound(f"Memory with ID {memory_id} not found")
        states = [m for m in (*(v.before for v in versions), current) if m is not None]
        return MemoryHistory(
            memory_id=own_id,
            current=current,
            versions=tuple(versions),
            supersedes=tuple(self._predecessors(scope, own_id)),
            sources=tuple(self._sources(scope, states)),
        )

    def restore(self, memory_id: str, *, namespace: str | None = None, user_id: str | None = None) -> Memory:
        """Undo the last change of a memory: an edit, a merge, a retirement, a deletion; the memory as it is again.

        What was folded together comes apart again. Raises NotFound; Conflict when there is nothing to undo, or when
        a memory that the change touched as well has changed since.
        """
        current, scope = self._locate(memory_id, namespace, user_id)
        own_id = current.id if current is not None else memory_id
        # An id that was folded away has a past of its own: that is what its restoring means.
        versions = self._changes.versions(scope, memory_id) or self._changes.versions(scope, own_id)
        if not versions:
            if current is None:
                raise NotFound(f"Memory with ID {memory_id} not found")
            raise Conflict(f"Memory {memory_id} has no earlier state to restore")
        last = versions[-1]
        self.undo(scope, last.sequence, last.event)
        restored = self._records.read_with_vectors([(scope, str(memory_id)), (scope, own_id)])
        found = next((row[0] for row in restored if row is not None), None)
        if found is None:
            raise Conflict(f"Memory {memory_id} was changed by somebody else at the same time; try again")
        return found

    def undo(self, scope: Scope, sequence: int, event: Mapping[str, Any]) -> None:
        """Undo one change of the log, on all memories that it touched. Raises Conflict when one changed since."""
        ids = [str(i) for i in event["ids"]]
        if event["kind"] == "created":
            gone = [Change(scope, i, history=False, event={**event, "kind": "undone", "ids": [i]}) for i in ids]
            self._changes.apply(scope, gone, at=utc_now())
            return
        restored = {"kind": "restored", "reason": f"undid: {event['kind']}", "actor": "client", "at": utc_now(),
                    "ids": ids}  # fmt: skip
        blocker = self._changes.undo(scope, ids, sequence, restored)
        if blocker is not None:
            raise Conflict(f"Memory {blocker} was changed after that; undo its later changes first")
        self._complete(scope, ids)

    def rewind(self, scope: Scope, sequence: int) -> int:
        """Undo everything that happened to a user's memories after change `sequence`, newest first; how many changes.

        As far as the log and the versions reach back. What was restored meanwhile counts as not having happened.
        """
        events = [(number, event) for number, event in self._changes.log(scope, limit=0) if number > sequence]
        touched = {str(i) for _number, event in events for i in event["ids"]}
        made = [(number, event) for number, event in events if event["kind"] == "created"]
        undone = 0
        while True:
            tops = [v[-1] for v in (self._changes.versions(scope, i) for i in sorted(touched)) if v]
            left = [(v.sequence, v.event) for v in tops if v.sequence > sequence] + made
            if not left:
                return undone
            number, event = max(left, key=lambda change: change[0])
            self.undo(scope, number, event)
            made = [change for change in made if change != (number, event)]
            undone += 1

    # ------------------------------------------------------------------------------------------------------------

    def _locate(self, memory_id: str, namespace: str | None, user_id: str | None) -> tuple[Memory | None, Scope]:
        found = self._records.find([memory_id], namespace=namespace, user_id=user_id)[0]
        if len(found) > 1:
            raise Conflict(
                f"Several tenants have a memory with ID {memory_id}; say which with the query parameters "
                "namespace and user_id"
            )
        if found:
            return found[0][0], found[0][0].scope
        return None, Scope(namespace, user_id)

    def _predecessors(self, scope: Scope, memory_id: str) -> list[Memory]:
        found: dict[str, Memory] = {}
        waiting = [memory_id]
        while waiting and len(found) < MOST_PREDECESSORS:
            for memory in self._records.replaced_by(scope, waiting.pop()):
                if memory.id not in found and memory.id != memory_id:
                    found[memory.id] = memory
                    waiting.append(memory.id)
        return sorted(found.values(), key=lambda m: (m.valid_to or m.created_at, m.id), reverse=True)

    def _sources(self, scope: Scope, states: Sequence[Memory]) -> list[Source]:
        ids: dict[str | None, dict[str, None]] = {}
        for memory in states:
            known = {i for listed in ids.values() for i in listed}
            new = [i for i in memory.extracted_from if i not in known]
            ids.setdefault(memory.session_id, {}).update(dict.fromkeys(new))
        sources = []
        for session_id, listed in ids.items():
            if listed:
                session = self._sessions.get(SessionRef(scope, session_id), exact=True) if session_id else None
                spoken = tuple(m for m in session.messages if m.id in listed) if session else ()
                sources.append(Source(session_id, tuple(listed), spoken))
        return sources
