"""From a session's pending items to the window that extraction sees, and from what it finds to records. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from app.memory.context import in_order_of_arrival
from app.memory.extraction.conversation import is_machine
from app.memory.identity import extracted_memory_id
from app.memory.models import (
    Candidate,
    ExtractionWindow,
    Memory,
    MemoryType,
    Message,
    PendingItem,
    Session,
    SessionRef,
    memory_hash,
    utc_now,
)


def extraction_window(
    session: SessionRef, document: Session | None, taken: Sequence[PendingItem], context_messages: int
) -> ExtractionWindow | None:
    """The messages among the taken items, with a few earlier ones to explain them; None if there are none.

    The items may have left the document since they were acknowledged; they are distilled all the same.
    """
    new = tuple(item.item for item in taken if isinstance(item.item, Message))
    if not new:
        return None
    if document is None:
        return ExtractionWindow(session, new)
    ids = {message.id for message in new}
    before = [m for m in document.messages if m.id not in ids and m.created_at <= new[-1].created_at]
    return ExtractionWindow(
        session,
        new,
        tuple(before[-context_messages:]) if context_messages else (),
        document.context or None,
        str((document.data or {}).get("timezone") or "UTC"),
        document.strategy,
    )


def with_thread(window: ExtractionWindow, document: Session | None, previous: Memory | None) -> ExtractionWindow:
    """The window for a strategy that looks at the whole thread; its running summary is the thread's last one."""
    known = {m.id: m for m in (*(document.messages if document else ()), *window.new) if not is_machine(m)}
    thread = sorted(known.values(), key=lambda m: m.created_at)
    summary = previous.text if previous is not None else window.summary
    return replace(window, thread=tuple(thread), previous=previous, summary=summary)


def given_records(
    session: SessionRef, document: Session | None, taken: Sequence[PendingItem], *, with_messages: bool
) -> tuple[Memory, ...]:
    """Structured memories of the session, and its messages as records where the deployment wants those."""
    now = utc_now()
    scope = session.scope
    strategy = document.strategy if document else None
    records = []
    for item in taken:
        given = item.item
        if isinstance(given, Memory):
            given = replace(
                given,
                namespace=given.namespace if given.namespace is not None else scope.namespace,
                user_id=given.user_id if given.user_id is not None else scope.user_id,
                session_id=given.session_id if given.session_id is not None else session.session_id,
                extraction_strategy=strategy.name if strategy else given.extraction_strategy,
                extraction_strategy_config=strategy.config if strategy else given.extraction_strategy_config,
                discrete_memory_extracted="t",
            )
        elif with_messages:
            given = Memory(
                id=given.id,
                text=f"{given.role}: {given.content}",
                memory_type=MemoryType.MESSAGE,
                namespace=scope.namespace,
                user_id=scope.user_id,
                session_id=session.session_id,
                created_at=given.created_at,
                last_accessed=now,
                extraction_strategy="message",
                extracted_from=(given.id,),
                metadata={"role": given.role},
            )
        else:
            continue
        records.append(replace(given, persisted_at=now, updated_at=now, memory_hash=memory_hash(given)))
    return tuple(in_order_of_arrival(records))


def record_of(window: ExtractionWindow, candidate: Candidate) -> Memory:
    """The record of a candidate, with its proof: where it was said, the quoted span, how sure the model was."""
    session = window.session
    times = {m.id: m.created_at for m in window.new}
    said = candidate.created_at or max((times[i] for i in candidate.extracted_from if i in times), default=utc_now())
    now = utc_now()
    metadata = dict(candidate.metadata)
    if candidate.quote:
        metadata.setdefault("quote", candidate.quote)
    if candidate.confidence is not None:
        metadata.setdefault("confidence", candidate.confidence)
    memory = Memory(
        id=extracted_memory_id(session, candidate.extracted_from, candidate.text, said),
        text=candidate.text,
        memory_type=candidate.memory_type,
        namespace=session.scope.namespace,
        user_id=session.scope.user_id,
        session_id=session.session_id,
        created_at=said,
        last_accessed=now,
        updated_at=now,
        event_date=candidate.event_date,
        persisted_at=now,
        topics=candidate.topics,
        entities=candidate.entities,
        extracted_from=candidate.extracted_from,
        extraction_strategy=window.strategy.name,
        extraction_strategy_config=window.strategy.config,
        metadata=metadata,
    )
    return replace(memory, memory_hash=memory_hash(memory))
