"""The JavaScript client: built from the tree, its own tests run by node against the server under test."""

from __future__ import annotations

from pathlib import Path

from tests.support.sdk import run
from tests.support.stack import Server


def test_its_own_tests_pass_and_none_is_skipped(stack: Server, javascript: Path) -> None:
    report = run("node", "--test", "--test-reporter=tap", "test/", cwd=javascript, AGENT_MEMORY_URL=stack.base_url)
    counts = dict(
        line[2:].split() for line in report.splitlines() if line.startswith(("# tests", "# pass", "# skipped"))
    )
    assert int(counts["tests"]) > 15, report
    assert counts["pass"] == counts["tests"], report
