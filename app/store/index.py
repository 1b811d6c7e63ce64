"""The two search indexes, each behind an alias: `ltm` (memories) and `wm` (sessions).

Physical indexes are numbered (`ltm-v1`, …); requests name only the alias, so that a migration can build a new one
beside the old and swap. Tags hold encoded values (`keys.encode`) and are case-sensitive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis
from redis.commands.search.index_definition import IndexDefinition, IndexType
from redisvl.schema import IndexSchema

from app.store import keys
from app.store.client import RedisClient
from app.store.query import UNSAID
from app.store.vectors import VectorSpace

MEMORIES = "ltm"
SESSIONS = "wm"
# The search module refuses larger offsets (its MAXSEARCHRESULTS): pages behind it are empty, with a true total.
MAX_OFFSET = 1_000_000


def _tag(name: str, **attrs: Any) -> dict[str, Any]:
    return {"name": name, "type": "tag", "attrs": {"case_sensitive": True, "separator": ",", **attrs}}


def _number(name: str, sortable: bool = False) -> dict[str, Any]:
    return {"name": name, "type": "numeric", "attrs": {"sortable": sortable}}


def memories_schema(version: int, spaces: Sequence[VectorSpace]) -> IndexSchema:
    """Schema of the long-term memory index; vectors are cosine, HNSW, one field per space.

    `own` holds the stems of a memory's words (phrases are looked up there), which weigh double, `all` those of its
    context. `said` and `arrived` order the turns of a session. `idn`, `markn`, `slotn` are numbers for id,
    fingerprint and the only attribute, which records of 0.1 have as tags (`id`, `fp`, `slot`): a tag that one memory
    alone has costs 180 bytes.
    M is below RediSearch's own 16, which takes 57 bytes more and finds hardly more (docs/retrieval.md);
    EF_CONSTRUCTION is its default; EF_RUNTIME is raised from 10, at which the graph alone finds 0.90 of the exact top
    ten over 54,000 records (measured on the peer).
    """
    graph = {
        "algorithm": "hnsw",
        "distance_metric": "cosine",
        "m": 12,
        "ef_construction": 200,
        "ef_runtime": 120,
    }

    def vector(space: VectorSpace) -> dict[str, Any]:
        return {"dims": space.dimensions, "datatype": space.precision, **graph}

    return IndexSchema.from_dict(
        {
            "index": {"name": f"{MEMORIES}-v{version}", "prefix": keys.RECORD_PREFIX, "key_separator": ""},
            "fields": [
                _tag("id"),
                *(_tag(name) for name in ("ns", "user", "topics", "tals", "ents")),
                *(_tag(name, index_missing=True) for name in UNSAID),
                # Fingerprint, single-valued attributes, folded ids, "1" once superseded, and by what.
                *(_tag(name) for name in ("fp", "slot", "aka", "old", "by")),
                _number("from"),
                _number("to"),
                # When the record was last written: what compaction has not looked at yet.
                _number("put", sortable=True),
                _number("idn"),
                _number("markn"),
                _number("slotn"),
                {"name": "own", "type": "text", "attrs": {"no_stem": True, "weight": 2}},
                {"name": "all", "type": "text", "attrs": {"no_stem": True}},
                _number("created", sortable=True),
                _number("accessed"),
                _number("event"),
                _number("said", sortable=True),
                _number("arrived", sortable=True),
                *({"name": s.field, "type": "vector", "attrs": vector(s)} for s in spaces),
            ],
        }
    )


def sessions_schema(version: int) -> IndexSchema:
    """Schema of the session index: what listing and lookup by session id need."""
    return IndexSchema.from_dict(
        {
            "index": {"name": f"{SESSIONS}-v{version}", "prefix": keys.SESSION_PREFIX, "key_separator": ""},
            "fields": [
                *(_tag(name) for name in ("ns", "user", "sess")),
                _number("updated", sortable=True),
                _number("expires"),
            ],
        }
    )


def build(client: RedisClient, schema: IndexSchema) -> str:
    """Create the physical index if it is not there yet and return its name; existing hashes are indexed too."""
    name = str(schema.index.name)
    if not exists(client, name):
        # Nobody asks for highlighted words; where they stand in their text would cost 120 bytes a memory.
        definition = IndexDefinition(prefix=[schema.index.prefix], index_type=IndexType.HASH)  # type: ignore[no-untyped-call]
        client.ft(name).create_index(schema.redis_fields, definition=definition, no_highlight=True)
    return name


def point_alias(client: RedisClient, alias: str, physical: str) -> None:
    """Make the alias name this physical index (atomic for its readers)."""
    client.execute_command("FT.ALIASUPDATE", alias, physical)


def exists(client: RedisClient, alias: str) -> bool:
    """Whether the alias resolves to an index."""
    try:
        client.execute_command("FT.INFO", alias)
    except redis.ResponseError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """What the search module says about an index; `dimensions` and `precisions` are those of its fields of vectors.

    `optional` fields are those of which it knows the records that lack them.
    """

    name: str
    documents: int
    fields: tuple[str, ...]
    optional: tuple[str, ...]
    dimensions: Mapping[str, int]
    precisions: Mapping[str, str]
    indexing: bool
    share: float
    failures: int
    bytes_used: int


def describe(client: RedisClient, alias: str) -> IndexInfo | None:
    """The index behind an alias (or of that name); None if there is none."""
    try:
        info = _pairs(client.execute_command("FT.INFO", alias))
    except redis.ResponseError:
        return None
    attributes = [_pairs(row) for row in info["attributes"]]
    optional = [a for a, row in zip(attributes, info["attributes"], strict=True) if "INDEXMISSING" in map(_str, row)]
    return IndexInfo(
        name=_str(info["index_name"]),
        documents=int(info["num_docs"]),
        fields=tuple(_str(row["identifier"]) for row in attributes),
        optional=tuple(_str(row["identifier"]) for row in optional),
        dimensions={_str(row["identifier"]): int(row["dim"]) for row in attributes if "dim" in row},
        precisions={_str(row["identifier"]): _str(row["data_type"]).lower() for row in attributes if "dim" in row},
        indexing=bool(int(float(info["indexing"]))),
        share=float(info["percent_indexed"]),
        failures=int(info["hash_indexing_failures"]),
        bytes_used=int(float(info.get("total_index_memory_sz_mb", 0)) * 2**20),
    )


def missing_fields(memories: IndexInfo, spaces: Sequence[VectorSpace] = ()) -> list[str]:
    """What an index of memories lacks that this version asks for: fields, or to be asked which records lack one."""
    lacking = {*memories_schema(1, spaces).field_names} - {*memories.fields}
    return sorted({*lacking, *(f"missing {name}" for name in UNSAID.keys() - {*memories.optional})})


def _pairs(reply: list[Any]) -> dict[str, Any]:
    """Names and values of a flat reply; flags without a value, which come last, are left out."""
    return {
        _str(name): value for name, value in zip(reply[::2], reply[1::2], strict=False) if not isinstance(name, list)
    }


def _str(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def parse_search(reply: list[Any]) -> tuple[int, list[tuple[bytes, dict[bytes, bytes]]]]:
    """An FT.SEARCH reply (RESP2) as total and (key, fields) pairs; documents that expired meanwhile are left out."""
    rows: list[tuple[bytes, dict[bytes, bytes]]] = []
    for position in range(1, len(reply), 2):
        flat = reply[position + 1]
        if flat is None:
            continue
        rows.append((reply[position], dict(zip(flat[::2], flat[1::2], strict=True))))
    return int(reply[0]), rows
