"""What MkDocs cannot do alone: references generated from the code, an order of pages, links into the repository.

Run by mkdocs (`hooks` in mkdocs.yml). Nothing that is generated here is kept in the tree, so it cannot be out of date.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
Json = dict[str, Any]

# Pages that are not named here come last, under "More"; pages that are not there (yet) are left out.
ORDER: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Start", ("index.md", "quickstart.md", "concepts.md", "demo.md")),
    ("Clients", ("python.md", "javascript.md", "java.md", "mcp.md")),
    ("Recipes", ("recipes.md", "frameworks.md")),
    ("How it works", ("architecture.md", "retrieval.md", "memory-lifecycle.md", "summaries.md", "topics.md", "llm.md")),
    (
        "Running it",
        (
            "configuration.md",
            "operations.md",
            "embedding-models.md",
            "performance.md",
            "security.md",
            "explorer.md",
            "benchmarks.md",
            "quality.md",
        ),
    ),
    ("Migrating", ("migrate-from-redis-agent-memory-server.md", "migrate-from-mem0.md")),
    ("Reference", ("api.md", "reference/rest.md", "reference/mcp.md")),
)
_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")


# -- hooks ---------------------------------------------------------------------------------------------------------


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, then put all pages into an order."""
    files.append(File.generated(config, "reference/rest.md", content=rest_reference()))
    files.append(File.generated(config, "reference/mcp.md", content=mcp_reference()))
    config.nav = navigation(sorted(f.src_uri for f in files.documentation_pages()))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Links to files of the repository that are no pages become their names; all others are left to be checked."""
    if page.file.abs_src_path is None:
        return markdown
    folder = Path(page.file.abs_src_path).parent

    def shown(link: re.Match[str]) -> str:
        target = (folder / link["target"]).resolve()
        outside = target.exists() and ROOT / "docs" not in target.parents
        return f"{link['text']} (`{target.relative_to(ROOT)}`)" if outside else link[0]

    return _LINK.sub(shown, markdown)


def navigation(pages: Iterable[str]) -> list[Json]:
    """The pages as sections."""
    left = list(pages)
    sections: list[Json] = []
    for title, wanted in ORDER:
        found = [name for name in wanted if name in left]
        left = [name for name in left if name not in found]
        if found:
            sections.append({title: found})
    more = [name for name in left if not name.startswith("decisions/")]
    decisions = [name for name in left if name.startswith("decisions/")]
    return [*sections, *([{"More": more}] if more else []), *([{"Decisions": decisions}] if decisions else [])]


# -- the REST reference ----------------------------------------------------------------------------------------------


def openapi_document() -> Json:
    """The document that a server with default settings answers with; needs neither Redis nor models."""
    from app.api.application import build
    from app.config import Settings

    answer = build(Settings(_env_file=None)).test_client().get("/openapi.json")
    return dict(answer.get_json())


def rest_reference() -> str:
    """Every route, parameter, field and error."""
    document = openapi_document()
    parts = [
        "# REST reference",
        "Generated from the server's OpenAPI document, which it serves at `/openapi.json`. What holds for all routes, "
        "and the limits, are in [The REST API](../api.md).",
    ]
    by_tag: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method == "parameters":
                continue
            parameters = [*methods.get("parameters", []), *operation.get("parameters", [])]
            tag = operation.get("tags", ["Other"])[0]
            by_tag.setdefault(tag, []).append(_operation(method, path, operation, parameters))
    about = {tag["name"]: tag.get("description", "") for tag in document.get("tags", [])}
    for tag, operations in by_tag.items():
        parts += [f"## {tag.replace('-', ' ').capitalize()}", about.get(tag, ""), *operations]
    parts.append("## Schemas")
    parts += [_schema(name, schema) for name, schema in sorted(document["components"]["schemas"].items())]
    return "\n\n".join(part for part in parts if part) + "\n"


def _operation(method: str, path: str, operation: Json, parameters: list[Json]) -> str:
    lines = [f"### `{method.upper()} {path}` {{ #{operation['operationId']} }}", operation.get("summary", "")]
    if parameters:
        rows = [
            (f"`{p['name']}`", p["in"], _type(p.get("schema", {})), p.get("description") or _about(p.get("schema", {})))
            for p in parameters
        ]
        lines.append(_table(("parameter", "in", "type", "meaning"), rows))
    if body := operation.get("requestBody"):
        lines.append(f"Body: {_content(body)}")
    rows = [
        (f"`{code}`", _content(answer), answer.get("description", ""))
        for code, answer in sorted(operation["responses"].items())
    ]
    lines.append(_table(("answer", "body", "when"), rows))
    return "\n\n".join(line for line in lines if line)


def _content(holder: Json) -> str:
    content = holder.get("content", {}).get("application/json", {})
    return _type(content["schema"]) if "schema" in content else ""


def _schema(name: str, schema: Json) -> str:
    lines = [f"### {name} {{ #schema-{name.lower()} }}", schema.get("description", "")]
    required = schema.get("required", [])
    if properties := schema.get("properties"):
        rows = [
            (f"`{field}`", _type(about), "yes" if field in required else "", _about(about))
            for field, about in properties.items()
        ]
        lines.append(_table(("field", "type", "required", "meaning"), rows))
    return "\n\n".join(line for line in lines if line)


def _type(schema: Json) -> str:
    """A JSON Schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#schema-{name.lower()})"
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(_type(option) for option in options))
    if "enum" in schema:
        return ", ".join("null" if value is None else f"`{value}`" for value in schema["enum"])
    kinds = schema.get("type", "any")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    shown = [f"array of {_type(schema.get('items', {}))}" if kind == "array" else kind for kind in kinds]
    if "format" in schema:
        shown[0] = schema["format"]
    return " or ".join(shown)


def _about(schema: Json) -> str:
    parts = [schema.get("description", "")]
    if "default" in schema:
        parts.append(f"Default: `{json.dumps(schema['default'])}`.")
    limits = {"minimum": "at least", "maximum": "at most", "maxLength": "length at most", "maxItems": "items at most"}
    parts += [f"{words} {schema[name]}".capitalize() + "." for name, words in limits.items() if name in schema]
    return " ".join(part if part.endswith((".", "?")) else f"{part}." for part in parts if part)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    def line(cells: tuple[str, ...]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return "\n".join([line(head), "|" + "---|" * len(head), *map(line, rows)])


# -- the MCP reference -----------------------------------------------------------------------------------------------


def mcp_reference() -> str:
    """Every tool and its arguments, from the catalogue that the server answers with."""
    catalogue = json.loads((ROOT / "app" / "mcp" / "tools.json").read_text(encoding="utf-8"))
    tools = catalogue["tools"] if isinstance(catalogue, dict) else catalogue
    parts = [
        "# MCP reference",
        "Generated from `app/mcp/tools.json`, which is what `tools/list` answers. How to connect is in "
        "[MCP](../mcp.md).",
    ]
    for tool in tools:
        schema = tool["inputSchema"]
        parts += [f"## {tool['name']}", tool["description"]]
        if schema.get("properties"):
            parts.append(_table(("argument", "type", "required", "meaning"), _arguments(schema)))
        hints = tool.get("annotations") or {}
        said = [words for hint, words in _HINTS.items() if hints.get(hint)]
        if said:
            parts.append(f"*{', '.join(said).capitalize()}.*")
    return "\n\n".join(parts) + "\n"


_HINTS = {"readOnlyHint": "changes nothing", "destructiveHint": "can delete", "idempotentHint": "may be repeated"}


def _arguments(schema: Json, prefix: str = "") -> list[tuple[str, ...]]:
    """A row for each argument, and for each field of the objects in a list."""
    rows: list[tuple[str, ...]] = []
    for name, about in schema["properties"].items():
        needed = "yes" if name in schema.get("required", []) else ""
        rows.append((f"`{prefix}{name}`", _plain_type(about), needed, _about(about)))
        if "properties" in about.get("items", {}):
            rows += _arguments(about["items"], f"{prefix}{name}[].")
    return rows


def _plain_type(schema: Json) -> str:
    """A type without links: definitions of a tool's schema are its own."""
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(_plain_type(option) for option in options))
    if schema.get("type") == "array":
        return f"array of {_plain_type(schema.get('items', {}))}"
    return _type(schema)
