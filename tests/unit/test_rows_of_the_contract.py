"""Every row of the wire contract's section 12 (its peer's rough edges) has a test that is named after its number."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROWS = range(1, 46)
# Rows about the language model, authentication and MCP: their tests come with those parts.
ELSEWHERE = {2, 27, 28, 29, 38, 43}


def test_every_row_has_a_test():
    named = re.compile(r"def test_row_(\d\d)_")
    tested = {int(row) for path in TESTS.rglob("test_*.py") for row in named.findall(path.read_text("utf-8"))}
    assert set(ROWS) - tested <= ELSEWHERE
    assert tested <= set(ROWS)
