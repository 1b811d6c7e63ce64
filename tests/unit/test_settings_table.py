"""docs/configuration.md lists every setting as the code has it."""

from __future__ import annotations

from pathlib import Path

from app.settings_table import settings_markdown

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_documented_settings_are_those_of_the_code():
    assert settings_markdown() in DOCUMENT.read_text("utf-8"), "run: make settings"
