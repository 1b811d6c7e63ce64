"""From what a model wrote to a JSON value that follows a schema: strict where it can be, tolerant where models err."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator

_FENCE = re.compile(r"```[a-zA-Z]*\s*\n(.*?)(?:```|\Z)", re.DOTALL)
_THINKING = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_TRAILING_COMMA = re.compile(r",(\s*[}\]])")


class Unusable(ValueError):
    """What a model answered is no JSON value of the wanted shape; the text says why."""


def parse_json(content: str | None) -> Any:
    """The JSON value in a model's answer: the whole of it, a fenced block, or the first object or array in the prose.

    Raises Unusable.
    """
    text = _THINKING.sub("", content or "").strip().removeprefix("\ufeff")
    if not text:
        raise Unusable("the answer is empty")
    candidates = [text, *(block.strip() for block in _FENCE.findall(text)), *_balanced(text)]
    for candidate in candidates:
        for attempt in (candidate, _TRAILING_COMMA.sub(r"\1", candidate)):
            try:
                value = json.loads(attempt)
            except ValueError:
                continue
            if isinstance(value, (dict, list)):
                return value
    raise Unusable("the answer is not valid JSON")


def _balanced(text: str) -> list[str]:
    """The first balanced `{…}` and `[…]` of a text, the earlier one first; strings are skipped over."""
    found: list[tuple[int, str]] = []
    for opening, closing in ("{}", "[]"):
        start = text.find(opening)
        depth, quoted, index = 0, False, start
        while 0 <= index < len(text):
            character = text[index]
            if quoted:
                if character == "\\":
                    index += 1
                elif character == '"':
                    quoted = False
            elif character == '"':
                quoted = True
            elif character == opening:
                depth += 1
            elif character == closing:
                depth -= 1
                if depth == 0:
                    found.append((start, text[start : index + 1]))
                    break
            index += 1
    return [part for _start, part in sorted(found)]


def conforming(value: Any, schema: Mapping[str, Any], *, salvage: bool = False) -> dict[str, Any]:
    """The value made to follow an object schema where nothing is guessed: see `_fitted`. Raises Unusable.

    With `salvage`, list items that still do not follow it are left out instead, unless that leaves none.
    """
    if isinstance(value, list):
        lists = [name for name, inner in schema["properties"].items() if inner.get("type") == "array"]
        if len(lists) == 1:
            value = {lists[0]: value}
    fitted = _fitted(value, schema)
    problems = sorted(Draft202012Validator(schema).iter_errors(fitted), key=lambda e: list(map(str, e.absolute_path)))
    if problems and salvage and isinstance(fitted, dict):
        fitted = _without_bad_items(fitted, schema)
        problems = list(Draft202012Validator(schema).iter_errors(fitted))
    if problems:
        where = "/".join(map(str, problems[0].absolute_path)) or "the answer"
        raise Unusable(f"{where}: {problems[0].message[:200]}")
    result: dict[str, Any] = fitted
    return result


def _fitted(value: Any, schema: Mapping[str, Any]) -> Any:
    """Unknown properties dropped, absent nullable ones null: what endpoints without strict schemas get wrong."""
    if isinstance(value, dict) and "properties" in schema:
        known = schema["properties"]
        fitted = {name: _fitted(value[name], inner) for name, inner in known.items() if name in value}
        for name, inner in known.items():
            if name not in fitted and "null" in inner.get("type", ()):
                fitted[name] = None
        return fitted
    if isinstance(value, list) and "items" in schema:
        return [_fitted(item, schema["items"]) for item in value]
    return value


def _without_bad_items(value: dict[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    kept = dict(value)
    for name, inner in schema["properties"].items():
        items = value.get(name)
        if inner.get("type") == "array" and isinstance(items, list):
            check = Draft202012Validator(inner["items"])
            good = [item for item in items if check.is_valid(item)]
            kept[name] = good or items
    return kept
