"""What `tools/list` answers: made of `tools.py` once, kept as `tools.json`.

A host starts the stdio server anew for every conversation and waits for this list, so answering it must not load the
engine, Flask and NumPy. After a change of tools or schemas: `python -m app.mcp.catalog` (a test compares).
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

FILE = "tools.json"
Json = dict[str, Any]


def tools() -> list[Json]:
    """The tools as MCP shows them."""
    found: list[Json] = json.loads(files("app.mcp").joinpath(FILE).read_text("utf-8"))
    return found


def build() -> list[Json]:
    """The tools, made of their schemas and docstrings."""
    from app.mcp.tools import TOOLS

    shapes = _Shapes()
    return [
        {
            "name": tool.name,
            "title": tool.title,
            "description": tool.description,
            "inputSchema": shapes.arguments(tool.arguments),
            "outputSchema": shapes.result(tool.result),
            "annotations": {
                "readOnlyHint": tool.read_only,
                "destructiveHint": tool.destructive,
                "idempotentHint": tool.idempotent,
                "openWorldHint": False,
            },
        }
        for tool in TOOLS.values()
    ]


class _Shapes:
    """Marshmallow schemas as JSON Schema, everything inline."""

    def __init__(self) -> None:
        from apispec import APISpec
        from apispec.ext.marshmallow import MarshmallowPlugin

        from app.api.openapi import WireConverter

        def inline(_schema: Any) -> bool:
            return False

        plugin = MarshmallowPlugin(schema_name_resolver=inline)
        spec = APISpec("tools", "1", "3.1.0", plugins=[plugin])
        assert plugin.converter is not None
        # For models simpler than the OpenAPI document: one name for each operator, one form for a time.
        self._arguments = plugin.converter
        self._arguments.add_attribute_function(_own_types)
        self._results = WireConverter("3.1.0", inline, spec)

    def arguments(self, schema: Any) -> Json:
        """What a tool takes. Every optional argument may also be null, which means absent."""
        one = schema()
        hidden = set(getattr(one, "unlisted", ()))
        shown = {name: field for name, field in one.fields.items() if name not in hidden}
        return {"type": "object", "properties": {}, **_plain(self._arguments.fields2jsonschema(shown))} | {
            "additionalProperties": False
        }

    def result(self, schema: Any) -> Json:
        """What a tool returns."""
        return _plain(self._results.schema2jsonschema(schema(exclude=getattr(schema, "unlisted", ()))))


def _plain(shape: Any) -> Json:
    found: Json = json.loads(json.dumps(shape, default=str))
    return found


def _own_types(_converter: Any, field: Any, **_: Any) -> Json:
    """JSON Schema of the fields that marshmallow does not know."""
    from app.api.schemas.fields import Time
    from app.api.schemas.search import TagFilterField, TimeFilterField
    from app.mcp.arguments import SessionName

    if isinstance(field, Time):
        return {"type": "string", "format": "date-time"}
    if isinstance(field, SessionName):
        return {"type": ["string", "object"]}
    if isinstance(field, TagFilterField):
        value: Json = {"type": "string"} | ({"enum": list(field._choices)} if field._choices else {})
        values = {"type": "array", "items": value}
        single = dict.fromkeys(("eq", "ne"), value) | {"startswith": {"type": "string"}}
        return _filter(single | dict.fromkeys(("any", "all", "none"), values))
    if isinstance(field, TimeFilterField):
        time = {"type": "string", "format": "date-time"}
        between = {"type": "array", "items": time, "minItems": 2, "maxItems": 2}
        return _filter(dict.fromkeys(("gt", "gte", "lt", "lte", "eq", "ne"), time) | {"between": between})
    return {}


def _filter(operators: Json) -> Json:
    return {"type": "object", "properties": operators}


if __name__ == "__main__":
    import sys
    from pathlib import Path

    target = Path(__file__).with_name(FILE)
    target.write_text(json.dumps(build(), indent=1, ensure_ascii=False) + "\n", "utf-8")
    sys.stderr.write(f"{target}: {len(tools())} tools\n")
