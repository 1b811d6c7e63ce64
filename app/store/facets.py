"""How often topics and entities occur among the memories that match a filter: counted by the search module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.memory.filters import MemoryFilter, TagFilter
from app.memory.models import Entity, Memory, SessionRef
from app.store import index, keys
from app.store.client import RedisClient, store_errors
from app.store.query import compile_filter
from app.store.records import RecordRepository

Facet = Literal["topics", "entities"]
_FIELDS: dict[Facet, str] = {"topics": "topics", "entities": "ents"}
# More different values than this are not told apart; the rarest are left out.
MAX_VALUES = 10_000
SESSION_NAMES = 200


@dataclass(frozen=True, slots=True)
class FacetCount:
    """A value as its memories write it, its kind if it is an entity of known kind, and how many memories have it."""

    value: str
    count: int
    kind: str | None = None


@store_errors
class FacetRepository:
    """Counts values. Two round trips per call."""

    def __init__(self, client: RedisClient, records: RecordRepository) -> None:
        self._client = client
        self._records = records

    def counts(
        self, facet: Facet, condition: MemoryFilter, *, limit: int, offset: int = 0
    ) -> tuple[list[FacetCount], int]:
        """One page of values, the most frequent first, then by name; and how many different ones there are.

        The index has values without their case: how one is written is read off one memory that has it.
        """
        name = f"@{_FIELDS[facet]}"
        reply = self._client.execute_command(
            "FT.AGGREGATE", index.MEMORIES, compile_filter(condition),
            "LOAD", "2", name, "@__key",
            "FILTER", f"exists({name})",
            "APPLY", f"split({name}, ',')", "AS", "value",
            "GROUPBY", "1", "@value",
            "REDUCE", "COUNT", "0", "AS", "count",
            "REDUCE", "FIRST_VALUE", "1", "@__key", "AS", "example",
            "SORTBY", "4", "@count", "DESC", "@value", "ASC", "MAX", str(MAX_VALUES),
            "LIMIT", "0", str(MAX_VALUES), "DIALECT", "2",
        )  # fmt: skip
        groups = [dict(zip(row[::2], row[1::2], strict=True)) for row in reply[1:]]
        groups = [group for group in groups if group.get(b"value")]
        page = groups[offset : offset + limit]
        examples = self._records.read([group[b"example"] for group in page])
        return [_written(facet, group, memory) for group, memory in zip(page, examples, strict=True)], len(groups)

    def names_in(self, session: SessionRef) -> list[Entity]:
        """The named things in the memories of a session, of known kind; the most frequent ones."""
        condition = MemoryFilter(ids=None)
        for name, value in (
            ("namespace", session.scope.namespace),
            ("user_id", session.scope.user_id),
            ("session_id", session.session_id),
        ):
            condition = condition.also(name, TagFilter(eq=value or ""))
        counts, _total = self.counts("entities", condition, limit=SESSION_NAMES)
        return [Entity(count.value, count.kind) for count in counts if count.kind is not None]


def _written(facet: Facet, group: dict[bytes, bytes], memory: Memory | None) -> FacetCount:
    folded = group[b"value"].decode()
    values = getattr(memory, facet) if memory is not None else ()
    value = next((v for v in values if keys.fold(v) == folded), None)
    kind = _kinds(memory.metadata).get(folded) if memory is not None and facet == "entities" else None
    return FacetCount(value if value is not None else keys.decode(folded) or "", int(group[b"count"]), kind)


def _kinds(metadata: Mapping[str, Any]) -> dict[str, str]:
    """The kinds of a memory's entities by folded name; metadata may be a client's, so nothing is taken for granted."""
    kinds = metadata.get("entity_types")
    if not isinstance(kinds, dict):
        return {}
    return {keys.fold(name): kind for name, kind in kinds.items() if isinstance(kind, str)}
