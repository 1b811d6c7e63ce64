"""JSON at the border: reading bodies, writing answers, and what a validation error looks like."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import marshmallow as ma
import orjson
from flask import Request, current_app, g, request
from flask.json.provider import JSONProvider
from webargs.core import missing
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from app.memory.errors import ValidationFailed

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS
# More of a refused value is not repeated in the answer.
MAX_INPUT_CHARS = 2_000


class OrjsonProvider(JSONProvider):
    """orjson for every answer: datetimes as ISO 8601 with `Z`, the fraction left out when it is zero."""

    def dumps(self, obj: Any, **_: Any) -> str:
        """JSON text."""
        return orjson.dumps(obj, option=_OPTIONS).decode()

    def loads(self, s: str | bytes, **_: Any) -> Any:
        """A JSON value."""
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Any:
        """An answer with a JSON body."""
        value = self._prepare_response_obj(args, kwargs)
        return current_app.response_class(orjson.dumps(value, option=_OPTIONS), mimetype="application/json")


def problem(kind: str, loc: list[Any], message: str, given: Any = None) -> dict[str, Any]:
    """One entry of a 422's `detail` (wire contract 1.4)."""
    return {"type": kind, "loc": loc, "msg": message, "input": _shown(given)}


def _shown(given: Any) -> Any:
    """What was given, or only its kind when it is long or nested more deeply than an answer could hold."""
    if isinstance(given, (dict, list)):
        small = len(given) <= MAX_INPUT_CHARS and check_depth(given)
        return given if small and len(orjson.dumps(given)) <= MAX_INPUT_CHARS else f"({type(given).__name__})"
    if isinstance(given, str) and len(given) > MAX_INPUT_CHARS:
        return f"{given[:MAX_INPUT_CHARS]}…"
    return given


def read_json(request: Request) -> Any:
    """The request's JSON value; `missing` when there is no body. Raises ValidationFailed, or werkzeug's 413 / 415."""
    if request.headers.get("Content-Encoding", "identity").lower() not in ("", "identity"):
        raise UnsupportedMediaType("compressed request bodies are not supported; send the JSON as it is")
    try:
        raw = request.get_data(cache=True)
    except RequestEntityTooLarge:
        limit = current_app.config["MAX_CONTENT_LENGTH"]
        raise RequestEntityTooLarge(f"the request body is larger than {limit} bytes (MAX_REQUEST_BYTES)") from None
    if not raw:
        return missing
    if request.mimetype and not (request.mimetype == "application/json" or request.mimetype.endswith("+json")):
        wrong = f"the body must be JSON with content type application/json, not {request.mimetype}"
        raise ValidationFailed([problem("model_attributes_type", ["body"], wrong)])
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ValidationFailed(
            [problem("json_invalid", ["body", error.pos], f"JSON decode error: {error.msg}", {})]
        ) from None
    g.body = value
    return value


def flat_problems(messages: Any, loc: list[Any], given: Any) -> list[dict[str, Any]]:
    """Marshmallow's nested messages as a flat list with locations."""
    if isinstance(messages, dict):
        found = []
        for key, inner in messages.items():
            if key == "_schema":
                found += flat_problems(inner, loc, given)
                continue
            try:
                child = given[key]
            except (KeyError, IndexError, TypeError):
                child = None
            found += flat_problems(inner, [*loc, key], child)
        return found
    return [
        problem("missing" if text == REQUIRED else "value_error", loc, text, given)
        for text in (messages if isinstance(messages, list) else [str(messages)])
    ]


REQUIRED = "Field required"


class WireParser(FlaskParser):
    """flask-smorest's way to the arguments: our own JSON reader, the schemas' own loading, 422 with locations."""

    def use_args(self, argmap: Any, req: Any = None, *, location: str | None = None, **_: Any) -> Any:
        """A decorator that gives the view what `argmap` (a WireSchema) loads from a part of the request."""
        schema = argmap() if isinstance(argmap, type) else argmap
        source, where = _SOURCES[location or "json"]
        given = source(schema)

        def decorated(view: Callable[..., Any]) -> Callable[..., Any]:
            @wraps(view)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                value = given()
                try:
                    loaded = schema.load(value)
                except ma.ValidationError as error:
                    raise ValidationFailed(flat_problems(error.messages, [where], value)) from None
                return view(*args, loaded, **kwargs)

            return wrapper

        return decorated


Given = Callable[[], Any]


def _body(schema: ma.Schema) -> Given:
    optional = getattr(schema, "body_optional", False)

    def given() -> Any:
        value = read_json(request)
        if value is not missing:
            return value
        if optional:
            return {}
        raise ValidationFailed([problem("missing", ["body"], REQUIRED)])

    return given


def _query(schema: ma.Schema) -> Given:
    lists = {field.data_key or name for name, field in schema.load_fields.items() if isinstance(field, ma.fields.List)}

    def given() -> dict[str, Any]:
        if not request.query_string:
            return {}
        args = request.args
        return {name: args.getlist(name) if name in lists else args[name] for name in args}

    return given


def _headers(schema: ma.Schema) -> Given:
    names = [field.data_key or name for name, field in schema.load_fields.items()]
    return lambda: {name: request.headers.get(name) for name in names}


# Location → what reads a schema's values there from a request, and its name in a problem's `loc`.
_SOURCES: dict[str, tuple[Callable[[ma.Schema], Given], str]] = {
    "json": (_body, "body"),
    "query": (_query, "query"),
    "headers": (_headers, "headers"),
}


def check_depth(value: Any, most: int = 32) -> bool:
    """Whether a JSON value is nested at most this deep; deeper ones cost more than they can mean."""
    level = [value]
    for _ in range(most):
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item if isinstance(item, list) else ())
            if isinstance(child, (dict, list))
        ]
        if not level:
            return True
    return False
