"""Hydration on the wire (contract 4)."""

from __future__ import annotations

from typing import Any, ClassVar

import marshmallow as ma
from marshmallow import fields, validate

from app.api.schemas.base import AnswerSchema, WireSchema
from app.api.schemas.fields import Id, ScopeName, Text, Whole
from app.api.schemas.memory import MemoryResultSchema
from app.api.schemas.search import SearchRequestSchema
from app.memory.prompt import HydratedPrompt


class PromptSessionSchema(WireSchema):
    """The session to hydrate from, and the window of the caller's model."""

    session_id = Id(required=True, metadata={"description": "An unknown session counts as empty"})
    namespace = ScopeName(metadata={"description": "The tenant it belongs to"})
    user_id = ScopeName(metadata={"description": "The user it belongs to; also limits the search"})
    model_name = Text(metadata={"description": "Any model name; unknown ones have the default window"})
    context_window_max = Whole(metadata={"description": "Window in tokens; wins over model_name"})


class SearchOrFlag(fields.Field):
    """A search request, or true for "search with the query", or false for none."""

    _search = SearchRequestSchema()

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if isinstance(value, bool):
            return value
        if not isinstance(value, dict):
            raise ma.ValidationError("Input should be a search request or a boolean")
        return self._search.load(value)

    def json_schema(self, *, answering: bool) -> dict[str, Any]:
        """A reference to the search request, or a boolean."""
        return {"anyOf": [{"$ref": "#/components/schemas/SearchRequest"}, {"type": "boolean"}]}


class PromptRequestSchema(WireSchema):
    """What to hydrate."""

    query = Text(required=True, metadata={"description": "The user's next message"})
    session = fields.Nested(PromptSessionSchema, metadata={"description": "Whose conversation comes first"})
    long_term_search = SearchOrFlag(metadata={"description": "A search request; its text is replaced by the query"})


class PromptContentSchema(AnswerSchema):
    """The content of a prompt's message."""

    type = fields.String(validate=validate.OneOf(["text"]))
    text = fields.String()
    annotations = fields.Dict(allow_none=True, metadata={"description": "Always null"})
    meta = fields.Dict(data_key="_meta", allow_none=True, metadata={"description": "Always null"})


class PromptMessageSchema(AnswerSchema):
    """A message of a prompt."""

    role = fields.String(validate=validate.OneOf(["system", "user", "assistant"]))
    content = fields.Nested(PromptContentSchema)


class PromptSchema(AnswerSchema):
    """The prompt's messages, and the memories in it."""

    unlisted: ClassVar[tuple[str, ...]] = ("long_term_memories.explanation",)

    messages = fields.List(
        fields.Nested(PromptMessageSchema),
        metadata={"description": "Summary, conversation, related memories, and last the query"},
    )
    long_term_memories = fields.List(
        fields.Nested(MemoryResultSchema), allow_none=True, metadata={"description": "Null without a search or hits"}
    )

    _hit: ClassVar[MemoryResultSchema] = MemoryResultSchema()

    def to_wire(self, value: HydratedPrompt) -> dict[str, Any]:
        """Message contents are objects, not strings."""
        return {
            "messages": [
                {
                    "role": m.role,
                    "content": {"type": "text", "text": m.text, "annotations": None, "_meta": None},
                }
                for m in value.messages
            ],
            "long_term_memories": [self._hit.to_wire(f) for f in value.memories] if value.memories else None,
        }
