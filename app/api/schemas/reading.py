"""Reads well-formed values as a schema would, without marshmallow's machinery around every field.

Marshmallow gathers all problems with their places, which is what a bad request needs and what costs a good one most
of its time (1 ms for ten messages against 0.1 ms here; docs/performance.md). So a good value is read by functions made
once per schema, from the schema's own fields and validators; whatever they stumble over goes to marshmallow, which
tells what is wrong, or reads it after all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import marshmallow as ma
from marshmallow import fields, validate

if TYPE_CHECKING:
    from app.api.schemas.base import WireSchema

Read = Callable[[Any], Any]
_ABSENT = object()


class Irregular(Exception):
    """The value is not plainly good: marshmallow shall say what it is."""


def reader(schema: WireSchema) -> Read:
    """A function that loads one value as `schema.load` does, or raises Irregular or what the schema's methods raise."""
    plan = [_plan(name, field) for name, field in schema.load_fields.items()]
    strict = schema.unknown == ma.RAISE
    known = {key for key, *_ in plan}
    prepared, checked, made = schema.prepared, schema.checked, schema.made

    def read(value: Any) -> Any:
        if value.__class__ is not dict:
            raise Irregular
        given = prepared(value)
        if strict and not known.issuperset(given):
            raise Irregular
        loaded: dict[str, Any] = {}
        for key, name, convert, default, required in plan:
            one = given.get(key, _ABSENT)
            if one is not _ABSENT:
                loaded[name] = convert(one)
            elif required:
                raise Irregular
            elif default is not ma.missing:
                loaded[name] = default() if callable(default) else default
        checked(loaded)
        return made(loaded)

    return read


def _plan(name: str, field: fields.Field[Any]) -> tuple[str, str, Read, Any, bool]:
    key = name if field.data_key is None else field.data_key
    return key, field.attribute or name, _convert(field), field.load_default, field.required


def _convert(field: fields.Field[Any]) -> Read:
    """What `field.deserialize` does with a value that is there."""
    convert = _checked(field, _bare(field))
    allow_none = field.allow_none

    def read(value: Any) -> Any:
        if value is None:
            if allow_none:
                return None
            raise Irregular
        return convert(value)

    return read


def _bare(field: fields.Field[Any]) -> Read:
    """The conversion alone."""
    kind = type(field)
    if isinstance(field, fields.String) and kind._deserialize is fields.String._deserialize:
        return _text
    if isinstance(field, fields.Nested) and isinstance(field.schema, _wire_schema()) and not field.schema.many:
        nested = field.schema
        return lambda value: nested.read(value)  # made late: schemas may nest themselves
    if isinstance(field, fields.List) and kind._deserialize is fields.List._deserialize:
        inner = _convert(field.inner)
        return lambda value: [inner(one) for one in _list(value)]
    deserialize = field._deserialize
    return lambda value: deserialize(value, None, None)


def _wire_schema() -> type[WireSchema]:
    from app.api.schemas.base import WireSchema

    return WireSchema


def _text(value: Any) -> Any:
    if value.__class__ is not str:
        raise Irregular
    return value


def _list(value: Any) -> Any:
    if value.__class__ is not list:
        raise Irregular
    return value


def _checked(field: fields.Field[Any], convert: Read) -> Read:
    """The conversion, then the field's validators."""
    if type(field)._validate is not fields.Field._validate:  # the field has its own idea of them
        own = field._validate

        def with_own(value: Any) -> Any:
            loaded = convert(value)
            own(loaded)
            return loaded

        return with_own
    checks = [_check(one) for one in field.validators]
    if not checks:
        return convert

    def with_all(value: Any) -> Any:
        loaded = convert(value)
        for check in checks:
            check(loaded)
        return loaded

    return with_all


def _check(validator: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A validator, or for the usual ones what it comes to."""
    if type(validator) is validate.OneOf:
        choices = tuple(validator.choices)

        def one_of(value: Any) -> None:
            if value not in choices:
                raise Irregular

        return one_of
    if type(validator) is validate.Length and validator.equal is None:
        least, most = validator.min or 0, validator.max

        def length(value: Any) -> None:
            if len(value) < least or (most is not None and len(value) > most):
                raise Irregular

        return length
    return validator
