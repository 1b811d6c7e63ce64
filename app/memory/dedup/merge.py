"""What becomes of the fields when two memories become one (issue E, contract 12 rows 15, 37)."""

from __future__ import annotations

from dataclasses import replace

from app.memory.dedup.judge import stated
from app.memory.labels import union
from app.memory.models import Memory, memory_hash

# How many folded ids still lead to a memory; older ones are let go.
MAX_ALIASES = 100
MAX_SOURCES = 1_000


def merge(kept: Memory, folded: Memory, text: str) -> Memory:
    """The kept memory with what the other one adds: its id, owner and type stay, `text` is what both say together.

    Earliest creation, latest access, sum of accesses, pinned if either is, union of topics, entities, sources and
    metadata (the kept one's values win), earliest validity.
    """
    merged = replace(
        kept,
        text=text,
        created_at=min(kept.created_at, folded.created_at),
        last_accessed=max(kept.last_accessed, folded.last_accessed),
        updated_at=max(kept.updated_at, folded.updated_at),
        access_count=kept.access_count + folded.access_count,
        pinned=kept.pinned or folded.pinned,
        persisted_at=kept.persisted_at or folded.persisted_at,
        topics=union(kept.topics, folded.topics),
        topic_aliases=union(kept.topic_aliases, folded.topic_aliases),
        entities=union(kept.entities, folded.entities),
        extracted_from=union(kept.extracted_from, folded.extracted_from)[:MAX_SOURCES],
        metadata={**folded.metadata, **kept.metadata},
        valid_from=min(stated(kept), stated(folded)),
        aliases=_aliases(kept, folded),
    )
    return replace(merged, memory_hash=memory_hash(merged))


def confirm(kept: Memory, incoming: Memory) -> Memory:
    """The stored memory after it was said again: its words stay, the sources grow."""
    return replace(merge(kept, incoming, kept.text), access_count=kept.access_count, updated_at=kept.updated_at,
                   metadata=kept.metadata, topics=kept.topics, topic_aliases=kept.topic_aliases, entities=kept.entities,
                   created_at=kept.created_at, memory_hash=kept.memory_hash, valid_from=kept.valid_from)  # fmt: skip


def _aliases(kept: Memory, folded: Memory) -> tuple[str, ...]:
    return tuple(dict.fromkeys(i for i in (*kept.aliases, *folded.aliases, folded.id) if i != kept.id))[-MAX_ALIASES:]
