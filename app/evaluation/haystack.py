"""What is searched in an evaluation: a tenant's own memories, or a benchmark's turns stored for as long as it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from app.evaluation.datasets import Conversation
from app.evaluation.queries import Query
from app.memory.consolidation import Consolidation
from app.memory.context import SessionContext, in_order_of_arrival
from app.memory.filters import MemoryFilter, TagFilter
from app.memory.identity import new_id
from app.memory.models import Memory, MemoryType, utc_now
from app.store.records import RecordRepository
from app.store.tenants import TenantKeys

PAGE = 500
MOST_MEMORIES = 50_000


def memories_of(records: RecordRepository, condition: MemoryFilter) -> list[Memory]:
    """A tenant's memories, oldest first; at most MOST_MEMORIES."""
    found: list[Memory] = []
    for offset in range(0, MOST_MEMORIES, PAGE):
        page, _total = records.list_page(condition, offset=offset, limit=PAGE, oldest_first=True)
        found += [memory for memory in records.read(page) if memory is not None]
        if len(page) < PAGE:
            break
    return found


@contextmanager
def stored(
    conversation: Conversation, consolidation: Consolidation, tenants: TenantKeys, context: SessionContext
) -> Iterator[tuple[MemoryFilter, list[Memory]]]:
    """A conversation's turns as memories of a namespace of their own, deleted at the end."""
    namespace = f"eval-{new_id()}"
    now = utc_now()
    memories = in_order_of_arrival(
        [
            Memory(
                id=turn.id,
                text=turn.text,
                memory_type=MemoryType.EPISODIC,
                namespace=namespace,
                session_id=turn.session,
                created_at=turn.date,
                event_date=turn.date,
                persisted_at=now,
                updated_at=now,
            )
            for turn in conversation.turns
        ]
    )
    try:
        completed = context.complete(memories)
        for start in range(0, len(completed), PAGE):
            part = completed[start : start + PAGE]
            consolidation.store(part, context.embed(part), deduplicate=False, actor="client")
        yield MemoryFilter().also("namespace", TagFilter(eq=namespace)), completed
    finally:
        tenants.drop(namespace)


def questions_of(conversation: Conversation) -> list[Query]:
    """A benchmark's questions as queries."""
    return [Query(q.text, q.category, q.evidence) for q in conversation.questions]
