"""The settings as a Markdown table: docs/configuration.md is made of it, and a test compares the two."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from app.config import Settings


def settings_markdown() -> str:
    """One row per setting: environment variable, default, allowed values, meaning."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else str(field.default)
        choices = _choices(field.annotation)
        meaning = field.description or ""
        if choices:
            meaning += f" One of {choices}."
        rows.append(f"| `{name.upper()}` | {f'`{default}`' if default else 'unset'} | {meaning} |")
    return "\n".join(rows)


def _choices(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    return ""
