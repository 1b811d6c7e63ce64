"""Filter objects on the wire (contract 3.5): exact strings and times, every operator under all its names."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields

from app.api.schemas.fields import TIME_REQUEST, parse_time
from app.memory.filters import TagFilter, TimeFilter
from app.memory.models import MemoryType

MAX_FILTER_VALUES = 1000

# The published clients' names for the same operators.
_ALIASES = {"in_": "any", "not_eq": "ne", "not_in": "none"}
_TAG_OPERATORS = ("eq", "ne", "any", "all", "none", "startswith")
_TIME_OPERATORS = ("gt", "lt", "gte", "lte", "eq", "ne")
_INCLUSIVE = ("both", "neither", "left", "right")
MAX_VALUE_CHARS = 255


class TagFilterField(fields.Field):
    """A filter object on exact strings; all its operators are AND-ed."""

    def __init__(self, *, choices: tuple[str, ...] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._choices = choices

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> tuple[TagFilter, ...] | None:
        if not isinstance(value, dict):
            raise ma.ValidationError('Input should be a filter object, for instance {"eq": "value"}')
        operators: dict[str, Any] = {}
        # An operator that is given under both of its names: the second is another condition.
        again: dict[str, Any] = {}
        for given, operand in value.items():
            name = _ALIASES.get(given, given)
            if operand is None or name == "field":
                continue
            if name not in _TAG_OPERATORS:
                known = ", ".join((*_TAG_OPERATORS, *_ALIASES))
                raise ma.ValidationError(f"Unknown filter operator {given!r}; known are: {known}")
            place = again if name in operators else operators
            if name in ("eq", "ne", "startswith"):
                place[name] = self._text(operand)
            else:
                if not isinstance(operand, list) or not operand:
                    raise ma.ValidationError(f"{given} should be a list with at least one string")
                if len(operand) > MAX_FILTER_VALUES:
                    raise ma.ValidationError(f"{given} should have at most {MAX_FILTER_VALUES} values")
                place[name] = tuple(self._text(item) for item in operand)
        for one, other in (("eq", "ne"), ("any", "all")):
            if one in operators and other in operators:
                raise ma.ValidationError(f"Value error, {one} and {other} cannot be combined")
        if "startswith" in operators and (not operators["startswith"] or len(operators) > 1):
            raise ma.ValidationError("Value error, startswith should be non-empty and stand alone")
        return tuple(TagFilter(**given) for given in (operators, again) if given) or None

    def json_schema(self, *, answering: bool) -> dict[str, Any]:
        """A reference to one of FILTERS."""
        return {"$ref": f"#/components/schemas/{'MemoryTypeFilter' if self._choices else 'TagFilter'}"}

    def _text(self, value: Any) -> str:
        if not isinstance(value, str):
            raise ma.ValidationError("Filter values should be strings")
        if len(value) > MAX_VALUE_CHARS:
            raise ma.ValidationError(f"Filter values should have at most {MAX_VALUE_CHARS} characters")
        if self._choices and value not in self._choices:
            raise ma.ValidationError(f"Input should be one of: {', '.join(self._choices)}")
        return value


class TimeFilterField(fields.Field):
    """A filter object on a time; all its operators are AND-ed."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> TimeFilter | None:
        if not isinstance(value, dict):
            raise ma.ValidationError('Input should be a filter object, for instance {"gte": "2026-01-01"}')
        operators: dict[str, Any] = {}
        for name, operand in value.items():
            if operand is None or name == "field":
                continue
            if name in _TIME_OPERATORS:
                operators[name] = parse_time(operand)
            elif name == "between":
                if not isinstance(operand, list) or len(operand) != 2:
                    raise ma.ValidationError("Value error, between should be a list of exactly 2 datetimes")
                operators[name] = (parse_time(operand[0]), parse_time(operand[1]))
            elif name == "inclusive":
                if operand not in _INCLUSIVE:
                    raise ma.ValidationError(f"inclusive should be one of: {', '.join(_INCLUSIVE)}")
                operators[name] = operand
            else:
                known = ", ".join((*_TIME_OPERATORS, "between", "inclusive"))
                raise ma.ValidationError(f"Unknown filter operator {name!r}; known are: {known}")
        if "between" in operators and operators.keys() & {"eq", "ne", "gt", "lt", "gte"}:
            raise ma.ValidationError("Value error, between cannot be combined with other operators")
        if not operators.keys() - {"inclusive"}:
            return None
        return TimeFilter(**operators)

    def json_schema(self, *, answering: bool) -> dict[str, Any]:
        """A reference to one of FILTERS."""
        return {"$ref": "#/components/schemas/TimeFilter"}


def _filter_schema(description: str, properties: dict[str, Any]) -> dict[str, Any]:
    about = f"{description} All operators given are AND-ed; none given: no filter."
    return {"type": "object", "description": about, "properties": properties, "additionalProperties": False}


def _tag_schema(description: str, value: dict[str, Any], *, prefixes: bool) -> dict[str, Any]:
    values = {"type": ["array", "null"], "items": value, "minItems": 1, "maxItems": MAX_FILTER_VALUES}
    one = {"anyOf": [value, {"type": "null"}]}
    properties: dict[str, Any] = {
        "eq": {**one, "description": "Exactly this; an empty string: no value at all"},
        "ne": {**one, "description": "Not this, or no value; not with eq"},
        "any": {**values, "description": "At least one of these"},
        "all": {**values, "description": "All of these; not with any"},
        "none": {**values, "description": "None of these, or no value"},
    }
    for alias, name in _ALIASES.items():
        properties[alias] = {**properties[name], "description": f"The same as {name}"}
    if prefixes:
        properties["startswith"] = {
            "type": ["string", "null"],
            "minLength": 1,
            "maxLength": MAX_VALUE_CHARS,
            "description": "Begins with this; stands alone",
        }
    return _filter_schema(description, properties)


def _time_schema() -> dict[str, Any]:
    texts = {
        "gt": "After",
        "lt": "Before",
        "gte": "At or after",
        "lte": "At or before",
        "eq": "In this second",
        "ne": "Not in this second, or no value",
    }
    moment = {"anyOf": [*TIME_REQUEST["anyOf"], {"type": "null"}]}
    properties: dict[str, Any] = {name: {**moment, "description": text} for name, text in texts.items()}
    properties["between"] = {
        "type": ["array", "null"],
        "items": TIME_REQUEST,
        "minItems": 2,
        "maxItems": 2,
        "description": "From the first to the second; with no other operator but lte",
    }
    properties["inclusive"] = {
        "enum": [*_INCLUSIVE, None],
        "description": "Which ends of between belong to it; default: both",
    }
    return _filter_schema("A filter on a time.", properties)


# The filter objects of a search, for the OpenAPI document.
FILTERS: dict[str, Any] = {
    "TagFilter": _tag_schema(
        "A filter on exact strings.", {"type": "string", "maxLength": MAX_VALUE_CHARS}, prefixes=True
    ),
    "MemoryTypeFilter": _tag_schema(
        "A filter on the type of a memory.", {"type": "string", "enum": [str(t) for t in MemoryType]}, prefixes=False
    ),
    "TimeFilter": _time_schema(),
}
