"""The `doc` of a memory's record: what of it neither the key nor another field of the record says.

Read with every memory that is shown and there are millions of them, so it is short: what can be derived is left out,
so are defaults, and what nearly every memory has goes under one letter.

| name | holds |
|---|---|
| `c` | `created_at`, microseconds since 1970; the other times are microseconds since then |
| `p` `u` | `persisted_at`; `updated_at` where it differs from that |
| `e` `f` `v` | `event_date`, `valid_from`, `valid_to` |
| `k` `s` `x` | `memory_type` unless semantic, `session_id`, `extracted_from` |
| `t` `o` | `topics`, `map_position` |
| `n` | `entities`: a list, or, where `metadata.entity_types` names just those, that |
| `a` | the source in `metadata.topic_assignment`, where its topics are those of the memory |
| `m` | the rest of `metadata` |

All else has its own name. A missing `memory_hash` is that of the memory as it is. Documents of 0.1 name everything
in full, also what the key says; they are read as well.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import MISSING
from datetime import timedelta
from functools import lru_cache
from typing import Any

from app.memory.models import Memory, MemoryType, Scope, content_hash, memory_hash
from app.store import codec, keys

_TIMES = {"p": "persisted_at", "u": "updated_at", "e": "event_date", "f": "valid_from", "v": "valid_to"}
_SHORT = {"session_id": "s", "extracted_from": "x", "topics": "t", "map_position": "o", "entities": "n"}
_TUPLES = ("aliases", "topic_aliases")
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
    doc: dict[str, Any] = {"c": codec.microseconds(created - codec.EPOCH)}
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
        doc["a"] = source
        del metadata[_ASSIGNMENT]
    if metadata:
        doc["m"] = metadata
    if memory.memory_hash != memory_hash(memory):
        doc["memory_hash"] = memory.memory_hash
    return codec.dumps(doc)


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


def to_memory(key: bytes | str, text: bytes, raw: bytes, accessed: bytes, count: bytes | None) -> Memory:
    """The memory under a key, from the fields text, doc, accessed, count of its record; for reading only.

    A tenant's searches show the same memories again and again: those are remembered, by all that they are made of.
    """
    if len(text) + len(raw) > REMEMBERED_BYTES:
        return _to_memory(key, text, raw, accessed, count)
    return _remembered(key, text, raw, accessed, count)


def _to_memory(key: bytes | str, text: bytes, raw: bytes, accessed: bytes, count: bytes | None) -> Memory:
    doc: dict[str, Any] = codec.loads(raw)
    if "c" not in doc:
        return _of_full_names(doc, text, accessed, count)
    prefix, _, memory_id = (key.decode() if isinstance(key, bytes) else key).rpartition(":")
    scope, take = _scope(prefix), doc.pop
    created = codec.EPOCH + timedelta(microseconds=take("c"))
    times: Any = {
        name: created + timedelta(microseconds=take(short)) if short in doc else None for short, name in _TIMES.items()
    }
    if times["updated_at"] is None:
        times["updated_at"] = times["persisted_at"]
    memory_type, session_id, sources = take("k", MemoryType.SEMANTIC.value), take("s", None), take("x", ())
    topics, entities, metadata = take("t", ()), take("n", ()), take("m", {})
    if isinstance(entities, dict):
        metadata[_TYPES] = entities
    if "a" in doc:
        metadata[_ASSIGNMENT] = {"source": take("a"), "topics": list(topics)}
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
        last_accessed=codec.from_seconds(accessed),
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
    return to_memory(key, fields[b"text"], fields[b"doc"], fields[b"accessed"], fields.get(b"count"))


@lru_cache(maxsize=8192)
def _scope(prefix: str) -> Scope:
    _kind, namespace, user = prefix.split(":")
    return Scope(keys.decode(namespace[1:-1]), keys.decode(user))


def _of_full_names(doc: dict[str, Any], text: bytes, accessed: bytes, count: bytes | None) -> Memory:
    doc["text"] = text.decode()
    doc.setdefault("updated_at", doc.get("persisted_at"))
    if "memory_hash" not in doc:
        named: Any = (doc.get(name) for name in ("memory_type", "namespace", "session_id", "text", "user_id"))
        doc["memory_hash"] = content_hash(*named)
    return codec.memory_from_json(doc, access_count=int(count or 0), last_accessed=codec.from_seconds(accessed))
