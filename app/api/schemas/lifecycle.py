"""Forgetting and compaction on the wire (contract 3.10, 3.11)."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, validate

from app.api.schemas.base import AnswerSchema, WireSchema
from app.api.schemas.fields import Flag, Real, Text, Whole
from app.api.schemas.working import ScopeQuerySchema
from app.memory.lifecycle import ForgetPolicy, ForgetReport
from app.memory.models import MemoryType

_POSITIVE = validate.Range(min=0, error="Input should be greater than or equal to 0")
_TYPES = validate.OneOf([str(t) for t in MemoryType], error="Input should be one of: {choices}")


class PolicySchema(WireSchema):
    """What may be forgotten; limits that are absent are not used."""

    max_age_days = Real(validate=_POSITIVE, metadata={"description": "Days since creation"})
    max_inactive_days = Real(validate=_POSITIVE, metadata={"description": "Days since the last access"})
    budget = Whole(validate=_POSITIVE, metadata={"description": "Keep this many of the most recent"})
    memory_type_allowlist = fields.List(
        Text(validate=_TYPES), metadata={"description": "Only memories of these types may go"}
    )
    hard_age_multiplier = Real(
        load_default=12.0,
        validate=_POSITIVE,
        metadata={"description": "With both limits set: this many times max_age_days is too old whatever the use"},
    )

    def made(self, data: dict[str, Any]) -> ForgetPolicy:
        """The policy."""
        if (allowed := data.get("memory_type_allowlist")) is not None:
            data["memory_type_allowlist"] = tuple(allowed)
        return ForgetPolicy(**data)


class ForgetSchema(WireSchema):
    """The body of a forget."""

    policy = fields.Nested(
        PolicySchema,
        required=True,
        error_messages={"required": "Field required"},
        metadata={"description": "What may go"},
    )
    pinned_ids = fields.List(Text(), load_default=list, metadata={"description": "Ids to keep besides pinned ones"})


class ForgetQuerySchema(ScopeQuerySchema):
    """Whose memories, how many, and whether really."""

    session_id = Text(metadata={"description": "Only what came from this session"})
    limit = Whole(
        load_default=1000,
        validate=validate.Range(min=1, max=100_000),
        metadata={"description": "How many are looked at, oldest first"},
    )
    dry_run = Flag(load_default=True, metadata={"description": "True: only say what would go"})


class ForgetReportSchema(AnswerSchema):
    """What went, or would go."""

    scanned = fields.Integer(metadata={"description": "How many were looked at"})
    deleted = fields.Integer(metadata={"description": "How many went, or would go"})
    deleted_ids = fields.List(fields.String())
    dry_run = fields.Boolean()

    def to_wire(self, value: ForgetReport) -> dict[str, Any]:
        """All fields of the contract."""
        return {
            "scanned": value.scanned,
            "deleted": len(value.deleted_ids),
            "deleted_ids": list(value.deleted_ids),
            "dry_run": value.dry_run,
        }
