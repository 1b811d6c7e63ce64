"""The OpenAPI document: what the schemas cannot say for themselves.

It is generated from the schemas that validate. Kept true here: null means absent in a request body; an answer has
every field, always; every error is `{"detail": …}`.
"""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from apispec import APISpec, BasePlugin
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.common import resolve_schema_instance
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from flask import Flask
from flask_smorest import Api
from flask_swagger_ui import get_swaggerui_blueprint

import app as package
from app.api.access import OPEN
from app.api.schemas.base import AnswerSchema, QuerySchema
from app.api.schemas.filters import FILTERS

DOCUMENT_PATH = "openapi.json"
EXPLORER_PATH = "/docs"
DESCRIPTION = """\
Memory for AI agents. Sessions (working memory) are stored as they are put; what is worth keeping in them becomes
long-term memories in the background, which can be searched and hydrated into prompts.

Requests are read leniently: unknown fields and query parameters are ignored (except in a search, where a misspelt
filter would search too much), null is the same as absent, numbers may come as strings. Every error is JSON with a
`detail`: text, or for 422 a list of problems with their places. 503 means try again after `Retry-After` seconds.
"""
_ERROR = {
    "type": "object",
    "properties": {"detail": {"description": "What is wrong: text, or a list of problems"}},
    "required": ["detail"],
}
_REFUSAL = {
    "type": "object",
    "properties": {"detail": {"type": "string", "description": "What is wrong", "examples": ["Session s1 not found"]}},
    "required": ["detail"],
}
_PROBLEM = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "examples": ["missing"]},
        "loc": {
            "type": "array",
            "items": {"type": ["string", "integer"]},
            "description": "Where: body, query or path, then names and positions",
            "examples": [["body", "memories", 0, "id"]],
        },
        "msg": {"type": "string", "examples": ["Field required"]},
        "input": {"description": "What was given there; cut short when it is long"},
    },
    "required": ["type", "loc", "msg", "input"],
}
_INVALID = {
    "type": "object",
    "properties": {"detail": {"type": "array", "items": {"$ref": "#/components/schemas/Problem"}, "minItems": 1}},
    "required": ["detail"],
}
_RETRY_AFTER = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait"}}


def _answer(schema: str, description: str, **more: Any) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": description, "content": content, **more}


class WireConverter(OpenAPIConverter):
    """Schemas and fields as JSON Schema."""

    def schema2jsonschema(self, schema: Any) -> dict[str, Any]:
        """A schema, described by the first line of its docstring; of an answer every field is required."""
        shown: dict[str, Any] = super().schema2jsonschema(schema)
        instance = resolve_schema_instance(schema)
        if instance.__doc__:
            shown["description"] = instance.__doc__.strip().partition("\n")[0]
        if isinstance(instance, AnswerSchema):
            shown["required"] = sorted(set(shown["properties"]) - instance.OPTIONAL)
        return shown

    def field2property(self, field: ma.fields.Field) -> dict[str, Any]:
        """A field; those of ours may say themselves what they accept."""
        shown: dict[str, Any] = super().field2property(field)
        if own := getattr(field, "json_schema", None):
            described = {k: shown[k] for k in ("description", "example", "default") if k in shown}
            shown = {**own(answering=isinstance(field.root, AnswerSchema)), **described}
        if "example" in shown:
            shown["examples"] = [shown.pop("example")]
        return _or_null(shown) if _nullable(field) else shown

    def field2nullable(self, field: ma.fields.Field, ret: dict[str, Any]) -> dict[str, Any]:
        """Nothing: `field2property` does it, last."""
        return {}

    def field2default(self, field: ma.fields.Field, **kwargs: Any) -> dict[str, Any]:
        """The default of a request's field; None is no default but absence, and answers have none."""
        if isinstance(field.root, AnswerSchema) or field.load_default is None:
            return {}
        default: dict[str, Any] = super().field2default(field, **kwargs)
        return default


def _nullable(field: ma.fields.Field) -> bool:
    schema = field.parent
    if isinstance(schema, AnswerSchema):
        return bool(field.allow_none) or field.name in schema.NULLABLE
    # In a body null is the same as absent; a query has no null; items of a list must be there.
    return isinstance(schema, ma.Schema) and not isinstance(schema, QuerySchema) and not field.required


def _or_null(shown: dict[str, Any]) -> dict[str, Any]:
    if "type" in shown:
        shown["type"] = [shown["type"], "null"]
        if "enum" in shown:
            shown["enum"] = [*shown["enum"], None]
        return shown
    about = {k: shown.pop(k) for k in ("description", "default", "examples") if k in shown}
    return {"anyOf": [*(shown.get("anyOf") or [shown]), {"type": "null"}], **about}


class WirePlugin(BasePlugin):
    """Adds to every operation the errors that all have, and to the document their shapes and those of filters.

    `secured`: the operations ask for a credential, and say so.
    """

    def __init__(self, *, secured: bool = False) -> None:
        self._secured = secured

    def init_spec(self, spec: APISpec) -> None:
        """Register the shapes of errors and filters."""
        if self._secured:
            spec.components.security_scheme("bearer", {"type": "http", "scheme": "bearer"})
            spec.components.security_scheme("key", {"type": "apiKey", "in": "header", "name": "X-API-Key"})
        schemas = {"Error": _ERROR, "Refusal": _REFUSAL, "Problem": _PROBLEM, "Invalid": _INVALID, **FILTERS}
        for name, schema in schemas.items():
            spec.components.schema(name, schema)

    def operation_helper(self, operations: dict[str, Any] | None = None, **_: Any) -> None:
        """Complete the answers of each operation."""
        for operation in (operations or {}).values():
            responses = {str(code): answer for code, answer in operation.get("responses", {}).items()}
            if "422" in responses:
                responses["422"] = _answer("Invalid", "The request is not valid")
            if "requestBody" in operation:
                responses["413"] = _answer("Refusal", "The body is larger than MAX_REQUEST_BYTES")
                responses["415"] = _answer("Refusal", "The body is compressed")
            away = _answer("Refusal", "Redis or a model cannot be reached", headers=_RETRY_AFTER)
            responses.setdefault("503", away)
            responses["default"] = _answer("Error", "Any other error")
            if self._secured and operation.get("operationId") not in OPEN:
                operation["security"] = [{"bearer": []}, {"key": []}]
                responses["401"] = _answer("Refusal", "There is no good credential")
                responses["403"] = _answer("Refusal", "The credential does not open this")
                responses["429"] = _answer("Refusal", "Too many requests", headers=_RETRY_AFTER)
            operation["responses"] = responses


class WireApi(Api):
    """flask-smorest without its own error answers: `errors.py` has them all."""

    def __init__(self, app: Flask, *, secured: bool = False) -> None:
        app.config.update(
            API_TITLE="Agent memory",
            API_VERSION=package.__version__,
            OPENAPI_VERSION="3.1.0",
            OPENAPI_URL_PREFIX="/",
            OPENAPI_JSON_PATH=DOCUMENT_PATH,
        )
        marshmallow_plugin = MarshmallowPlugin()
        marshmallow_plugin.Converter = WireConverter
        super().__init__(
            app,
            spec_kwargs={
                "marshmallow_plugin": marshmallow_plugin,
                "extra_plugins": [WirePlugin(secured=secured)],
                "info": {"description": DESCRIPTION, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
            },
        )

    # The answers that all operations have are `WirePlugin`'s part.
    DEFAULT_ERROR_RESPONSE_NAME = None

    def _register_responses(self) -> None:
        """Leave the shapes of errors to `WirePlugin`."""

    def _register_pagination_header(self) -> None:
        """Pages are told in the body here."""

    def _register_error_handlers(self) -> None:
        """Leave errors to `register_error_handlers`."""


def explorer() -> Any:
    """The API explorer: Swagger UI from the package's own files, so that it works offline."""
    config = {
        "app_name": "Agent memory",
        "validatorUrl": None,  # or it sends the document to a server on the internet
        "oauth2RedirectUrl": f"{EXPLORER_PATH}/oauth2-redirect.html",
    }
    return get_swaggerui_blueprint(EXPLORER_PATH, f"/{DOCUMENT_PATH}", config=config)
