"""Fields with the contract's coercions (1.1): lenient where its clients need it, never silently wrong."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any, ClassVar

import marshmallow as ma
from marshmallow import fields, validate

from app.api.wire import REQUIRED

MAX_ID_CHARS = 255
_NUMBER = re.compile(r"[+-]?\d{1,400}(\.\d{1,400})?\Z")
# Numbers above this are milliseconds (the year 2603 in seconds).
_MILLISECONDS_FROM = 2e10
MAX_WHOLE = 2**53
# The years 1 and 9999, in milliseconds.
_TIME_RANGE = {"minimum": -62_135_596_800_000, "maximum": 253_402_300_799_000}

MESSAGES = {"required": REQUIRED, "null": "Input should not be null", "invalid": "Input is not valid"}


def _fail(message: str) -> ma.ValidationError:
    return ma.ValidationError(message)


class Text(fields.String):
    """A string; numbers are refused."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("error_messages", {**MESSAGES, "invalid": "Input should be a valid string"})
        super().__init__(**kwargs)


class Id(Text):
    """An id or a scope name: 1 to 255 characters of any kind."""

    def __init__(self, **kwargs: Any) -> None:
        limits = validate.Length(min=1, max=MAX_ID_CHARS, error="String should have 1 to 255 characters")
        super().__init__(validate=limits, **kwargs)


class ScopeName(Text):
    """A namespace, user or session name: up to 255 characters; "" is the same as absent."""

    def __init__(self, **kwargs: Any) -> None:
        limits = validate.Length(max=MAX_ID_CHARS, error="String should have at most 255 characters")
        super().__init__(validate=limits, **kwargs)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str | None:
        return super()._deserialize(value, *args, **kwargs) or None

    def _validate(self, value: Any) -> None:
        if value is not None:
            super()._validate(value)


class Whole(fields.Integer):
    """An integer; `"5"` and `5.0` are 5, `5.5`, true and huge numbers are refused."""

    def _validated(self, value: Any) -> int:
        if isinstance(value, str) and _NUMBER.match(value.strip()):
            value = float(value) if "." in value else int(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise _fail("Input should be a valid integer")
        if isinstance(value, float):
            if not math.isfinite(value) or value != int(value):
                raise _fail("Input should be a valid integer, got a number with a fractional part")
            value = int(value)
        if abs(value) > MAX_WHOLE:
            raise _fail("Input is too large")
        return value

    def json_schema(self, *, answering: bool) -> dict[str, Any]:
        """An integer that every JSON reader can hold."""
        limits: dict[str, Any] = {} if answering else {"minimum": -MAX_WHOLE, "maximum": MAX_WHOLE}
        for validator in self.validators:
            if isinstance(validator, validate.Range):
                given = {"minimum": validator.min, "maximum": validator.max}
                limits |= {name: value for name, value in given.items() if value is not None}
        return {"type": "integer", **limits}


class Real(fields.Float):
    """A finite number; numeric strings are read, true is refused."""

    def _validated(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise _fail("Input should be a valid number")
        try:
            number = float(value)
        except ValueError:
            raise _fail("Input should be a valid number, unable to parse string as a number") from None
        if not math.isfinite(number):
            raise _fail("Input should be a finite number")
        return number


class Flag(fields.Boolean):
    """A boolean, also as "true", "1", "on", "yes" and their opposites."""

    default_error_messages: ClassVar[dict[str, str]] = {"invalid": "Input should be a valid boolean"}


def parse_time(value: Any) -> datetime:
    """A time in any of the contract's forms, as aware UTC; without a zone it is UTC.

    ISO 8601 (date only, 0-9 fraction digits), or Unix seconds or milliseconds as number or string.
    Raises marshmallow's ValidationError.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise _fail("Input should be a valid datetime")
    if isinstance(value, str):
        text = value.strip()
        if text[4:5] == "-" or not _NUMBER.match(text):
            try:
                parsed = datetime.fromisoformat(text)
                zoned = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
            except (ValueError, OverflowError):
                raise _fail("Input should be a valid datetime, in ISO 8601 or Unix time") from None
            return zoned
        value = float(text)
    seconds = value / 1000.0 if abs(value) > _MILLISECONDS_FROM else value
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise _fail("Input should be a valid datetime, the number is out of range") from None


TIME_ANSWER = {"type": "string", "format": "date-time"}
TIME_REQUEST = {
    "anyOf": [TIME_ANSWER, {"type": "number", "description": "Unix seconds or milliseconds", **_TIME_RANGE}]
}


class Time(fields.Field):
    """A time; see `parse_time`."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> datetime:
        return parse_time(value)

    def json_schema(self, *, answering: bool) -> dict[str, Any]:
        """ISO 8601, or in requests also Unix time."""
        return TIME_ANSWER if answering else TIME_REQUEST


class Labels(fields.List):
    """Topics, entities or source ids: strings without commas (wire contract 1.6)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(Text(validate=_label, metadata={"pattern": "^[^,]*$", "maxLength": MAX_ID_CHARS}), **kwargs)


def _label(value: str) -> None:
    if "," in value:
        raise _fail("Value error, must not contain commas")
    if len(value) > MAX_ID_CHARS:
        raise _fail("String should have at most 255 characters")


class Json(fields.Dict):
    """A JSON object of any content, nested at most 32 levels."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        from app.api.wire import check_depth

        if not isinstance(value, dict):
            raise _fail("Input should be a valid dictionary")
        if not check_depth(value):
            raise _fail("Input is nested too deeply (at most 32 levels)")
        return value
