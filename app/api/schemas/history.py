"""The past of a memory on the wire (additive to the contract)."""

from __future__ import annotations

from typing import Any

from marshmallow import fields

from app.api.schemas.base import AnswerSchema
from app.api.schemas.memory import MemoryRecordSchema, memory_to_wire
from app.memory.history import MemoryHistory
from app.store.changes import Version


class VersionSchema(AnswerSchema):
    """One change: what the memory was before it, what happened, by whom and why."""

    NULLABLE = frozenset({"replaced_by", "memory"})

    sequence = fields.Integer(metadata={"description": "Grows with every change of the user's memories"})
    kind = fields.String(metadata={"description": "edited, merged, superseded, folded, confirmed, deleted, forgotten"})
    reason = fields.String()
    actor = fields.String(metadata={"description": "client, pipeline, compaction or forgetting"})
    at = fields.DateTime()
    replaced_by = fields.String(allow_none=True, metadata={"description": "The memory that caused the change"})
    memory = fields.Nested(MemoryRecordSchema, allow_none=True, metadata={"description": "The state before"})

    def to_wire(self, value: Version) -> dict[str, Any]:
        """The event and the state before it."""
        event = value.event
        return {
            "sequence": value.sequence,
            "kind": event.get("kind"),
            "reason": event.get("reason"),
            "actor": event.get("actor"),
            "at": event.get("at"),
            "replaced_by": event.get("by"),
            "memory": memory_to_wire(value.before) if value.before else None,
        }


class HistorySchema(AnswerSchema):
    """A memory, its earlier states, the facts it superseded, and the messages behind it all."""

    NULLABLE = frozenset({"current"})

    memory_id = fields.String()
    current = fields.Nested(MemoryRecordSchema, allow_none=True)
    versions = fields.List(fields.Nested(VersionSchema), metadata={"description": "Oldest first"})
    supersedes = fields.List(fields.Nested(MemoryRecordSchema), metadata={"description": "Latest first"})
    sources = fields.List(fields.Dict(), metadata={"description": "Messages, by session"})

    def to_wire(self, value: MemoryHistory) -> dict[str, Any]:
        """All of it."""
        version = VersionSchema()
        return {
            "memory_id": value.memory_id,
            "current": memory_to_wire(value.current) if value.current else None,
            "versions": [version.to_wire(v) for v in value.versions],
            "supersedes": [memory_to_wire(m) for m in value.supersedes],
            "sources": [
                {
                    "session_id": source.session_id,
                    "message_ids": list(source.message_ids),
                    "messages": [
                        {"id": m.id, "role": m.role, "content": m.content, "created_at": m.created_at}
                        for m in source.messages
                    ],
                }
                for source in value.sources
            ],
        }
