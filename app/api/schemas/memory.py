"""The memory record of the wire (contract 1.6), in its two defaults: long-term and inside a session."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from flask import current_app
from marshmallow import fields, validate

from app.api.schemas.base import WireSchema
from app.api.schemas.fields import Flag, Id, Json, Labels, Real, ScopeName, Text, Time, Whole
from app.memory.dedup.judge import stated
from app.memory.models import Memory, MemoryType, utc_now
from app.memory.search import FoundMemory

_TYPE = validate.OneOf([str(t) for t in MemoryType], error="Input should be one of: {choices}")


def text_limit(value: str) -> None:
    """Refuse texts longer than the deployment allows."""
    most = current_app.config["SETTINGS"].max_text_chars
    if len(value) > most:
        raise ma.ValidationError(f"String should have at most {most} characters (MAX_TEXT_CHARS)")


def not_empty(value: str) -> None:
    """Refuse the empty string."""
    if not value:
        raise ma.ValidationError("String should have at least 1 character")


def memory_to_wire(memory: Memory) -> dict[str, Any]:
    """All fields of the contract, always."""
    # A superseded memory says from when to when it held; others have exactly the contract's fields.
    validity = (
        {"valid_from": stated(memory), "valid_to": memory.valid_to, "superseded_by": memory.superseded_by}
        if memory.valid_to is not None
        else {}
    )
    return validity | {
        "id": memory.id,
        "text": memory.text,
        "session_id": memory.session_id,
        "user_id": memory.user_id,
        "namespace": memory.namespace,
        "last_accessed": memory.last_accessed,
        "created_at": memory.created_at,
        "updated_at": memory.updated_at,
        "pinned": memory.pinned,
        "access_count": memory.access_count,
        "topics": list(memory.topics),
        "entities": list(memory.entities),
        "memory_hash": memory.memory_hash,
        "discrete_memory_extracted": memory.discrete_memory_extracted,
        "memory_type": memory.memory_type.value,
        "persisted_at": memory.persisted_at,
        "extracted_from": list(memory.extracted_from),
        "event_date": memory.event_date,
        "extraction_strategy": memory.extraction_strategy,
        "extraction_strategy_config": dict(memory.extraction_strategy_config),
        "metadata": dict(memory.metadata),
    }


class _RecordSchema(WireSchema):
    text = Text(required=True, validate=[not_empty, text_limit], metadata={"description": "The memory itself"})
    session_id = ScopeName(metadata={"description": "The session it came from"})
    user_id = ScopeName(metadata={"description": "The user it belongs to"})
    namespace = ScopeName(metadata={"description": "The tenant it belongs to"})
    last_accessed = Time(metadata={"description": "Default: now"})
    created_at = Time(metadata={"description": "Default: now"})
    updated_at = Time(metadata={"description": "Default: now"})
    pinned = Flag(load_default=False, metadata={"description": "Pinned memories are never forgotten or merged"})
    access_count = Whole(load_default=0, validate=validate.Range(min=0))
    topics = Labels(metadata={"example": ["food", "allergy"]})
    entities = Labels(metadata={"example": ["Lisbon"]})
    memory_hash = Text(metadata={"description": "Ignored: always computed by the server"})
    persisted_at = Time(metadata={"description": "When it became long-term memory"})
    extracted_from = Labels(metadata={"description": "Ids of the source messages"})
    event_date = Time(metadata={"description": "When what it tells happened or will happen"})
    extraction_strategy = Text(load_default="discrete", validate=validate.Length(max=255))
    extraction_strategy_config = Json(load_default=dict)
    metadata = Json(load_default=dict, metadata={"description": "Any JSON object; not indexed"})

    def to_wire(self, value: Memory) -> dict[str, Any]:
        """All fields, always."""
        return memory_to_wire(value)

    @staticmethod
    def _build(data: dict[str, Any]) -> Memory:
        now = utc_now()
        for name in ("created_at", "last_accessed", "updated_at"):
            data.setdefault(name, now)
        for name in ("topics", "entities", "extracted_from"):
            data[name] = tuple(data.get(name) or ())
        data["memory_type"] = MemoryType(data["memory_type"])
        data.pop("memory_hash", None)
        return Memory(**data)


class MemoryRecordSchema(_RecordSchema):
    """A long-term memory."""

    id = Id(required=True, metadata={"description": "The client's id, unique per namespace and user"})
    memory_type = Text(load_default="semantic", validate=_TYPE)
    discrete_memory_extracted = Text(load_default="t", validate=validate.OneOf(["t", "f"]))

    @ma.post_load
    def _make(self, data: dict[str, Any], **_: Any) -> Memory:
        data["persisted_at"] = None
        return self._build(data)


class SessionMemorySchema(_RecordSchema):
    """A structured memory inside a session; an id is given when it has none."""

    id = Text(validate=validate.Length(min=1, max=255))
    memory_type = Text(load_default="message", validate=_TYPE)
    discrete_memory_extracted = Text(load_default="f", validate=validate.OneOf(["t", "f"]))

    @ma.post_load
    def _make(self, data: dict[str, Any], **_: Any) -> Memory:
        data.setdefault("id", "")
        return self._build(data)


class MemoryResultSchema(MemoryRecordSchema):
    """A hit of a search: a memory with its distance and score (contract 3.6)."""

    dist = Real(metadata={"description": "Cosine distance 0-2, or 1 - score; 0 in a listing"})
    score = Real(allow_none=True, metadata={"description": "Relevance 0-1; null in a listing"})
    score_type = Text(allow_none=True, metadata={"description": "semantic, keyword or hybrid; null in a listing"})

    def to_wire(self, value: FoundMemory) -> dict[str, Any]:
        """The memory's fields and the score's."""
        shown = memory_to_wire(value.memory)
        shown["dist"] = value.distance
        shown["score"] = value.score
        shown["score_type"] = value.score_type
        return shown


class MemoryUpdateSchema(WireSchema):
    """The body of a PATCH; null means: not given."""

    text = Text(validate=[not_empty, text_limit])
    topics = Labels()
    entities = Labels()
    memory_type = Text(validate=_TYPE)
    namespace = ScopeName()
    user_id = ScopeName()
    session_id = ScopeName()
    event_date = Time()
    pinned = Flag()

    @ma.post_load
    def _make(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        for name in ("topics", "entities"):
            if name in data:
                data[name] = tuple(data[name])
        if "memory_type" in data:
            data["memory_type"] = MemoryType(data["memory_type"])
        return data


class CreateMemoriesSchema(WireSchema):
    """The body of a create."""

    memories = fields.List(
        fields.Nested(MemoryRecordSchema), required=True, error_messages={"required": "Field required"}
    )
    deduplicate = Flag(load_default=True, metadata={"description": "Refuse second copies of a known fact"})

    @ma.validates("memories")
    def _not_too_many(self, memories: list[Memory], **_: Any) -> None:
        most = current_app.config["SETTINGS"].max_batch_size
        if len(memories) > most:
            raise ma.ValidationError(f"List should have at most {most} items (MAX_BATCH_SIZE), not {len(memories)}")
