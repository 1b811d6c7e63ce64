"""Long-term memories in Redis: one hash per memory, found through the `ltm` index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from app.memory.filters import MemoryFilter
from app.memory.indexing_text import is_turn, keyword_text, names_of, needs_context, said_at
from app.memory.models import Memory, MemoryType, Scope
from app.store import codec, index, keys
from app.store.analysis import digest, stems, words
from app.store.client import RedisClient, store_errors
from app.store.query import WORDS_WEIGHT, any_clause, compile_filter, compile_text
from app.store.scripts import script
from app.store.turns import place_of

PutStatus = Literal["stored", "replaced", "same", "conflict"]
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
class PutResult:
    """What became of one memory: `memory_id` is the id under which the fact is stored now."""

    status: PutStatus
    memory_id: str


@store_errors
class RecordRepository:
    """Reads and writes memories; each call is one or two round trips, as its docstring says."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._put = script(client, "record_put")
        self._delete = script(client, "record_delete")
        self._touch = script(client, "record_touch")
        self._retag = script(client, "record_retag")

    # -- writing -------------------------------------------------------------------------------------------------

    def put_many(
        self,
        memories: Sequence[Memory],
        vectors: npt.NDArray[np.float32],
        fingerprints: Sequence[str],
        *,
        deduplicate: bool,
    ) -> list[PutResult]:
        """Store memories with their vectors (shape (n, dim)), one round trip.

        A memory whose fingerprint is known in its scope under another id is not stored again when `deduplicate`
        is true: the known one's access time is refreshed and its id returned.
        """
        if not memories:
            return []
        pipeline = self._client.pipeline(transaction=False)
        for scope_namespace in {m.namespace for m in memories}:
            pipeline.sadd(keys.NAMESPACES, keys.encode(scope_namespace))
        first = len(pipeline)
        for memory, vector, fingerprint in zip(memories, vectors, fingerprints, strict=True):
            self._put_one(pipeline, memory, vector, fingerprint, deduplicate=deduplicate, expected_revision=None)
        return [_put_result(reply) for reply in pipeline.execute()[first:]]

    def update(
        self, memory: Memory, vector: npt.NDArray[np.float32], fingerprint: str, *, expected_revision: int
    ) -> PutResult:
        """Replace one memory if it is still at that revision (status `conflict` if not). One round trip."""
        return _put_result(
            self._put_one(
                self._client,
                memory,
                vector,
                fingerprint,
                deduplicate=False,
                expected_revision=expected_revision,
            )
        )

    def _put_one(
        self,
        client: Any,
        memory: Memory,
        vector: npt.NDArray[np.float32],
        fingerprint: str,
        *,
        deduplicate: bool,
        expected_revision: int | None,
    ) -> Any:
        own = keys.record(memory.scope, memory.id)
        encoded_id = keys.encode(memory.id)
        args: list[Any] = [
            encoded_id,
            fingerprint,
            "1" if deduplicate else "0",
            own[: len(own) - len(encoded_id)],
            repr(memory.last_accessed.timestamp()),
            "" if expected_revision is None else expected_revision,
        ]
        for name, value in _to_hash(memory, vector).items():
            args += [name, value]
        return self._put(keys=[own, keys.fingerprints(memory.scope)], args=args, client=client)

    def delete(self, memories: Sequence[tuple[Scope, str]]) -> int:
        """Delete memories by scope and id, one round trip; how many were there."""
        if not memories:
            return 0
        with self._client.pipeline(transaction=False) as pipeline:
            for scope, memory_id in memories:
                self._delete(
                    keys=[keys.record(scope, memory_id), keys.fingerprints(scope)],
                    args=[keys.encode(memory_id)],
                    client=pipeline,
                )
            return sum(pipeline.execute())

    def adopt_fingerprints(self, memories: Sequence[tuple[Memory, str]]) -> None:
        """Let each memory stand for its fingerprint if no other does, one round trip."""
        with self._client.pipeline(transaction=False) as pipeline:
            for memory, fingerprint in memories:
                pipeline.hsetnx(keys.fingerprints(memory.scope), fingerprint, keys.encode(memory.id))
            pipeline.execute()

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
                    keys=[keys.record(after.scope, after.id)],
                    args=[revision, _doc(after), int(old != new), new.get("topics", ""), new.get("tals", "")],
                    client=pipeline,
                )
            return [reply.decode() for reply in pipeline.execute()]

    # -- reading -------------------------------------------------------------------------------------------------

    def find(
        self, memory_ids: Sequence[str], *, namespace: str | None = None, user_id: str | None = None
    ) -> list[list[tuple[Memory, int]]]:
        """Per id: the memories that carry it (at most two are read) with their revisions. Two round trips.

        None leaves that part of the scope open, so one id may be found in several tenants. The index only names the
        keys: of sortable numbers it would return twelve digits, which cuts times to hundredths of a second.
        """
        with self._client.pipeline(transaction=False) as pipeline:
            for memory_id in memory_ids:
                query = f"@id:{{{keys.encode(memory_id) or '__none__'}}}"
                for name, value in (("ns", namespace), ("user", user_id)):
                    if value is not None:
                        query += f" @{name}:{{{keys.encode(value)}}}"
                pipeline.execute_command(
                    "FT.SEARCH", index.MEMORIES, query, "NOCONTENT", "LIMIT", "0", "2", "DIALECT", "2"
                )
            found = [reply[1:] for reply in pipeline.execute()]
        rows = iter(self._read_rows([key for record_keys in found for key in record_keys]))
        per_id = [[next(rows) for _key in record_keys] for record_keys in found]
        return [[(_from_hash(row), int(row[-1])) for row in group if row[1] is not None] for group in per_id]

    def read(self, record_keys: Sequence[bytes]) -> list[Memory | None]:
        """Memories by key, one round trip; None where one was deleted meanwhile."""
        return [_from_hash(row) if row[1] is not None else None for row in self._read_rows(record_keys)]

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
        if not memories:
            return []
        with self._client.pipeline(transaction=False) as pipeline:
            for scope, memory_id in memories:
                pipeline.hmget(keys.record(scope, memory_id), *_PAGE_FIELDS, "vec")
            return [_with_vector(row) for row in pipeline.execute()]

    def read_keys_with_vectors(
        self, record_keys: Sequence[bytes]
    ) -> list[tuple[Memory, int, npt.NDArray[np.float32]] | None]:
        """Memories by key, with revision and vector (shape (dim,)), one round trip."""
        with self._client.pipeline(transaction=False) as pipeline:
            for key in record_keys:
                pipeline.hmget(key, *_PAGE_FIELDS, "vec")
            return [_with_vector(row) for row in pipeline.execute()]

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
            commands.append(_vector_command(query, vector, k))
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


def _count_command(query: str) -> list[Any]:
    return ["FT.SEARCH", index.MEMORIES, query, "LIMIT", "0", "0", "DIALECT", "2"]


def _vector_command(query: str, vector: npt.NDArray[np.float32], k: int) -> list[Any]:
    blob = vector.astype(np.float32).tobytes()
    text = f"({query})=>[KNN $k @vec $vector AS dist]"
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


def _put_result(reply: list[bytes]) -> PutResult:
    status: PutStatus = reply[0].decode()  # type: ignore[assignment]
    return PutResult(status, keys.decode(reply[1].decode()) or "" if status != "conflict" else "")


def _with_vector(row: Sequence[Any]) -> tuple[Memory, int, npt.NDArray[np.float32]] | None:
    return (_from_hash(row[:-1]), int(row[-2]), np.frombuffer(row[-1], np.float32)) if row[1] is not None else None


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


def _to_hash(memory: Memory, vector: npt.NDArray[np.float32]) -> dict[str, Any]:
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
        "vec": np.asarray(vector, dtype=np.float32).tobytes(),
    }
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


def _from_hash(row: Sequence[bytes]) -> Memory:
    text, doc_json, accessed, count = row[:4]
    doc = codec.loads(doc_json)
    doc["memory_type"] = MemoryType(doc["memory_type"])
    doc["text"] = text.decode("utf-8")
    doc["access_count"] = int(count)
    doc["last_accessed"] = codec.dumps(codec.from_seconds(accessed)).decode().strip('"')
    return codec.memory_from_json(doc)
