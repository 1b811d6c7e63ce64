"""Long-term memories in Redis: one hash per memory, found through the `ltm` index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from app.memory.filters import MemoryFilter
from app.memory.indexing_text import context_text, is_turn, names_of, needs_context, said_at
from app.memory.models import Memory, Scope
from app.store import document, index, keys
from app.store.analysis import digest, stems, words
from app.store.candidates import Candidates, Hit, count_command, from_replies, search_commands
from app.store.client import RedisClient, store_errors
from app.store.large_filters import LargeFilters
from app.store.query import CURRENT, UNSAID, compile_filter, folded_from, has_id
from app.store.scripts import script
from app.store.turns import place_of
from app.store.vectors import DEFAULT, VectorSpace

PAGE_FIELDS = (*document.FIELDS, "rev")
# Records read by one call of a script, which nothing interrupts.
READ_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class RecordRow:
    """A stored memory with its revision, its vector (shape (dim,)) and when it was written (Unix seconds).

    A vector has the shape (0,) where a memory has none in the space that is searched; see `app.store.vectors`.
    """

    memory: Memory
    revision: int
    vector: npt.NDArray[np.float32]
    written: float


@store_errors
class RecordRepository:
    """Reads and writes memories; each call is one or two round trips, as its docstring says."""

    def __init__(self, client: RedisClient, space: VectorSpace = DEFAULT) -> None:
        self._client = client
        self._space = space
        self._touch = script(client, "record_touch")
        self._retag = script(client, "record_retag")
        self._fields = script(client, "records_read")
        self._large = LargeFilters(lambda: int(client.execute_command(*count_command("*"))[0]))

    # -- access --------------------------------------------------------------------------------------

    def touch(self, record_keys: Sequence[bytes], at: datetime) -> None:
        """Note accesses, one round trip."""
        with self._client.pipeline(transaction=False) as pipeline:
            for key in record_keys:
                self._touch(keys=[key], args=[repr(at.timestamp())], client=pipeline)
            pipeline.execute()

    def retag(self, changes: Sequence[tuple[Memory, Memory, int]]) -> list[str]:
        """Store other topics for memories, given as (before, after, revision of before); one round trip.

        Per memory `stored`, `conflict` (it was changed meanwhile) or `gone`.
        """
        with self._client.pipeline(transaction=False) as pipeline:
            for before, after, revision in changes:
                old, new = _topic_tags(before), _topic_tags(after)
                self._retag(
                    keys=[keys.record(after.scope, after.id), keys.scope_version(after.scope)],
                    args=[revision, document.dumps(after), int(old != new), new.get("topics", ""), new.get("tals", "")],
                    client=pipeline,
                )
            return [reply.decode() for reply in pipeline.execute()]

    # -- reading -------------------------------------------------------------------------------------------------

    def find(
        self, memory_ids: Sequence[str], *, namespace: str | None = None, user_id: str | None = None
    ) -> list[list[tuple[Memory, int]]]:
        """Per id: the memories that carry it (at most two are read) with their revisions. Two round trips.

        An id that was folded into another memory leads to that one; superseded memories are found too.

        None leaves that part of the scope open, so one id may be found in several tenants. The index only names the
        keys: of sortable numbers it would return twelve digits, which cuts times to hundredths of a second.
        """
        with self._client.pipeline(transaction=False) as pipeline:
            for memory_id in memory_ids:
                query = f"({has_id(memory_id)} | {folded_from(memory_id)})"
                for name, value in (("ns", namespace), ("user", user_id)):
                    if value is not None:
                        query += f" @{name}:{{{keys.encode(value)}}}"
                pipeline.execute_command(
                    "FT.SEARCH", index.MEMORIES, query, "NOCONTENT", "LIMIT", "0", "2", "DIALECT", "2"
                )
            found = [reply[1:] for reply in pipeline.execute()]
        wanted = [key for record_keys in found for key in record_keys]
        rows = iter(zip(wanted, self._read_rows(wanted), strict=True))
        per_id = []
        for memory_id, record_keys in zip(memory_ids, found, strict=True):
            group = [next(rows) for _key in record_keys]
            stored = [(record_from_row(key, row), int(row[-1])) for key, row in group if row[1] is not None]
            # The number that stands for an id in the index may be that of another one too.
            per_id.append([(m, revision) for m, revision in stored if memory_id in (m.id, *m.aliases)])
        return per_id

    def read(self, record_keys: Sequence[bytes]) -> list[Memory | None]:
        """Memories by key, one round trip; None where one was deleted meanwhile."""
        return _memories(record_keys, self._read_rows(record_keys))

    def _read_rows(self, record_keys: Sequence[bytes | str], *more: str) -> list[list[Any]]:
        """PAGE_FIELDS and `more` of each key, all None where a record is gone. One round trip."""
        return self._read_fields(record_keys, (*PAGE_FIELDS, *more))

    def _read_fields(self, record_keys: Sequence[bytes | str], fields: Sequence[str]) -> list[list[Any]]:
        if len(record_keys) <= READ_AT_ONCE:
            return self._fields(record_keys, fields) if record_keys else []
        with self._client.pipeline(transaction=False) as pipeline:
            for start in range(0, len(record_keys), READ_AT_ONCE):
                self._fields(record_keys[start : start + READ_AT_ONCE], fields, client=pipeline)
            return [row for rows in pipeline.execute() for row in rows]

    def read_with_vectors(
        self, memories: Sequence[tuple[Scope, str]]
    ) -> list[tuple[Memory, int, npt.NDArray[np.float32]] | None]:
        """Memories by scope and id, with revision and vector (shape (dim,)), one round trip."""
        return self.read_keys_with_vectors([keys.record(scope, memory_id) for scope, memory_id in memories])

    def read_keys_with_vectors(
        self, record_keys: Sequence[bytes | str]
    ) -> list[tuple[Memory, int, npt.NDArray[np.float32]] | None]:
        """Memories by key, with revision and vector (shape (dim,)), one round trip."""
        rows = zip(record_keys, self._read_rows(record_keys, self._space.field), strict=True)
        return [self._with_vector(key, row) for key, row in rows]

    def _with_vector(self, key: bytes | str, row: Sequence[Any]) -> tuple[Memory, int, npt.NDArray[np.float32]] | None:
        if row[1] is None:
            return None
        return record_from_row(key, row), int(row[-2]), self._space.from_bytes(row[-1])

    def count(self, condition: MemoryFilter) -> int:
        """How many memories match. One round trip."""
        reply = self._client.execute_command(*count_command(compile_filter(condition)))
        return int(reply[0])

    def list_page(
        self, condition: MemoryFilter, *, offset: int, limit: int, oldest_first: bool = False
    ) -> tuple[list[bytes], int]:
        """Keys of one page, newest first (ties by id), and the true total. One round trip."""
        if offset > index.MAX_OFFSET:
            return [], self.count(condition)
        query = compile_filter(condition)
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.execute_command(*count_command(query))
            pipeline.execute_command(
                "FT.AGGREGATE", index.MEMORIES, query, "LOAD", "1", "@__key",
                "SORTBY", "4", "@created", "ASC" if oldest_first else "DESC", "@__key", "ASC",
                "MAX", str(offset + limit), "LIMIT", str(offset), str(limit), "DIALECT", "2",
            )  # fmt: skip
            counted, rows = pipeline.execute()
        return [dict(zip(row[::2], row[1::2], strict=True))[b"__key"] for row in rows[1:]], int(counted[0])

    def written_since(self, condition: MemoryFilter, since: float, *, limit: int) -> list[RecordRow]:
        """Memories written at or after a time (Unix seconds), by that time. Two round trips."""
        query = f"{compile_filter(condition)} @put:[{since!r} +inf]"
        reply = self._client.execute_command(
            "FT.SEARCH", index.MEMORIES, query, "NOCONTENT", "SORTBY", "put", "ASC",
            "LIMIT", "0", str(limit), "DIALECT", "2",
        )  # fmt: skip
        return [
            RecordRow(record_from_row(key, row), int(row[-3]), self._space.from_bytes(row[-2]), float(row[-1]))
            for key, row in zip(reply[1:], self._read_rows(reply[1:], self._space.field, "put"), strict=True)
            if row[1] is not None
        ]

    def count_written_since(self, condition: MemoryFilter, since: float) -> int:
        """How many memories were written at or after a time (Unix seconds). One round trip."""
        return int(
            self._client.execute_command(*count_command(f"{compile_filter(condition)} @put:[{since!r} +inf]"))[0]
        )

    def superseded_before(self, condition: MemoryFilter, moment: datetime, *, limit: int = 1_000) -> list[Memory]:
        """Memories of a scope whose fact ended before a moment. Two round trips."""
        query = compile_filter(condition).removesuffix(CURRENT) + f"@to:[-inf ({moment.timestamp()!r}]"
        reply = self._client.execute_command(
            "FT.SEARCH", index.MEMORIES, query, "NOCONTENT", "LIMIT", "0", str(limit), "DIALECT", "2"
        )
        return [m for m in self.read(reply[1:]) if m is not None]

    def replaced_by(self, scope: Scope, memory_id: str, *, limit: int = 100) -> list[Memory]:
        """Memories of a scope that one memory superseded. Two round trips."""
        query = (
            f"@ns:{{{_escaped(keys.encode(scope.namespace))}}} @user:{{{_escaped(keys.encode(scope.user_id))}}} "
            f"@by:{{{keys.encode(memory_id)}}}"
        )
        reply = self._client.execute_command(
            "FT.SEARCH", index.MEMORIES, query, "NOCONTENT", "LIMIT", "0", str(limit), "DIALECT", "2"
        )
        return [m for m in self.read(reply[1:]) if m is not None]

    def read_with_revisions(self, record_keys: Sequence[bytes]) -> list[tuple[Memory, int]]:
        """Memories by key with their revisions, without those deleted meanwhile. One round trip."""
        rows = zip(record_keys, self._read_rows(record_keys), strict=True)
        return [(record_from_row(key, row), int(row[-1])) for key, row in rows if row[1] is not None]

    def candidates(
        self,
        condition: MemoryFilter,
        *,
        vector: npt.NDArray[np.float32] | None,
        text: str | None,
        k: int,
        scorer: str = "BM25STD",
    ) -> tuple[Candidates, int | None]:
        """The best `k` of the vector leg and of the text leg (each if given), and the number of matches.

        One round trip. The number counts what matches the filter; without a vector leg, filter and words. None: many
        match, and the scope has changed since they were counted (see `page`).
        """
        query, stamp = compile_filter(condition), stamp_command(condition)
        known = self._large.knows(query)
        counted = known and stamp is not None and self._large.counted(query)
        near, told = search_commands(
            query, self._space, vector=vector, text=text, k=k, scorer=scorer, policy=self._large.policy(query)
        )
        commands = {
            "stamp": stamp if near and known else None,
            "count": count_command(query) if near and not counted else None,
            "near": near,
            "told": told,
        }
        asked = {name: command for name, command in commands.items() if command}
        with self._client.pipeline(transaction=False) as pipeline:
            for command in asked.values():
                pipeline.execute_command(*command)
            replies = dict(zip(asked, pipeline.execute(), strict=True))
        found = from_replies(replies.get("near"), replies.get("told"))
        if not near:
            return found, int(replies["told"][0]) if told else 0
        if counted:
            return found, self._large.matches(query, tuple(replies["stamp"]))
        return found, self._note(query, replies["count"], replies.get("stamp"))

    def page(self, record_keys: Sequence[bytes], count: MemoryFilter | None) -> tuple[list[Memory | None], int]:
        """Memories as `read` gives them, and how many match a filter (0 without one). One round trip."""
        if count is None:
            return self.read(record_keys), 0
        query, stamp = compile_filter(count), stamp_command(count)
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.execute_command(*(stamp or ["ECHO", ""]))
            pipeline.execute_command(*count_command(query))
            self._fields(record_keys, PAGE_FIELDS, client=pipeline)
            stamped, counted, rows = pipeline.execute()
        total = self._note(query, counted, stamped if stamp else None)
        return _memories(record_keys, rows), total

    def _note(self, query: str, counted: list[Any], stamp: list[bytes | None] | None) -> int:
        total = int(counted[0])
        self._large.note(query, total, tuple(stamp) if stamp else None)
        return total

    def hits(self, record_keys: Sequence[bytes]) -> list[Hit | None]:
        """What ranking wants to know of memories by key, None of one that is gone. One round trip."""
        rows = self._read_fields(record_keys, ("cues", "accessed"))
        return [
            _hit(key, cues, accessed) if cues is not None else None
            for key, (cues, accessed) in zip(record_keys, rows, strict=True)
        ]


def _memories(record_keys: Sequence[bytes], rows: Sequence[Sequence[Any]]) -> list[Memory | None]:
    return [
        record_from_row(key, row) if row[1] is not None else None for key, row in zip(record_keys, rows, strict=True)
    ]


def _escaped(encoded: str) -> str:
    return encoded.replace("-", "\\-")


def stamp_command(condition: MemoryFilter) -> list[Any] | None:
    """What tells whether the matches of a filter may have changed; None where that is not one scope's affair."""
    if condition.times or condition.as_of is not None:
        return None
    owner = [tag.eq for name in ("namespace", "user_id") for tag in condition.tags.get(name, ())]
    if len(owner) != 2 or not all(owner):
        return None
    scope = Scope(*owner)
    return ["MGET", keys.scope_version(scope), keys.erased(scope)]


def _hit(key: bytes, cues: bytes, accessed: bytes | None) -> Hit:
    created, said, conversation, names, digest = cues.decode().split(document.CUE_SEPARATOR)
    return Hit(
        key,
        float(created),
        float(accessed or created),
        said=float(said) if said else None,
        conversation=conversation,
        names=names,
        digest=digest,
    )


def _topic_tags(memory: Memory) -> dict[str, str]:
    tags = {"topics": document.tag(memory.topics), "tals": document.tag(memory.topic_aliases)}
    return {name: value for name, value in tags.items() if value}


def record_to_hash(memory: Memory, *, slots: Sequence[str] = (), valid_from: datetime) -> dict[str, Any]:
    """The fields of a memory's hash, all but its vectors. `slots` are hashes of its attributes.

    What few memories have to say is left out where it goes without saying: queries and readers know.
    """
    fields: dict[str, Any] = {
        "idn": keys.number(memory.id),
        "ns": keys.encode(memory.namespace),
        "user": keys.encode(memory.user_id),
        "text": memory.text,
        "created": repr(memory.created_at.timestamp()),
        "own": " ".join(stems(memory.text)),
        "cues": _cues(memory),
        "doc": document.dumps(memory),
    }
    told = {"sess": memory.session_id, "type": memory.memory_type, "strat": memory.extraction_strategy}
    fields |= {name: tag for name, value in told.items() if (tag := keys.encode(value)) != UNSAID[name]}
    if memory.last_accessed != memory.created_at:
        fields["accessed"] = repr(memory.last_accessed.timestamp())
    if memory.access_count:
        fields["count"] = memory.access_count
    if context := " ".join(stems(context_text(memory))):
        fields["all"] = context
    if valid_from != memory.created_at:
        fields["from"] = repr(valid_from.timestamp())
    if memory.valid_to is not None:
        fields.update(to=repr(memory.valid_to.timestamp()), old="1", by=keys.encode(memory.superseded_by))
    if memory.aliases:
        fields["aka"] = ",".join(keys.encode(i) for i in memory.aliases)
    if len(slots) == 1:
        fields["slotn"] = keys.number(slots[0])
    elif slots:
        fields["slot"] = ",".join(slots)
    if memory.event_date is not None:
        fields["event"] = repr(memory.event_date.timestamp())
    if memory.session_id is not None and is_turn(memory):
        said, arrived = place_of(memory)
        fields |= {"said": repr(said), "arrived": arrived}
    fields |= _topic_tags(memory)
    if memory.entities:
        fields["ents"] = document.tag(memory.entities)
    return fields


def _cues(memory: Memory) -> str:
    """What ranking wants to know of a hit, in one field: each returned field of each hit costs time."""
    turn = needs_context(memory)
    said = said_at(memory) if turn else memory.event_date
    conversation = keys.conversation(memory.scope, memory.session_id) if turn else ""
    names = ",".join(" ".join(words(name)) for name in names_of(memory))
    created = repr(memory.created_at.timestamp())
    return document.CUE_SEPARATOR.join(
        (created, repr(said.timestamp()) if said else "", conversation, names, digest(memory.text))
    )


def record_from_row(key: bytes | str, row: Sequence[bytes]) -> Memory:
    """The memory under a key, from the PAGE_FIELDS of its record."""
    return document.to_memory(key, *row[: len(document.FIELDS)])
