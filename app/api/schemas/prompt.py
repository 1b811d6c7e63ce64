"""Hydration on the wire (contract 4)."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields

from app.api.schemas.base import WireSchema
from app.api.schemas.fields import Id, ScopeName, Text, Whole
from app.api.schemas.memory import MemoryResultSchema
from app.api.schemas.search import SearchRequestSchema
from app.memory.prompt import HydratedPrompt


class PromptSessionSchema(WireSchema):
    """The session to hydrate from, and the window of the caller's model."""

    session_id = Id(required=True)
    namespace = ScopeName()
    user_id = ScopeName()
    model_name = Text()
    context_window_max = Whole()


class SearchOrFlag(fields.Field):
    """A search request, or true for "search with the query", or false for none."""

    _search = SearchRequestSchema()

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if isinstance(value, bool):
            return value
        if not isinstance(value, dict):
            raise ma.ValidationError("Input should be a search request or a boolean")
        return self._search.load(value)


class PromptRequestSchema(WireSchema):
    """What to hydrate."""

    query = Text(required=True, metadata={"description": "The user's next message"})
    session = fields.Nested(PromptSessionSchema)
    long_term_search = SearchOrFlag(metadata={"description": "A search request; its text is replaced by the query"})


class PromptSchema(WireSchema):
    """The prompt's messages, and the memories in it."""

    messages = fields.List(fields.Dict())
    long_term_memories = fields.List(fields.Nested(MemoryResultSchema), allow_none=True)

    def to_wire(self, value: HydratedPrompt) -> dict[str, Any]:
        """Message contents are objects, not strings."""
        hit = MemoryResultSchema()
        return {
            "messages": [
                {
                    "role": m.role,
                    "content": {"type": "text", "text": m.text, "annotations": None, "_meta": None},
                }
                for m in value.messages
            ],
            "long_term_memories": [hit.to_wire(f) for f in value.memories] if value.memories else None,
        }
