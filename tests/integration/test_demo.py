"""`agent-memory demo --url`: the sample conversation, played by the official client through the HTTP API."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from tests.support.stack import BIN, Server

pytestmark = pytest.mark.integration

POINTING_ELSEWHERE = re.compile(
    r"\b(I|me|my|he|him|his|she|her|they|them|there|here|yesterday|today|tomorrow|(last|next) \w+|\w+ ago)\b"
)


def test_the_demo_shows_facts_that_a_stranger_understands(stack: Server):
    played = subprocess.run(
        [BIN / "agent-memory", "demo", "--url", stack.base_url],
        env={**os.environ, "COLUMNS": "240", "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert played.returncode == 0, played.stdout + played.stderr
    table, _, answers = played.stdout.partition("Questions, answered by search")
    memories = [line.split("│")[1].strip() for line in table.splitlines() if line.startswith("│")]
    assert len(memories) >= 10, table
    for memory in memories:
        assert not POINTING_ELSEWHERE.search(memory), memory
    said = "\n".join(memories)
    for fact in (
        "Rotterdam",
        "Harbor Analytics",
        "allergic to walnuts",
        "Anna",
        "Dagster",
        "PostgreSQL",
        "Miso",
        "Porto",
    ):
        assert fact in said, said
    for chatter in ("Hi there", "pouring", "lifesaver", "Good morning", "shopping list", "admin"):
        assert chatter not in said, said
    assert "walnuts" in answers
    assert "Dagster" in answers
    assert "parents" in answers
