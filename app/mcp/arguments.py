"""The arguments and results of the tools: the REST schemas, with MCP's names and defaults (wire contract 8.2)."""

from __future__ import annotations

from typing import Any, ClassVar

import marshmallow as ma
from marshmallow import fields, validate

from app.api.schemas.base import AnswerSchema, WireSchema
from app.api.schemas.fields import Flag, Id, ScopeName, Text, Whole
from app.api.schemas.memory import (
    CreateMemoriesSchema,
    MemoryUpdateSchema,
    NewMemorySchema,
    SessionMemorySchema,
    not_too_many,
)
from app.api.schemas.search import SearchRequestSchema
from app.api.schemas.working import MAX_TTL_SECONDS, ScopeQuerySchema, WorkingMemoryUpdateSchema
from app.memory.identity import new_id
from app.memory.models import Memory, MemoryType

DEFAULT_TTL_SECONDS = 3600
_TYPE = validate.OneOf([str(t) for t in MemoryType], error="Input should be one of: {choices}")


class _Arguments(WireSchema):
    """Arguments that are not known are refused: a misspelt one must not be silently without effect."""

    def prepared(self, data: dict[str, Any]) -> dict[str, Any]:
        """The arguments, if all are known; raises ValidationError."""
        unknown = [name for name in data if name not in self.load_fields]
        if unknown:
            known = ", ".join(sorted(self.load_fields)) or "none"
            raise ma.ValidationError({name: [f"Unknown argument; known are: {known}"] for name in unknown})
        return super().prepared(data)


class NoArguments(_Arguments):
    """A tool without arguments."""


# -- long-term memory --------------------------------------------------------------------------------------------------


class FactSchema(NewMemorySchema):
    """A memory to keep; the server gives it an id unless it has one."""

    id = Id(metadata={"description": "Leave out: the server makes one. Give one to be able to write it again"})

    def made(self, data: dict[str, Any]) -> Memory:
        """The memory, with an id."""
        data["persisted_at"] = None
        data.setdefault("id", new_id())
        return self._build(data)


class CreateArguments(_Arguments, CreateMemoriesSchema):
    """What to remember."""

    class Meta(WireSchema.Meta):
        """Deduplication is always on."""

        fields = ("memories",)

    memories = fields.List(
        fields.Nested(FactSchema),
        required=True,
        validate=[validate.Length(min=1, error="Give at least one memory"), not_too_many],
        error_messages={"required": "Field required"},
    )


class SearchArguments(SearchRequestSchema):
    """A search, or with text null a listing."""

    # Accepted, but not worth a model's attention.
    unlisted: ClassVar[tuple[str, ...]] = ("hybrid_alpha", "text_scorer", "as_of", "include_pending", "explain", "why")

    text = Text(
        required=True,
        allow_none=True,
        validate=validate.Length(max=20_000),
        metadata={"description": "What to look for, as a sentence or question; null lists by filter, newest first"},
    )
    optimize_query = Flag(
        load_default=False, metadata={"description": "Let the server's language model rewrite the text first"}
    )

    def prepared(self, data: dict[str, Any]) -> dict[str, Any]:
        """Null is absent, except as the text: there it asks for a listing."""
        kept = super().prepared(data)
        return kept | {"text": None} if "text" in data and data["text"] is None else kept


class SessionName(fields.Field):
    """A session's id, or a filter object `{"eq": id}` (what the contract's tool takes)."""

    _name = Id()

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if isinstance(value, dict):
            if set(value) != {"eq"}:
                raise ma.ValidationError('Input should be a session id, or {"eq": "<session id>"}')
            value = value["eq"]
        name: str = self._name.deserialize(value)
        return name


class PromptArguments(SearchRequestSchema):
    """What to compose a prompt of. Loading yields its own arguments, and the search as `search`."""

    unlisted: ClassVar[tuple[str, ...]] = (
        "hybrid_alpha",
        "text_scorer",
        "extraction_strategy",
        "as_of",
        "include_pending",
        "explain",
        "why",
    )
    _own: ClassVar[tuple[str, ...]] = (
        "query", "session_id", "model_name", "context_window_max", "include_long_term_search",
    )  # fmt: skip

    class Meta(SearchRequestSchema.Meta):
        """The text of the search is the query."""

        exclude = ("text",)

    query = Text(required=True, metadata={"description": "The user's next message, as it is"})
    session_id = SessionName(metadata={"description": "The session whose summary and messages to put in front"})
    model_name = Text(metadata={"description": "Your model, to cut the session to its context window"})
    context_window_max = Whole(metadata={"description": "Window in tokens; wins over model_name"})
    include_long_term_search = Flag(load_default=True, metadata={"description": "False: only the session"})
    optimize_query = Flag(load_default=False)

    def made(self, data: dict[str, Any]) -> dict[str, Any]:
        """The tool's own arguments, and the search."""
        own = {name: data.pop(name, None) for name in self._own}
        return {**own, "search": super().made(data)}


class GetMemoryArguments(_Arguments):
    """Which memory."""

    memory_id = Id(required=True, metadata={"description": "Its id, as a search or a prompt showed it"})


class EditMemoryArguments(_Arguments, MemoryUpdateSchema):
    """Which memory, and what to change; what is left out stays."""

    memory_id = Id(required=True, metadata={"description": "Its id, as a search or a prompt showed it"})


class DeleteMemoriesArguments(_Arguments):
    """Which memories."""

    memory_ids = fields.List(Id(), required=True, error_messages={"required": "Field required"})


class CompactArguments(_Arguments, ScopeQuerySchema):
    """Whose memories."""

    session_id = ScopeName()


# -- working memory ----------------------------------------------------------------------------------------------------


class SessionFactSchema(SessionMemorySchema):
    """A memory noted in a session: by MCP's defaults it is a fact."""

    memory_type = Text(load_default="semantic", validate=_TYPE)
    discrete_memory_extracted = Text(load_default="t", validate=validate.OneOf(["t", "f"]))


class SetSessionArguments(_Arguments, WorkingMemoryUpdateSchema):
    """A session to store, whole."""

    class Meta(WireSchema.Meta):
        """Of a session, what MCP takes."""

        fields = (
            "session_id", "memories", "messages", "context", "data", "namespace", "user_id", "ttl_seconds",
            "long_term_memory_strategy",
        )  # fmt: skip

    session_id = Id(required=True, metadata={"description": "Any name you choose; the same one again replaces it"})
    memories = fields.List(
        fields.Nested(SessionFactSchema),
        load_default=list,
        metadata={"description": "Facts to remember; they become long-term memories in the background"},
    )
    ttl_seconds = Whole(
        load_default=DEFAULT_TTL_SECONDS,
        validate=validate.Range(min=1, max=MAX_TTL_SECONDS, error="Input should be between {min} and {max} seconds"),
        metadata={"description": "How long the session is kept; its long-term memories stay"},
    )


class GetSessionArguments(_Arguments, ScopeQuerySchema):
    """Which session, and how much of it."""

    session_id = Id(required=True)
    recent_messages_limit = Whole(
        validate=validate.Range(min=1), metadata={"description": "Only this many of the newest messages"}
    )


# -- results -----------------------------------------------------------------------------------------------------------


class NowSchema(AnswerSchema):
    """The current time."""

    iso_utc = fields.String(metadata={"example": "2026-01-31T09:30:00Z"})
    unix_ts = fields.Integer()

    def to_wire(self, value: dict[str, Any]) -> dict[str, Any]:
        """Both forms."""
        return value
