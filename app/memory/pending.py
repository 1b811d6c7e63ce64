"""Read your writes: what a session has acknowledged but not promoted yet, searched by its words.

A message leaves its session's pending items only after what was distilled from it is in the index. So a search that
reads the pending items first and the index second sees each of them in at least one of the two.
"""

from __future__ import annotations

from app.memory.errors import InvalidRequest
from app.memory.filters import MemoryFilter
from app.memory.models import Memory, MemoryType, Message, PendingItem, Scope, SessionRef
from app.store.analysis import QUESTION_WORDS, stem, stems, words
from app.store.sessions import SessionRepository

_SCOPE = ("session_id", "namespace", "user_id")
_ONLY_SCOPE = "include_pending needs session_id with eq, and no other filters than namespace and user_id with eq"


class PendingMessages:
    """The not yet promoted messages and memories of one session."""

    def __init__(self, sessions: SessionRepository) -> None:
        self._sessions = sessions

    def find(self, condition: MemoryFilter, text: str) -> list[tuple[Memory, float]]:
        """What has words of the text, with the share of the text's words that it has; best first, then newest.

        Without words in the text: everything. One round trip; one more when namespace or user id are left open.
        Raises InvalidRequest unless the filter names one session.
        """
        ref = self._session(condition)
        if ref is None:
            return []
        asked = _telling(text)
        if text.strip() and not asked:
            return []
        found = [(_memory(item, ref), _share(item, asked)) for item in self._sessions.pending(ref)]
        rows = [(memory, share) for memory, share in found if share > 0]
        return sorted(rows, key=lambda row: (-row[1], -row[0].created_at.timestamp(), row[0].id))

    def _session(self, condition: MemoryFilter) -> SessionRef | None:
        names: dict[str, str] = {}
        for field, filters in condition.tags.items():
            values = {f.eq for f in filters}
            if field not in _SCOPE or None in values:
                raise InvalidRequest(_ONLY_SCOPE)
            if len(values) > 1:
                return None  # two different sessions, or a scope that the caller may not see: nothing is in both
            names[field] = values.pop() or ""
        if condition.times or condition.ids is not None or "session_id" not in names:
            raise InvalidRequest(_ONLY_SCOPE)
        ref = SessionRef(Scope(names.get("namespace"), names.get("user_id")), names["session_id"])
        exact = len(names) == len(_SCOPE)
        return ref if exact else self._sessions.find(ref)


def _telling(text: str) -> frozenset[str]:
    asked = words(text)
    return frozenset(stem(word) for word in asked if word not in QUESTION_WORDS) or frozenset(map(stem, asked))


def _share(item: PendingItem, asked: frozenset[str]) -> float:
    if not asked:
        return 1.0
    said = item.item.content if isinstance(item.item, Message) else item.item.text
    return len(asked & set(stems(said))) / len(asked)


def _memory(item: PendingItem, ref: SessionRef) -> Memory:
    given = item.item
    if isinstance(given, Memory):
        return Memory(
            id=given.id,
            text=given.text,
            memory_type=given.memory_type,
            namespace=ref.scope.namespace,
            user_id=ref.scope.user_id,
            session_id=ref.session_id,
            created_at=given.created_at,
            last_accessed=given.last_accessed,
            topics=given.topics,
            entities=given.entities,
            event_date=given.event_date,
            metadata={**given.metadata, "pending": True},
        )
    return Memory(
        id=given.id,
        text=f"{given.name or given.role}: {given.content}",
        memory_type=MemoryType.MESSAGE,
        namespace=ref.scope.namespace,
        user_id=ref.scope.user_id,
        session_id=ref.session_id,
        created_at=given.created_at,
        last_accessed=given.created_at,
        extraction_strategy="message",
        extracted_from=(given.id,),
        discrete_memory_extracted="f",
        metadata={"role": given.role, "pending": True},
    )
