"""The `doc` of a memory's record: what of it neither the key nor another field of the record says.

Read with every memory that is shown and there are millions of them, so it is short: what can be derived is left out,
so are defaults, and what nearly every memory has goes under one letter.

| name | holds |
|---|---|
| `p` `u` | `persisted_at`, as all times in microseconds since `created_at`; `updated_at` where it differs from that |
| `n` | `entities`: a list, or, where `metadata.entity_types` names just those, that |
| `a` | the source in `metadata.topic_assignment`, where its topics are those of the memory; 1 is the usual one |
| `c` | `created_at`, microseconds since 1970, where the cues do not say it exactly |
| `e` `f` `v` | `event_date`, `valid_from`, `valid_to` |
| `k` `s` `x` | `memory_type` unless semantic, `session_id`, `extracted_from` |
| `t` `o` | `topics` where the tags do not say them as they are written, `map_position` |
| `m` | the rest of `metadata` |

All else has its own name. The first four, without their names, and an object of the rest make a list, null where there
is nothing, cut where nothing follows. A missing `memory_hash` is that of the memory as it is. Earlier documents are one
object with all names, those of 0.1 name everything in full, also what the key says; they are read as well.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import MISSING
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from app.memory.models import Memory, MemoryType, Scope, content_hash, memory_hash
from app.store import codec, keys

_TIMES = {"p": "persisted_at", "u": "updated_at", "e": "event_date", "f": "valid_from", "v": "valid_to"}
_SHORT = {"session_id": "s", "extracted_from": "x", "topics": "t", "map_position": "o", "entities": "n"}
_TUPLES = ("aliases", "topic_aliases")
_USUAL, _USUAL_SOURCE = ("p", "u", "n", "a"), "keywords"
# Up to here (1697 to 2242) seconds as a float tell microseconds apart.
_EXACT_SECONDS = 2.0**33
# The fields of a record that a memory is made of.
FIELDS = ("text", "doc", "cues", "accessed", "count", "topics")
CUE_SEPARATOR = "\x1f"
# In the record's key, in fields of its own, or treated by itself below.
_ELSEWHERE = {"id", "namespace", "user_id", "text", "last_accessed", "access_count", "created_at", "memory_type",
              "memory_hash", "metadata", *_TIMES.values()}  # fmt: skip
_DEFAULTS: dict[str, Any] = {f.name: f.default for f in dataclasses.fields(Memory) if f.default is not MISSING}
_DEFAULTS["extraction_strategy_config"] = {}
_LISTED = [name for name in Memory.__slots__ if name not in _ELSEWHERE]
_TYPES, _ASSIGNMENT = "entity_types", "topic_assignment"
# A memory of 100 characters takes 2 kB here: 4 MB in all.
REMEMBERED, REMEMBERED_BYTES = 2048, 2_000


def dumps(memory: Memory) -> bytes:
    """The document of a memory."""
    created = memory.created_at
    doc: dict[str, Any] = {}
    if abs(created.timestamp()) >= _EXACT_SECONDS:
        doc["c"] = codec.microseconds(created - codec.EPOCH)
    for short, name in _TIMES.items():
        moment = getattr(memory, name)
        if moment is not None and not (short == "u" and moment == memory.persisted_at):
            doc[short] = codec.microseconds(moment - created)
    if memory.memory_type is not MemoryType.SEMANTIC:
        doc["k"] = memory.memory_type
    for name in _LISTED:
        value = getattr(memory, name)
        if value != _DEFAULTS[name]:
            doc[_SHORT.get(name, name)] = value
    metadata = dict(memory.metadata)
    if _names(metadata.get(_TYPES), memory.entities):
        doc["n"] = metadata.pop(_TYPES)
    if (source := _source(metadata.get(_ASSIGNMENT), memory.topics)) is not None:
        doc["a"] = 1 if source == _USUAL_SOURCE else source
        del metadata[_ASSIGNMENT]
    if "t" in doc and _topics(tag(memory.topics).encode()) == memory.topics:
        del doc["t"]
    if metadata:
        doc["m"] = metadata
    if memory.memory_hash != memory_hash(memory):
        doc["memory_hash"] = memory.memory_hash
    row: list[Any] = [doc.pop(name, None) for name in _USUAL]
    row.append(doc or None)
    while row and row[-1] is None:
        row.pop()
    return codec.dumps(row)


def tag(values: Sequence[str]) -> str:
    """Topics or entities as the index knows them."""
    return ",".join(dict.fromkeys(keys.fold(v) for v in values if v.strip()))


def _topics(tags: bytes | None) -> tuple[str, ...]:
    """The topics that a tag names, all lower-case."""
    return tuple(keys.decode(topic) or "" for topic in tags.decode().split(",")) if tags else ()


def _names(types: Any, entities: tuple[str, ...]) -> bool:
    """Whether an object has just these names, in this order; metadata may be a client's, so it may be anything."""
    return isinstance(types, dict) and bool(entities) and tuple(types) == entities


def _source(assignment: Any, topics: tuple[str, ...]) -> str | None:
    """The source of an assignment of just these topics."""
    if isinstance(assignment, dict) and assignment.keys() == {"source", "topics"}:
        source = assignment["source"]
        if isinstance(source, str) and assignment["topics"] == list(topics):
            return source
    return None


def to_memory(key: bytes | str, text: bytes, raw: bytes, *more: bytes | None) -> Memory:
    """The memory under a key, from the FIELDS of its record; for reading only.

    A tenant's searches show the same memories again and again: those are remembered, by all that they are made of.
    """
    if len(text) + len(raw) > REMEMBERED_BYTES:
        return _to_memory(key, text, raw, *more)
    return _remembered(key, text, raw, *more)


def _to_memory(
    key: bytes | str,
    text: bytes,
    raw: bytes,
    cues: bytes | None,
    accessed: bytes | None,
    count: bytes | None,
    tags: bytes | None,
) -> Memory:
    stored = codec.loads(raw)
    doc: dict[str, Any] = _named(stored) if isinstance(stored, list) else stored
    if "c" not in doc and doc is stored:
        return _of_full_names(doc, text, accessed, count)
    prefix, _, memory_id = (key.decode() if isinstance(key, bytes) else key).rpartition(":")
    scope, take = _scope(prefix), doc.pop
    created = codec.EPOCH + timedelta(microseconds=take("c")) if "c" in doc else _created(cues or b"")
    times: Any = {
        name: created + timedelta(microseconds=take(short)) if short in doc else None for short, name in _TIMES.items()
    }
    if times["updated_at"] is None:
        times["updated_at"] = times["persisted_at"]
    memory_type, session_id, sources = take("k", MemoryType.SEMANTIC.value), take("s", None), take("x", ())
    topics = take("t") if "t" in doc else _topics(tags)
    entities, metadata = take("n", ()), take("m", {})
    if isinstance(entities, dict):
        metadata[_TYPES] = entities
    if "a" in doc:
        source = take("a")
        metadata[_ASSIGNMENT] = {"source": _USUAL_SOURCE if source == 1 else source, "topics": list(topics)}
    place, words = take("o", None), text.decode()
    if "memory_hash" not in doc:
        doc["memory_hash"] = content_hash(memory_type, scope.namespace, session_id, words, scope.user_id)
    rest: Any = {name: tuple(value) if name in _TUPLES else value for name, value in doc.items()}
    return Memory(
        id=keys.decode(memory_id) or "",
        text=words,
        memory_type=MemoryType(memory_type),
        namespace=scope.namespace,
        user_id=scope.user_id,
        session_id=session_id,
        created_at=created,
        last_accessed=codec.from_seconds(accessed) if accessed is not None else created,
        access_count=int(count or 0),
        topics=tuple(topics),
        entities=tuple(entities),
        extracted_from=tuple(sources),
        metadata=metadata,
        map_position=tuple(place) if place else None,
        **times,
        **rest,
    )


_remembered = lru_cache(maxsize=REMEMBERED)(_to_memory)


def from_fields(key: bytes | str, fields: Mapping[bytes, bytes]) -> Memory:
    """The same from fields by their names."""
    return to_memory(key, fields[b"text"], fields[b"doc"], *(fields.get(name.encode()) for name in FIELDS[2:]))


def _named(row: list[Any]) -> dict[str, Any]:
    """A document that is a list, as an object."""
    doc = dict(row[len(_USUAL)]) if len(row) > len(_USUAL) else {}
    doc.update((name, value) for name, value in zip(_USUAL, row, strict=False) if value is not None)
    return doc


def _created(cues: bytes) -> datetime:
    return codec.from_seconds(cues.partition(CUE_SEPARATOR.encode())[0])


@lru_cache(maxsize=8192)
def _scope(prefix: str) -> Scope:
    _kind, namespace, user = prefix.split(":")
    return Scope(keys.decode(namespace[1:-1]), keys.decode(user))


def _of_full_names(doc: dict[str, Any], text: bytes, accessed: bytes | None, count: bytes | None) -> Memory:
    doc["text"] = text.decode()
    doc.setdefault("updated_at", doc.get("persisted_at"))
    if "memory_hash" not in doc:
        named: Any = (doc.get(name) for name in ("memory_type", "namespace", "session_id", "text", "user_id"))
        doc["memory_hash"] = content_hash(*named)
    moment = codec.from_seconds(accessed) if accessed is not None else codec.to_time(doc["created_at"])
    return codec.memory_from_json(doc, access_count=int(count or 0), last_accessed=moment)
