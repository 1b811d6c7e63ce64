"""Values of the engine as stored JSON and back. Only the store uses this shape."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from app.memory.models import (
    NEW_TO_US,
    Candidate,
    ExtractionWindow,
    Fold,
    Memory,
    MemoryType,
    Message,
    Scope,
    SessionRef,
    Strategy,
)

CONTEXT_DIGEST_CHARS = 16
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS


def dumps(value: Any) -> bytes:
    """JSON bytes; datetimes become ISO 8601 with `Z`."""
    return orjson.dumps(value, option=_OPTIONS)


def loads(raw: bytes | str) -> Any:
    """The inverse of `dumps`, datetimes left as strings."""
    return orjson.loads(raw)


def to_time(value: str | None) -> datetime | None:
    """A stored time as aware UTC."""
    if not value:
        return None
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)


def microseconds(span: timedelta) -> int:
    """A span of time in whole microseconds."""
    return span // timedelta(microseconds=1)


def _time(value: str | None) -> datetime:
    parsed = to_time(value)
    return parsed if parsed is not None else datetime.fromtimestamp(0, UTC)


def from_seconds(raw: bytes | float | str) -> datetime:
    """Unix seconds as aware UTC."""
    return datetime.fromtimestamp(float(raw), UTC)


def message_to_json(message: Message) -> dict[str, Any]:
    """A message as stored."""
    stored: dict[str, Any] = {
        "id": message.id,
        "role": message.role,
        "content": message.content,
        "created_at": message.created_at,
    }
    if message.persisted_at:
        stored["persisted_at"] = message.persisted_at
    if message.extracted:
        stored["extracted"] = True
    if message.name:
        stored["name"] = message.name
    return stored


def message_from_json(stored: dict[str, Any]) -> Message:
    """A stored message."""
    return Message(
        id=stored["id"],
        role=stored["role"],
        content=stored["content"],
        created_at=_time(stored["created_at"]),
        persisted_at=to_time(stored.get("persisted_at")),
        extracted=stored.get("extracted", False),
        name=stored.get("name"),
    )


_MEMORY_TIMES = ("created_at", "last_accessed", "updated_at", "event_date", "persisted_at", "valid_from", "valid_to")
_MEMORY_TUPLES = ("topics", "entities", "extracted_from", "topic_aliases", "aliases")


def memory_to_json(memory: Memory) -> dict[str, Any]:
    """A memory as stored, whole."""
    return {name: getattr(memory, name) for name in Memory.__slots__}


def memory_from_json(stored: dict[str, Any], **known: Any) -> Memory:
    """A stored memory; `known` are values that were kept apart from it."""
    values = dict(stored)
    values["memory_type"] = MemoryType(values["memory_type"])
    for name in _MEMORY_TIMES:
        values[name] = to_time(values.get(name))
    for name in _MEMORY_TUPLES:
        values[name] = tuple(values.get(name) or ())
    values |= known
    if values.get("map_position"):
        values["map_position"] = tuple(values["map_position"])
    return Memory(**values)


_EVENT = ("kind", "actor", "at", "reason")


def event_to_json(event: Mapping[str, Any]) -> bytes:
    """What happened to memories and why, as their history holds it: `[kind, actor, at, reason, by]`, a line end, ids.

    There is one for nearly every memory: times are microseconds since 1970, and the end of the list is left out where
    it goes without saying (NEW_TO_US). The script that applies changes writes one entry for those that differ in their
    ids only. An event that says less or more is an object, as all those of 0.1 are.
    """
    if not {*_EVENT, "ids"} <= event.keys() <= {*_EVENT, "ids", "by"} or not isinstance(event["at"], datetime):
        return dumps(event)
    values = [event["kind"], event["actor"], microseconds(event["at"] - EPOCH)]
    if event["reason"] != NEW_TO_US or "by" in event:
        values.append(event["reason"])
    if "by" in event:
        values.append(event["by"])
    return dumps(values) + b"\n" + dumps(event["ids"])


def event_from_json(raw: bytes) -> dict[str, Any]:
    """The inverse; times as strings."""
    head, line_end, ids = raw.partition(b"\n")
    stored = loads(head)
    if not line_end:
        return dict(stored)
    event: dict[str, Any] = {"reason": NEW_TO_US, **dict(zip((*_EVENT, "by"), stored, strict=False)), "ids": loads(ids)}
    event["at"] = loads(dumps(EPOCH + timedelta(microseconds=event["at"])))
    return event


def ref_to_json(ref: SessionRef) -> list[str | None]:
    """A session's name as stored."""
    return [ref.scope.namespace, ref.scope.user_id, ref.session_id]


def ref_from_json(stored: list[Any]) -> SessionRef:
    """A stored session's name."""
    return SessionRef(Scope(stored[0], stored[1]), stored[2])


def window_to_json(window: ExtractionWindow) -> dict[str, Any]:
    """An extraction window as stored in a batch."""
    return {
        "session": ref_to_json(window.session),
        "new": [message_to_json(m) for m in window.new],
        "context": [message_to_json(m) for m in window.context],
        "summary": window.summary,
        "timezone": window.timezone,
        "strategy": {"strategy": window.strategy.name, "config": window.strategy.config},
    }


def window_from_json(stored: dict[str, Any]) -> ExtractionWindow:
    """A stored extraction window."""
    return ExtractionWindow(
        session=ref_from_json(stored["session"]),
        new=tuple(message_from_json(m) for m in stored["new"]),
        context=tuple(message_from_json(m) for m in stored["context"]),
        summary=stored["summary"],
        timezone=stored["timezone"],
        strategy=strategy_from_json(stored["strategy"]),
    )


def strategy_from_json(stored: dict[str, Any]) -> Strategy:
    """A stored strategy."""
    return Strategy(stored["strategy"], stored["config"])


def candidate_to_json(candidate: Candidate) -> dict[str, Any]:
    """A candidate as stored in a batch."""
    return {name: getattr(candidate, name) for name in Candidate.__slots__}


def candidate_from_json(stored: dict[str, Any]) -> Candidate:
    """A stored candidate."""
    values = dict(stored)
    values["memory_type"] = MemoryType(values["memory_type"])
    for name in ("event_date", "created_at"):
        values[name] = to_time(values.get(name))
    for name in ("topics", "entities", "extracted_from"):
        values[name] = tuple(values.get(name) or ())
    return Candidate(**values)


def fold_from_hash(fields: list[bytes | None]) -> Fold | None:
    """A fold from its hash's summary, rev, count, tokens and absorbed; None if there is none."""
    if not fields or fields[0] is None:
        return None
    summary, revision, count, tokens, absorbed = (field or b"" for field in fields)
    digests = absorbed.decode()
    return Fold(
        summary.decode("utf-8", "surrogatepass"),
        revision=int(revision),
        count=int(count),
        tokens=int(tokens),
        absorbed=frozenset(digests[i : i + CONTEXT_DIGEST_CHARS] for i in range(0, len(digests), CONTEXT_DIGEST_CHARS)),
    )
