"""Sessions on the wire (contract 1.6, 2)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import marshmallow as ma
from flask import current_app
from marshmallow import fields, validate

from app.api.schemas.base import AnswerSchema, QuerySchema, WireSchema
from app.api.schemas.fields import Json, Real, ScopeName, Text, Time, Whole
from app.api.schemas.memory import MemoryRecordSchema, SessionMemorySchema, memory_to_wire, text_limit
from app.container import container
from app.memory.errors import InvalidRequest
from app.memory.extraction.registry import BUILT_IN
from app.memory.models import Message, Session, Strategy, utc_now
from app.memory.windows import ContextUse

MAX_TTL_SECONDS = 10 * 365 * 86_400


def strategy_to_wire(strategy: Strategy) -> dict[str, Any]:
    """A strategy as the wire shows it."""
    return {"strategy": strategy.name, "config": dict(strategy.config)}


def message_to_wire(message: Message) -> dict[str, Any]:
    """A message as the wire shows it."""
    shown = {
        "role": message.role,
        "content": message.content,
        "id": message.id,
        "created_at": message.created_at,
        "persisted_at": message.persisted_at,
        "discrete_memory_extracted": "t" if message.extracted else "f",
    }
    if message.name:
        shown["name"] = message.name
    return shown


class MessageSchema(WireSchema):
    """One message of a conversation."""

    role = Text(required=True, metadata={"description": "Who spoke; any name of a role", "example": "user"})
    content = Text(
        required=True,
        validate=text_limit,
        metadata={
            "description": "What was said; at most MAX_TEXT_CHARS characters, not blank",
            "example": "I'm allergic to peanuts.",
            "pattern": r"\S",
        },
    )
    id = Text(validate=validate.Length(min=1, max=255), metadata={"description": "Given by the server when absent"})
    created_at = Time(metadata={"description": "When it was said; default: now"})
    persisted_at = Time(metadata={"description": "When it became a long-term memory itself"})
    discrete_memory_extracted = Text(
        load_default="f",
        validate=validate.OneOf(["t", "f"]),
        metadata={"description": "`t`: memories were extracted from it already"},
    )
    name = Text(validate=validate.Length(max=255), metadata={"description": "The speaker's name (additive)"})

    def checked(self, data: dict[str, Any]) -> None:
        """The time must be there if the deployment asks for it, and must not lie in the future."""
        created_at = data.get("created_at")
        if created_at is not None and created_at <= utc_now():
            return
        settings = current_app.config["SETTINGS"]
        if created_at is None:
            if settings.require_message_timestamps:
                raise ma.ValidationError("Value error, created_at is required (REQUIRE_MESSAGE_TIMESTAMPS)")
            return
        ahead = created_at - utc_now()
        if ahead > timedelta(seconds=settings.max_future_timestamp_seconds):
            raise ma.ValidationError(
                f"Value error, created_at is more than {settings.max_future_timestamp_seconds} seconds in the future; "
                "check the clock of the client"
            )

    def made(self, data: dict[str, Any]) -> Message:
        """The message."""
        return Message(
            id=data.get("id", ""),
            role=data["role"],
            content=data["content"],
            created_at=data.get("created_at") or utc_now(),
            persisted_at=data.get("persisted_at"),
            extracted=data["discrete_memory_extracted"] == "t",
            name=data.get("name") or None,
        )


class StoredMessageSchema(AnswerSchema, MessageSchema):
    """A message as it is stored."""

    OPTIONAL = frozenset({"name"})
    NULLABLE = frozenset({"persisted_at"})


class StrategySchema(WireSchema):
    """How a session's conversation is distilled."""

    strategy = Text(
        load_default="discrete",
        metadata={
            "description": "What to distil: facts, a summary, preferences, or what a custom prompt asks for; a "
            "deployment may add others",
            "enum": [kind.name for kind in BUILT_IN],
        },
    )
    config = Json(load_default=dict, metadata={"description": "Options of the strategy, e.g. `custom_prompt`"})

    def checked(self, data: dict[str, Any]) -> None:
        """The strategy must be known, and its options must suit it."""
        engine = container()
        strategy = engine.strategies.get(data["strategy"])
        if strategy is None:
            known = ", ".join(engine.strategies)
            raise ma.ValidationError(f"Input should be one of: {known}", "strategy")
        with_model = engine.settings.resolved_extraction_backend == "llm"
        if problems := strategy.problems(data["config"], with_model=with_model):
            raise ma.ValidationError([f"Value error, {problem}" for problem in problems], "config")

    def made(self, data: dict[str, Any]) -> Strategy:
        """The strategy."""
        return Strategy(data["strategy"], data["config"])


class StoredStrategySchema(AnswerSchema, StrategySchema):
    """The strategy of a session."""


def _few_enough(messages: list[Message]) -> None:
    most = current_app.config["SETTINGS"].max_session_messages
    if len(messages) > most:
        raise ma.ValidationError(f"List should have at most {most} items (MAX_SESSION_MESSAGES)")


def _none_blank(messages: list[Message]) -> None:
    """400 for messages without content (contract 1.4)."""
    for message in messages:
        if not message.content.strip():
            raise InvalidRequest(f"Message with ID {message.id or '(none)'} has blank content")


class WorkingMemoryUpdateSchema(WireSchema):
    """A session to put: it replaces the stored one. The path names it."""

    messages = fields.List(
        fields.Nested(MessageSchema),
        load_default=list,
        validate=[_few_enough, _none_blank],
        metadata={"description": "The conversation, in its order"},
    )
    memories = fields.List(
        fields.Nested(SessionMemorySchema),
        load_default=list,
        metadata={"description": "Structured memories; they become long-term memories in the background"},
    )
    data = Json(metadata={"description": "Any JSON object the agent wants to keep with the session"})
    context = Text(metadata={"description": "A summary of earlier messages"})
    user_id = ScopeName(metadata={"description": "The user it belongs to"})
    namespace = ScopeName(metadata={"description": "The tenant it belongs to"})
    tokens = Whole(load_default=0, metadata={"description": "The client's own count"})
    long_term_memory_strategy = fields.Nested(
        StrategySchema, load_default=Strategy, metadata={"description": "How the conversation is distilled"}
    )
    ttl_seconds = Whole(
        validate=validate.Range(
            min=1, max=MAX_TTL_SECONDS, error="Input should be between {min} and {max} seconds, or null for ever"
        ),
        metadata={"description": "Life time from now in seconds; null: persistent"},
    )
    last_accessed = Time(metadata={"description": "When it was last used; default: now"})
    created_at = Time(metadata={"description": "When it began; default: as stored, else now"})
    updated_at = Time(metadata={"description": "Ignored: always now"})


class WorkingMemorySchema(AnswerSchema, WorkingMemoryUpdateSchema):
    """A session as it is stored."""

    NULLABLE = frozenset({"data", "context", "user_id", "namespace", "ttl_seconds"})

    session_id = Text(metadata={"description": "Its id"})
    messages = fields.List(fields.Nested(StoredMessageSchema))
    memories = fields.List(fields.Nested(MemoryRecordSchema))
    long_term_memory_strategy = fields.Nested(StoredStrategySchema)
    updated_at = Time(metadata={"description": "When it was last put or appended to"})
    context_percentage_total_used = Real(
        allow_none=True, metadata={"description": "How full the window is, 0-100; null when none was named"}
    )
    context_percentage_until_summarization = Real(
        allow_none=True, metadata={"description": "How near the next summarization is, 0-100"}
    )

    def to_wire(self, value: tuple[Session, ContextUse]) -> dict[str, Any]:
        """A session and how full its window is."""
        session, use = value
        return {
            "messages": [message_to_wire(m) for m in session.messages],
            "memories": [memory_to_wire(m) for m in session.memories],
            "data": session.data,
            "context": session.context,
            "user_id": session.ref.scope.user_id,
            "tokens": session.tokens,
            "session_id": session.ref.session_id,
            "namespace": session.ref.scope.namespace,
            "long_term_memory_strategy": strategy_to_wire(session.strategy),
            "ttl_seconds": session.ttl_seconds,
            "last_accessed": session.last_accessed,
            "created_at": session.created_at,
            "updated_at": session.updated_at,
            "context_percentage_total_used": use.total_used,
            "context_percentage_until_summarization": use.until_summarization,
        }


class AppendSchema(WireSchema):
    """Messages to add at the end of a session (additive route)."""

    messages = fields.List(
        fields.Nested(MessageSchema),
        required=True,
        validate=_none_blank,
        error_messages={"required": "Field required"},
        metadata={"description": "In their order; other writers' messages may come between two requests"},
    )
    user_id = ScopeName(metadata={"description": "The user the session belongs to"})
    namespace = ScopeName(metadata={"description": "The tenant the session belongs to"})


class AppendedSchema(AnswerSchema):
    """What was added to a session."""

    status = fields.String(metadata={"example": "ok"})
    session_id = fields.String()
    message_ids = fields.List(fields.String(), metadata={"description": "Ids of the added messages, in order"})

    def to_wire(self, value: Session) -> dict[str, Any]:
        """The ids of what was added."""
        ids = [message.id for message in value.messages]
        return {"status": "ok", "session_id": value.ref.session_id, "message_ids": ids}


class PromoteSchema(WireSchema):
    """Which session to promote now (additive route); the body may be absent."""

    body_optional = True
    user_id = ScopeName(metadata={"description": "The session's user"})
    namespace = ScopeName(metadata={"description": "The session's tenant"})


class WindowQuerySchema(QuerySchema):
    """Which context window the caller has."""

    model_name = Text(metadata={"description": "Any model name; unknown ones have the default window"})
    context_window_max = Whole(metadata={"description": "Window in tokens; wins over model_name"})


class GetSessionQuerySchema(WindowQuerySchema):
    """Which session, and how much of it."""

    user_id = ScopeName(metadata={"description": "The user it belongs to"})
    namespace = ScopeName(metadata={"description": "The tenant it belongs to"})
    recent_messages_limit = Whole(metadata={"description": "Only so many of the latest messages; 0 or less: all"})


class RevisionHeaderSchema(QuerySchema):
    """An optional condition on the stored revision."""

    if_match = Text(
        data_key="If-Match",
        metadata={"description": "The ETag of the revision that may be replaced; 412 when it is no longer current"},
    )


class ScopeQuerySchema(QuerySchema):
    """Part of a scope; what is absent is left open."""

    user_id = ScopeName(metadata={"description": "Only this user's"})
    namespace = ScopeName(metadata={"description": "Only this tenant's"})


class ListSessionsQuerySchema(ScopeQuerySchema):
    """A page of sessions."""

    limit = Whole(load_default=20, validate=validate.Range(min=1, max=100), metadata={"description": "Page size"})
    offset = Whole(load_default=0, validate=validate.Range(min=0), metadata={"description": "Where the page begins"})


class SessionListSchema(AnswerSchema):
    """Session ids, newest first, and their true number."""

    sessions = fields.List(fields.String())
    total = fields.Integer()

    def to_wire(self, value: tuple[list[str], int]) -> dict[str, Any]:
        """Ids and total."""
        return {"sessions": value[0], "total": value[1]}
