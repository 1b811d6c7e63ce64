"""The memory record of the wire (contract 1.6), in its two defaults: long-term and inside a session."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import marshmallow as ma
from flask import current_app
from marshmallow import fields, validate

from app.api.schemas.base import AnswerSchema, WireSchema
from app.api.schemas.fields import Flag, Id, Json, Labels, Real, ScopeName, Text, Time, Whole
from app.memory.dedup.judge import stated
from app.memory.models import Memory, MemoryType, utc_now
from app.memory.search import FoundMemory

_FLAG = validate.OneOf(["t", "f"])
_FLAG_ABOUT = {"description": "`t`: nothing is to be extracted from it any more"}
_TYPE_ABOUT = {"description": "A fact, an event, or a message of a conversation"}
_TYPE = validate.OneOf([str(t) for t in MemoryType], error="Input should be one of: {choices}")


def text_limit(value: str) -> None:
    """Refuse texts longer than the deployment allows."""
    most = current_app.config["SETTINGS"].max_text_chars
    if len(value) > most:
        raise ma.ValidationError(f"String should have at most {most} characters (MAX_TEXT_CHARS)")


NOT_EMPTY = validate.Length(min=1, error="String should have at least 1 character")


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
    text = Text(
        required=True,
        validate=[NOT_EMPTY, text_limit],
        metadata={
            "description": "The memory itself, self-contained; at most MAX_TEXT_CHARS characters",
            "example": "User is allergic to peanuts.",
        },
    )
    session_id = ScopeName(metadata={"description": "The session it came from"})
    user_id = ScopeName(metadata={"description": "The user it belongs to"})
    namespace = ScopeName(metadata={"description": "The tenant it belongs to"})
    last_accessed = Time(metadata={"description": "When it was last used; default: now"})
    created_at = Time(metadata={"description": "When it was made; default: now"})
    updated_at = Time(metadata={"description": "When it was last changed; default: now"})
    pinned = Flag(load_default=False, metadata={"description": "Pinned memories are never forgotten or merged"})
    access_count = Whole(
        load_default=0, validate=validate.Range(min=0), metadata={"description": "How often searches returned it"}
    )
    topics = Labels(metadata={"description": "What it is about; no commas", "example": ["food", "allergy"]})
    entities = Labels(metadata={"description": "Names in it; no commas", "example": ["Lisbon"]})
    memory_hash = Text(metadata={"description": "Ignored: always computed by the server"})
    persisted_at = Time(metadata={"description": "When it became long-term memory"})
    extracted_from = Labels(metadata={"description": "Ids of the source messages"})
    event_date = Time(metadata={"description": "When what it tells happened or will happen"})
    extraction_strategy = Text(
        load_default="discrete", validate=validate.Length(max=255), metadata={"description": "Any name"}
    )
    extraction_strategy_config = Json(load_default=dict, metadata={"description": "What the strategy was given"})
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


class NewMemorySchema(_RecordSchema):
    """A long-term memory to create."""

    id = Id(required=True, metadata={"description": "The client's id, unique per namespace and user"})
    memory_type = Text(load_default="semantic", validate=_TYPE, metadata=_TYPE_ABOUT)
    discrete_memory_extracted = Text(load_default="t", validate=_FLAG, metadata=_FLAG_ABOUT)

    def made(self, data: dict[str, Any]) -> Memory:
        """The memory; when it was persisted is not for the client to say."""
        data["persisted_at"] = None
        return self._build(data)


class SessionMemorySchema(_RecordSchema):
    """A structured memory inside a session; an id is given when it has none."""

    id = Text(validate=validate.Length(min=1, max=255), metadata={"description": "Given by the server when absent"})
    memory_type = Text(load_default="message", validate=_TYPE, metadata=_TYPE_ABOUT)
    discrete_memory_extracted = Text(load_default="f", validate=_FLAG, metadata=_FLAG_ABOUT)

    def made(self, data: dict[str, Any]) -> Memory:
        """The memory; without an id its id is empty."""
        data.setdefault("id", "")
        return self._build(data)


class MemoryRecordSchema(AnswerSchema, _RecordSchema):
    """A stored memory."""

    NULLABLE = frozenset({"session_id", "user_id", "namespace", "memory_hash", "persisted_at", "event_date"})

    id = Id(metadata={"description": "Unique per namespace and user"})
    memory_type = Text(validate=_TYPE, metadata=_TYPE_ABOUT)
    discrete_memory_extracted = Text(validate=_FLAG, metadata=_FLAG_ABOUT)
    memory_hash = Text(metadata={"description": "SHA-256 of text, type and scope"})


class ExplanationSchema(AnswerSchema):
    """The parts of a score, on the scale of `final`, and the raw figures behind them."""

    semantic = Real(metadata={"description": "By meaning"})
    keyword = Real(metadata={"description": "By words"})
    boosts = Real(metadata={"description": "For what the query names: a speaker, a subject, a time"})
    freshness = Real(metadata={"description": "For its last use"})
    novelty = Real(metadata={"description": "For being new"})
    exact_match = Real(metadata={"description": "For having the query's own text"})
    final = Real(metadata={"description": "Their sum, by which hits are sorted (before a reranker, if there is one)"})
    cosine = Real(allow_none=True, metadata={"description": "Cosine similarity; null: not found by meaning"})
    bm25 = Real(allow_none=True, metadata={"description": "Raw score of the words; null: not found by words"})


class MemoryResultSchema(MemoryRecordSchema):
    """A hit of a search: a memory with its distance and score."""

    OPTIONAL = frozenset({"explanation"})

    explanation = fields.Nested(
        ExplanationSchema, metadata={"description": "Only with `explain`, where text is ranked"}
    )

    dist = Real(metadata={"description": "Cosine distance 0-2, or 1 - score; 0 in a listing"})
    score = Real(allow_none=True, metadata={"description": "Relevance 0-1; null in a listing"})
    score_type = Text(
        allow_none=True,
        validate=validate.OneOf(["semantic", "keyword", "hybrid"]),
        metadata={"description": "Null in a listing"},
    )

    def to_wire(self, value: FoundMemory) -> dict[str, Any]:
        """The memory's fields and the score's."""
        shown = memory_to_wire(value.memory)
        shown["dist"] = value.distance
        shown["score"] = value.score
        shown["score_type"] = value.score_type
        if value.parts is not None:
            shown["explanation"] = asdict(value.parts)
        return shown


class MemoryUpdateSchema(WireSchema):
    """The body of a PATCH; null means: not given."""

    text = Text(
        validate=[NOT_EMPTY, text_limit], metadata={"description": "The new words; they are embedded and indexed anew"}
    )
    topics = Labels(metadata={"description": "All topics; an empty list takes them away"})
    entities = Labels(metadata={"description": "All entities; an empty list takes them away"})
    memory_type = Text(validate=_TYPE, metadata=_TYPE_ABOUT)
    namespace = ScopeName(metadata={"description": "Moves the memory to another tenant"})
    user_id = ScopeName(metadata={"description": "Moves the memory to another user"})
    session_id = ScopeName(metadata={"description": "The session it came from"})
    event_date = Time(metadata={"description": "When what it tells happened or will happen"})
    pinned = Flag(metadata={"description": "Pinned memories are never forgotten or merged"})

    def made(self, data: dict[str, Any]) -> dict[str, Any]:
        """The changes, by the names of a memory's attributes."""
        for name in ("topics", "entities"):
            if name in data:
                data[name] = tuple(data[name])
        if "memory_type" in data:
            data["memory_type"] = MemoryType(data["memory_type"])
        return data


def not_too_many(memories: list[Memory]) -> None:
    """Refuse batches larger than the deployment allows."""
    most = current_app.config["SETTINGS"].max_batch_size
    if len(memories) > most:
        raise ma.ValidationError(f"List should have at most {most} items (MAX_BATCH_SIZE), not {len(memories)}")


class CreateMemoriesSchema(WireSchema):
    """The body of a create."""

    memories = fields.List(
        fields.Nested(NewMemorySchema),
        required=True,
        validate=not_too_many,
        error_messages={"required": "Field required"},
        metadata={"description": "At most MAX_BATCH_SIZE records"},
    )
    deduplicate = Flag(load_default=True, metadata={"description": "Refuse second copies of a known fact"})


class CreateResultSchema(AnswerSchema):
    """What became of one record of a create."""

    OPTIONAL = frozenset({"reason"})

    id = fields.String(metadata={"description": "The id in the request"})
    status = fields.String(
        validate=validate.OneOf(["stored", "replaced", "same", "merged", "updated", "deleted"]),
        metadata={
            "description": "`same`: the fact was known already, under memory_id; `merged`: it adds to what is there; "
            "`updated`: it is stored, and ends what was true before; `deleted`: its user was erased meanwhile"
        },
    )
    memory_id = fields.String(metadata={"description": "Where the fact is now"})
    reason = fields.String(metadata={"description": "Why it was judged so, where more than equal words decided"})


class CreatedSchema(AnswerSchema):
    """What became of a create."""

    OPTIONAL = frozenset({"results", "task_id"})

    status = fields.String(metadata={"example": "ok"})
    results = fields.List(
        fields.Nested(CreateResultSchema), metadata={"description": "One per record, in order; all are searchable now"}
    )
    task_id = fields.String(metadata={"description": "The task that indexes a large batch; ask for it in /v1/tasks"})

    def to_wire(self, value: dict[str, Any]) -> dict[str, Any]:
        """What the view has put together."""
        return value
