"""The base of all schemas: null means absent, unknown fields are ignored, dumping is direct."""

from __future__ import annotations

from typing import Any, ClassVar

import marshmallow as ma


class WireSchema(ma.Schema):
    """A shape of the wire.

    Fields describe it (for validation and for the OpenAPI document). `to_wire` writes it straight from the engine's
    value: dumping field by field would cost more than the rest of a request.
    """

    class Meta:
        """Unknown fields are ignored: the published clients send some (wire contract 1.1)."""

        unknown = ma.EXCLUDE

    # Whether the request may come without a body at all.
    body_optional: ClassVar[bool] = False

    @ma.pre_load
    def _null_is_absent(self, data: Any, **_: Any) -> Any:
        if isinstance(data, dict):
            return {k: v for k, v in data.items() if v is not None}
        return data

    def to_wire(self, value: Any) -> Any:
        """The JSON value for one value of the engine."""
        raise NotImplementedError

    def dump(self, obj: Any, *, many: bool | None = None) -> Any:
        """Serialize; see `to_wire`."""
        many = self.many if many is None else many
        return [self.to_wire(o) for o in obj] if many else self.to_wire(obj)


class QuerySchema(WireSchema):
    """Query parameters."""


class AnswerSchema(WireSchema):
    """An answer: every field is always there, except those in OPTIONAL; those in NULLABLE may be null."""

    OPTIONAL: ClassVar[frozenset[str]] = frozenset()
    NULLABLE: ClassVar[frozenset[str]] = frozenset()


class AckSchema(AnswerSchema):
    """What was done."""

    status = ma.fields.String(metadata={"description": "`ok`, possibly with a count", "example": "ok"})

    def to_wire(self, value: Any) -> Any:
        """A string, or a dictionary that has `status`."""
        return {"status": value} if isinstance(value, str) else value
