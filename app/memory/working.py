"""Working memory: sessions as agents put and get them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from app.config import Settings
from app.memory.errors import NotFound
from app.memory.filters import MemoryFilter, TagFilter
from app.memory.identity import new_id
from app.memory.models import Memory, MemoryType, Message, Session, SessionRef
from app.memory.summarization.folding import DEFAULT_WINDOW, limit_of, visible
from app.memory.windows import ContextUse, context_use, fit, message_tokens, most_recent, window_of
from app.providers.tokens import count_tokens
from app.store.records import RecordRepository
from app.store.sessions import FoldTrigger, SessionRepository

# How much of a session that is gone is rebuilt when the client names no limit.
REBUILT_MESSAGES = 1_000


@dataclass(frozen=True, slots=True)
class Window:
    """The context window a caller names, if any (wire contract 2.1)."""

    model_name: str | None = None
    context_window_max: int | None = None


class WorkingMemory:
    """Sessions: stored whole, promoted in the background, read within the caller's window."""

    def __init__(self, sessions: SessionRepository, records: RecordRepository, settings: Settings) -> None:
        self._sessions = sessions
        self._records = records
        self._settings = settings

    def put(
        self, session: Session, window: Window, *, expected_revision: int | None = None
    ) -> tuple[Session, ContextUse]:
        """Replace a session; items without an id get one. The session as stored, and how full its window is.

        One round trip to Redis; two when ids are missing. Raises PreconditionFailed on a lost `expected_revision`.
        """
        stored = self._store(self._with_ids(session), window, expected_revision=expected_revision)
        return stored, self._use(stored.messages, window)

    def append(self, ref: SessionRef, messages: Sequence[Message]) -> Session:
        """Add messages at the end of a session (created if absent), safe under concurrent writers."""
        identified = tuple(m if m.id else replace(m, id=new_id()) for m in messages)
        return self._store(Session(ref=ref, messages=identified), Window(), append=True)

    def get(
        self, ref: SessionRef, window: Window, *, recent_messages_limit: int | None = None
    ) -> tuple[Session, ContextUse]:
        """A session, cut to the newest messages that fit the caller's window; nothing stored changes.

        Where namespace or user id are not given, the only session with that id in the given part of the scope is
        meant. Where every message is kept as a memory too, a session that is gone is rebuilt from those. Raises
        NotFound.
        """
        scope = ref.scope
        session = self._sessions.get(ref, exact=scope.namespace is not None and scope.user_id is not None)
        if session is None and self._settings.index_all_messages_in_long_term_memory:
            session = self._rebuilt(ref, recent_messages_limit)
        if session is None:
            raise NotFound(f"Session {ref.session_id} not found")
        shown = visible(session)
        messages = most_recent(shown.messages, recent_messages_limit)
        # Our own summary takes its share of the window; a context of the client's is the client's business.
        taken = count_tokens(shown.context or "") if session.fold else 0
        messages = fit(messages, self.window_size(window), taken=taken)
        return replace(shown, messages=messages), self._use(messages, window)

    def delete(self, ref: SessionRef) -> bool:
        """Delete a session and what awaited promotion from it; memories already promoted stay."""
        scope = ref.scope
        return self._sessions.delete(ref, exact=scope.namespace is not None and scope.user_id is not None)

    def list_ids(self, *, namespace: str | None, user_id: str | None, limit: int, offset: int) -> tuple[list[str], int]:
        """Session ids, most recently updated first, and their true number; None means any."""
        return self._sessions.list_ids(namespace=namespace, user_id=user_id, limit=limit, offset=offset)

    # ------------------------------------------------------------------------------------------------------------

    def _store(
        self, session: Session, window: Window, *, append: bool = False, expected_revision: int | None = None
    ) -> Session:
        settings = self._settings
        size = self.window_size(window)
        size = size if size is not None and size > 0 else DEFAULT_WINDOW
        folds = settings.enable_working_memory_summarization
        trigger = FoldTrigger(
            size,
            limit_of(size, settings.summarization_threshold) if folds else None,
            [message_tokens(m) for m in session.messages] if folds else [0] * len(session.messages),
        )
        extract = settings.long_term_memory and settings.enable_discrete_memory_extraction
        index_messages = settings.long_term_memory and settings.index_all_messages_in_long_term_memory
        stored = self._sessions.put(
            session,
            trigger=trigger,
            promote_messages=extract or index_messages,
            promote_memories=settings.long_term_memory,
            debounce_seconds=settings.extraction_debounce_seconds,
            max_wait_seconds=settings.extraction_max_wait_seconds,
            append=append,
            expected_revision=expected_revision,
        )
        return visible(stored)

    def _rebuilt(self, ref: SessionRef, recent_messages_limit: int | None) -> Session | None:
        """A session from its newest messages in long-term memory (wire contract 2.7); nothing is stored.

        None when there are no such messages, or when several tenants have some and the scope does not say which.
        """
        condition = MemoryFilter().also("session_id", TagFilter(eq=ref.session_id))
        condition = condition.also("memory_type", TagFilter(eq=MemoryType.MESSAGE))
        for name, value in (("namespace", ref.scope.namespace), ("user_id", ref.scope.user_id)):
            if value is not None:
                condition = condition.also(name, TagFilter(eq=value))
        limit = recent_messages_limit if recent_messages_limit and recent_messages_limit > 0 else REBUILT_MESSAGES
        keys, _total = self._records.list_page(condition, offset=0, limit=limit)
        kept = [memory for memory in self._records.read(keys) if memory is not None]
        if len({memory.scope for memory in kept}) != 1:
            return None
        messages = tuple(_said(memory) for memory in sorted(kept, key=lambda m: (m.created_at, m.id)))
        return Session(
            ref=SessionRef(kept[0].scope, ref.session_id),
            messages=messages,
            context="",
            created_at=messages[0].created_at,
            updated_at=messages[-1].created_at,
            last_accessed=messages[-1].created_at,
        )

    def _with_ids(self, session: Session) -> Session:
        """Give ids to items that came without one, the same as last time where the words are the same.

        Without that, a client that puts its whole history again and again, never naming ids, would have everything
        extracted anew each time.
        """
        if all(m.id for m in session.messages) and all(m.id for m in session.memories):
            return session
        known = self._sessions.get(session.ref, exact=True)
        said: dict[tuple[str, str], list[tuple[str, datetime]]] = defaultdict(list)
        noted: dict[str, list[str]] = defaultdict(list)
        if known is not None:
            taken = {m.id for m in session.messages}
            for message in known.messages:
                if message.id not in taken:
                    said[message.role, message.content].append((message.id, message.created_at))
            for memory in known.memories:
                noted[memory.text].append(memory.id)
        return replace(
            session,
            messages=tuple(_identified(m, said[m.role, m.content]) for m in session.messages),
            memories=tuple(_identified_memory(m, noted[m.text]) for m in session.memories),
        )

    def window_size(self, window: Window) -> int | None:
        """The window in tokens that a caller means; None if it names none."""
        return window_of(window.model_name, window.context_window_max, self._settings.default_context_window)

    def _use(self, messages: Sequence[Message], window: Window) -> ContextUse:
        return context_use(messages, self.window_size(window), self._settings.summarization_threshold)


def _said(memory: Memory) -> Message:
    """The message that a memory of type `message` was made of: its text is `role: content`."""
    spoken, colon, rest = memory.text.partition(": ")
    role = str(memory.metadata.get("role") or (spoken.lower() if colon else "user"))
    content = rest if spoken.lower() == role.lower() else memory.text
    return Message(memory.id, role, content, memory.created_at, persisted_at=memory.persisted_at, extracted=True)


def _identified(message: Message, same: list[tuple[str, datetime]]) -> Message:
    if message.id:
        return message
    if same:
        known_id, created_at = same.pop(0)
        return replace(message, id=known_id, created_at=created_at)
    return replace(message, id=new_id())


def _identified_memory(memory: Memory, same: list[str]) -> Memory:
    if memory.id:
        return memory
    return replace(memory, id=same.pop(0) if same else new_id())
