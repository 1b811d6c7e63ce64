"""Where a turn stands in its session: what was said before it and after it, by date, then by arrival."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from app.memory.indexing_text import said_at
from app.memory.models import Memory
from app.store import document, index, keys
from app.store.client import RedisClient, store_errors
from app.store.query import has_id

Direction = Literal["before", "after"]
_LOADED = ("@__key", *(f"@{name}" for name in document.FIELDS))


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A stored turn beside another one: `previous` is the context it was indexed with."""

    id: str
    text: str
    previous: str | None
    place: tuple[float, int]


def place_of(memory: Memory) -> tuple[float, int]:
    """A turn's place in its session: when it was said (Unix seconds), then when it arrived (microseconds)."""
    return said_at(memory).timestamp(), arrival(memory.persisted_at or memory.updated_at)


def arrival(moment: datetime) -> int:
    """A time of arrival in whole microseconds."""
    return round(moment.timestamp() * 1_000_000)


@store_errors
class TurnRepository:
    """Finds the neighbours of turns through the `ltm` index."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    def neighbours(self, wanted: Sequence[tuple[Memory, Direction]]) -> list[Neighbour | None]:
        """Per turn its stored neighbour in that direction, or None. One round trip."""
        if not wanted:
            return []
        with self._client.pipeline(transaction=False) as pipeline:
            for memory, direction in wanted:
                pipeline.execute_command(*_command(memory, direction))
            replies = pipeline.execute()
        return [_neighbour(reply) for reply in replies]

    def arrivals(self, memories: Sequence[Memory]) -> list[tuple[float, int] | None]:
        """Per memory the place at which its id is stored already as a turn, or None. One round trip."""
        with self._client.pipeline(transaction=False) as pipeline:
            for memory in memories:
                pipeline.hmget(keys.record(memory.scope, memory.id), "said", "arrived", "sess")
            rows = pipeline.execute()
        return [
            (float(said), int(arrived))
            if arrived is not None and session == keys.encode(m.session_id).encode()
            else None
            for m, (said, arrived, session) in zip(memories, rows, strict=True)
        ]


def _command(memory: Memory, direction: Direction) -> list[Any]:
    said, arrived = place_of(memory)
    if direction == "before":
        there = f"(@said:[-inf ({said!r}]) | (@said:[{said!r} {said!r}] @arrived:[-inf ({arrived}])"
        order = "DESC"
    else:
        there = f"(@said:[({said!r} +inf]) | (@said:[{said!r} {said!r}] @arrived:[({arrived} +inf])"
        order = "ASC"
    scope = " ".join(
        f"@{name}:{{{keys.encode(value).replace('-', chr(92) + '-')}}}"
        for name, value in (("ns", memory.namespace), ("user", memory.user_id), ("sess", memory.session_id))
    )
    # Only turns have `arrived`. The memory itself may be stored already, at another place.
    query = f"{scope} @arrived:[-inf +inf] -{has_id(memory.id)} ({there})"
    return ["FT.AGGREGATE", index.MEMORIES, query, "SORTBY", "4", "@said", order, "@arrived", order, "MAX", "1",
            "LIMIT", "0", "1", "LOAD", str(len(_LOADED)), *_LOADED, "DIALECT", "2"]  # fmt: skip


def _neighbour(reply: list[Any]) -> Neighbour | None:
    if len(reply) < 2:
        return None
    fields = dict(zip(reply[1][::2], reply[1][1::2], strict=True))
    memory = document.from_fields(fields[b"__key"], fields)
    # From the document: of sortable numbers the index returns twelve digits.
    return Neighbour(memory.id, memory.text, memory.previous, place_of(memory))
