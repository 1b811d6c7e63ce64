"""JSON in, engine values, JSON out: the REST schemas, used outside of a Flask request."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import marshmallow as ma
from flask import Flask

from app.api.schemas.base import WireSchema
from app.api.wire import OrjsonProvider, flat_problems
from app.config import get_settings
from app.memory.errors import ValidationFailed


@lru_cache(maxsize=1)
def _flask() -> Flask:
    """The schemas read the deployment's limits from the current Flask application; this one has only those."""
    flask = Flask("app", static_folder=None)
    flask.config["SETTINGS"] = get_settings()
    flask.json = OrjsonProvider(flask)
    return flask


def load(schema: type[WireSchema], arguments: dict[str, Any]) -> Any:
    """Arguments as the engine's values. Raises ValidationFailed, or what the schema says beyond that."""
    one = schema()
    given = {name: _unwrapped(one.fields.get(name), value) for name, value in arguments.items()}
    with _flask().app_context():
        try:
            return one.load(given)
        except ma.ValidationError as error:
            raise ValidationFailed(flat_problems(error.messages, [], given)) from None


def _unwrapped(field: ma.fields.Field | None, value: Any) -> Any:
    """A value; some hosts send lists and objects as JSON text."""
    if isinstance(value, str) and value[:1] in ("{", "[") and not isinstance(field, ma.fields.String):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def dump(schema: type[WireSchema], value: Any) -> str:
    """The engine's value as JSON text."""
    return str(_flask().json.dumps(schema().dump(value)))
