"""Long-term memories in Redis: one hash per memory, found through the `ltm` index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from app.memory.filters import MemoryFilter
from app.memory.indexing_text import is_turn, keyword_text, names_of, needs_context, said_at
from app.memory.models import Memory, Scope
from app.store import codec, index, keys
from app.store.analysis import digest, stems, words
from app.store.client import RedisClient, store_errors
from app.store.query import CURRENT, WORDS_WEIGHT, any_clause, compile_filter, compile_text
from app.store.scripts import script
from app.store.turns import place_of
from app.store.vectors import DEFAULT, VectorSpace

_PAGE_FIELDS = ("text", "doc", "accessed", "count", "rev")
_CUE_SEPARATOR = "\x1f"
_IN_OWN_FIELDS = ("text", "last_accessed", "access_count")


class Hit(NamedTuple):
    """A candidate of a search: enough to rank it, not to show it. Times in Unix seconds.

    `distance` is the cosine distance (0 to 2) if the vector leg found it, `bm25` the raw score if the text leg did;
    the places are where in its leg it came, from 0. `said` is when a turn was said or a fact's event was (None: a
    fact without one), `conversation` tells the conversations of turns apart ("" for a fact), `names` are lower-case
    and separated by commas, `digest` is that of the text. A named tuple: hundreds are made for each search.
    """

    key: bytes
    created: float
    accessed: float
    distance: float | None = None
    bm25: float | None = None
    vector_place: int = 0
    text_place: int = 0
    said: float | None = None
    conversation: str = ""
    names: str = ""
    digest: str = ""


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
                    args=[revision, _doc(after), int(old != new), new.get("topics", ""), new.get("tals", "")],
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
                tag = keys.encode(memory_id) or "__none__"
                query = f"(@id:{{{tag}}} | @aka:{{{tag}}})"
                for name, value in (("ns", namespace), ("user", user_id)):
                    if value is not None:
                        query += f" @{name}:{{{keys.encode(value)}}}"
                pipeline.execute_command(
                    "FT.SEARCH", index.MEMORIES, query, "NOCONTENT", "LIMIT", "0", "2", "DIALECT", "2"
                )
            found = [reply[1:] for reply in pipeline.execute()]
        rows = iter(self._read_rows([key for record_keys in found for key in record_keys]))
        per_id = [[next(rows) for _key in record_keys] for record_keys in found]
        return [[(record_from_row(row), int(row[-1])) for row in group if row[1] is not None] for group in per_id]

    def read(self, record_keys: Sequence[bytes]) -> list[Memory | None]:
        """Memories by key, one round trip; None where one was deleted meanwhile."""
        return [record_from_row(row) if row[1] is not None else None for row in self._read_rows(record_keys)]

    def _read_rows(self, record_keys: Sequence[bytes]) -> list[list[Any]]:
        if not record_keys:
            return []
        with self._client.pipeline(transaction=False) as pipeline:
            for key in record_keys:
                pipeline.hmget(key, *_PAGE_FIELDS)
            rows: list[list[Any]] = pipeline.execute()
        return rows

    def read_with_vectors(
        self, memories: Sequence[tuple[Scope, str]]
    ) -> list[tuple[Memory, int, npt.NDArray[np.float32]] | None]:
        """Memories by scope and id, with revision and vector (shape (dim,)), one round trip."""
        return self.read_keys_with_vectors([keys.record(scope, memory_id) for scope, memory_id in memories])

    def read_keys_with_vectors(
        self, record_keys: Sequence[bytes | str]
    ) -> list[tuple[Memory, int, npt.NDArray[np.float32]] | None]:
        """Memories by key, with revision and vector (shape (dim,)), one round trip."""
        if not record_keys:
            return []
        with self._client.pipeline(transaction=False) as pipeline:
            for key in record_keys:
                pipeline.hmget(key, *_PAGE_FIELDS, self._space.field)
            return [self._with_vector(row) for row in pipeline.execute()]

    def _with_vector(self, row: Sequence[Any]) -> tuple[Memory, int, npt.NDArray[np.float32]] | None:
        if row[1] is None:
            return None
        return record_from_row(row[:-1]), int(row[-2]), self._space.from_bytes(row[-1])

    def count(self, condition: MemoryFilter) -> int:
        """How many memories match. One round trip."""
        reply = self._client.execute_command(*_count_command(compile_filter(condition)))
        return int(reply[0])

    def list_page(
        self, condition: MemoryFilter, *, offset: int, limit: int, oldest_first: bool = False
    ) -> tuple[list[bytes], int]:
        """Keys of one page, newest first (ties by id), and the true total. One round trip."""
        if offset > index.MAX_OFFSET:
            return [], self.count(condition)
        query = compile_filter(condition)
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.execute_command(*_count_command(query))
            pipeline.execute_command(
                "FT.AGGREGATE", index.MEMORIES, query, "LOAD", "2", "@__key", "@id",
                "SORTBY", "4", "@created", "ASC" if oldest_first else "DESC", "@id", "ASC", "MAX", str(offset + limit),
                "LIMIT", str(offset), str(limit), "DIALECT", "2",
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
        with self._client.pipeline(transaction=False) as pipeline:
            for key in reply[1:]:
                pipeline.hmget(key, *_PAGE_FIELDS, self._space.field, "put")
            rows = pipeline.execute()
        return [
            RecordRow(record_from_row(row[:4]), int(row[4]), self._space.from_bytes(row[5]), float(row[6]))
            for row in rows
            if row[1] is not None
        ]

    def count_written_since(self, condition: MemoryFilter, since: float) -> int:
        """How many memories were written at or after a time (Unix seconds). One round trip."""
        return int(
            self._client.execute_command(*_count_command(f"{compile_filter(condition)} @put:[{since!r} +inf]"))[0]
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
        return [(record_from_row(row), int(row[-1])) for row in self._read_rows(record_keys) if row[1] is not None]

    def candidates(
        self,
        condition: MemoryFilter,
        *,
        vector: npt.NDArray[np.float32] | None,
        text: str | None,
        k: int,
        scorer: str = "BM25STD",
    ) -> tuple[list[Hit], int]:
        """The best `k` of the vector leg and of the text leg (each if given), and the number of matches.

        One round trip. The number counts what matches the filter; without a vector leg, filter and words.
        """
        query = compile_filter(condition)
        clauses = compile_text(text) if text is not None else []
        commands: list[list[Any]] = [_count_command(query)]
        if vector is not None:
            commands.append(_vector_command(query, vector, k, self._space))
        if clauses:
            commands.append(
                ["FT.SEARCH", index.MEMORIES, any_clause(query, clauses), "WITHSCORES", "SCORER", scorer,
                 "VERBATIM",
                 "RETURN", "2", "accessed", "cues", "LIMIT", "0", str(k), "DIALECT", "2"]
            )  # fmt: skip
        with self._client.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            replies = pipeline.execute()
        total = int(replies[0][0])
        near = index.parse_search(replies[1])[1] if vector is not None else []
        told = _scored(replies[-1]) if clauses else []
        said = {key: (place, score, fields) for place, (key, score, fields) in enumerate(told)}
        hits = []
        for place, (key, fields) in enumerate(near):
            text_place, bm25, _fields = said.pop(key, (0, None, None))
            hits.append(_hit(key, fields, float(fields[b"dist"]), bm25, place, text_place))
        hits += [_hit(key, fields, None, bm25, 0, place) for key, (place, bm25, fields) in said.items()]
        if vector is None:
            total = int(replies[-1][0]) if clauses else 0
        return hits, total

    def hits(self, record_keys: Sequence[bytes]) -> list[Hit | None]:
        """What ranking wants to know of memories by key, None of one that is gone. One round trip."""
        with self._client.pipeline(transaction=False) as pipeline:
            for key in record_keys:
                pipeline.hmget(key, "cues", "accessed")
            rows = pipeline.execute()
        return [
            _hit(key, {b"cues": cues, b"accessed": accessed}, None, None, 0, 0) if cues is not None else None
            for key, (cues, accessed) in zip(record_keys, rows, strict=True)
        ]


def _escaped(encoded: str) -> str:
    return encoded.replace("-", "\\-")


def _count_command(query: str) -> list[Any]:
    return ["FT.SEARCH", index.MEMORIES, query, "LIMIT", "0", "0", "DIALECT", "2"]


def _vector_command(query: str, vector: npt.NDArray[np.float32], k: int, space: VectorSpace) -> list[Any]:
    blob = space.to_bytes(vector)
    text = f"({query})=>[KNN $k @{space.field} $vector AS dist]"
    return ["FT.SEARCH", index.MEMORIES, text, "PARAMS", "4", "k", str(k), "vector", blob, "SORTBY", "dist", "ASC",
            "RETURN", "3", "dist", "accessed", "cues", "LIMIT", "0", str(k), "DIALECT", "2"]  # fmt: skip


def _hit(
    key: bytes, fields: dict[bytes, bytes], distance: float | None, bm25: float | None, near: int, told: int
) -> Hit:
    created, said, conversation, names, digest = fields[b"cues"].decode().split(_CUE_SEPARATOR)
    return Hit(
        key,
        float(created),
        float(fields[b"accessed"]),
        distance,
        bm25,
        near,
        told,
        float(said) if said else None,
        conversation,
        names,
        digest,
    )


def _scored(reply: list[Any]) -> list[tuple[bytes, float, dict[bytes, bytes]]]:
    rows = []
    for position in range(1, len(reply), 3):
        flat = reply[position + 2]
        if flat is not None:
            rows.append(
                (
                    reply[position],
                    float(reply[position + 1]) / WORDS_WEIGHT,
                    dict(zip(flat[::2], flat[1::2], strict=True)),
                )
            )
    return rows


def _doc(memory: Memory) -> bytes:
    doc = codec.memory_to_json(memory)
    for name in _IN_OWN_FIELDS:
        del doc[name]
    return codec.dumps(doc)


def _folded(values: Sequence[str]) -> str:
    return ",".join(dict.fromkeys(keys.fold(v) for v in values if v.strip()))


def _topic_tags(memory: Memory) -> dict[str, str]:
    tags = {"topics": _folded(memory.topics), "tals": _folded(memory.topic_aliases)}
    return {name: value for name, value in tags.items() if value}


def record_to_hash(memory: Memory, *, slots: Sequence[str] = (), valid_from: datetime) -> dict[str, Any]:
    """The fields of a memory's hash, all but its vectors. `slots` are hashes of its attributes."""
    fields: dict[str, Any] = {
        "id": keys.encode(memory.id),
        "ns": keys.encode(memory.namespace),
        "user": keys.encode(memory.user_id),
        "sess": keys.encode(memory.session_id),
        "type": keys.encode(memory.memory_type),
        "strat": keys.encode(memory.extraction_strategy),
        "text": memory.text,
        "created": repr(memory.created_at.timestamp()),
        "accessed": repr(memory.last_accessed.timestamp()),
        "count": memory.access_count,
        "own": " ".join(stems(memory.text)),
        "all": " ".join(stems(keyword_text(memory))),
        "cues": _cues(memory),
        "doc": _doc(memory),
        "from": repr(valid_from.timestamp()),
    }
    if memory.valid_to is not None:
        fields.update(to=repr(memory.valid_to.timestamp()), old="1", by=keys.encode(memory.superseded_by))
    if memory.aliases:
        fields["aka"] = ",".join(keys.encode(i) for i in memory.aliases)
    if slots:
        fields["slot"] = ",".join(slots)
    if memory.event_date is not None:
        fields["event"] = repr(memory.event_date.timestamp())
    if memory.session_id is not None and is_turn(memory):
        said, arrived = place_of(memory)
        fields |= {"said": repr(said), "arrived": arrived}
    fields |= _topic_tags(memory)
    if memory.entities:
        fields["ents"] = _folded(memory.entities)
    return fields


def _cues(memory: Memory) -> str:
    """What ranking wants to know of a hit, in one field: each returned field of each hit costs time."""
    turn = needs_context(memory)
    said = said_at(memory) if turn else memory.event_date
    conversation = keys.conversation(memory.scope, memory.session_id) if turn else ""
    names = ",".join(" ".join(words(name)) for name in names_of(memory))
    created = repr(memory.created_at.timestamp())
    return _CUE_SEPARATOR.join(
        (created, repr(said.timestamp()) if said else "", conversation, names, digest(memory.text))
    )


def record_from_row(row: Sequence[bytes]) -> Memory:
    """A memory from the fields text, doc, accessed, count of its hash."""
    text, doc_json, accessed, count = row[:4]
    doc = codec.loads(doc_json)
    doc["text"] = text.decode("utf-8")
    doc["access_count"] = int(count)
    doc["last_accessed"] = codec.dumps(codec.from_seconds(accessed)).decode().strip('"')
    return codec.memory_from_json(doc)
