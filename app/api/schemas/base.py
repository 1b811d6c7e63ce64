"""The base of all schemas: null means absent, unknown fields are ignored, loading and dumping are direct."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import marshmallow as ma

from app.api.schemas.reading import Irregular, Read, reader


class WireSchema(ma.Schema):
    """A shape of the wire.

    Fields describe it (for validation and for the OpenAPI document). `to_wire` writes it straight from the engine's
    value: dumping field by field would cost more than the rest of a request. For the same reason good values are
    loaded by `reading.reader`: what marshmallow's hooks are for goes into `prepared`, `checked` and `made`.
    """

    class Meta:
        """Unknown fields are ignored: the published clients send some (wire contract 1.1)."""

        unknown = ma.EXCLUDE

    # Whether the request may come without a body at all.
    body_optional: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if hooks := [name for name, value in vars(cls).items() if hasattr(value, "__marshmallow_hook__")]:
            raise TypeError(f"{cls.__name__}.{hooks[0]}: use prepared, checked or made instead of marshmallow's hooks")

    def prepared(self, data: dict[str, Any]) -> dict[str, Any]:
        """The given fields, before they are loaded; null means absent. May raise ValidationError."""
        return {k: v for k, v in data.items() if v is not None}

    def checked(self, data: dict[str, Any]) -> None:
        """Raise ValidationError for loaded fields that do not go together."""

    def made(self, data: dict[str, Any]) -> Any:
        """What the loaded fields become."""
        return data

    @cached_property
    def read(self) -> Read:
        """Loads a well-formed value; raises Irregular for others."""
        return reader(self)

    def load(self, data: Any, *, many: bool | None = None, partial: Any = None, unknown: Any = None) -> Any:
        """Load one value, or `many`. Raises marshmallow's ValidationError."""
        if not many and not self.many and partial is None and unknown in (None, self.unknown):
            try:
                return self.read(data)
            except (Irregular, ma.ValidationError):
                pass  # marshmallow knows what is wrong, and where
        return super().load(data, many=many, partial=partial, unknown=unknown)

    @ma.pre_load
    def _prepare(self, data: Any, **_: Any) -> Any:
        return self.prepared(data) if isinstance(data, dict) else data

    @ma.validates_schema
    def _check(self, data: dict[str, Any], **_: Any) -> None:
        self.checked(data)

    @ma.post_load
    def _make(self, data: dict[str, Any], **_: Any) -> Any:
        return self.made(data)

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
