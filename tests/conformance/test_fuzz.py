"""The running server, fuzzed from its own OpenAPI document: no fault, and no answer that the document does not tell."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.builders import unique

ROOT = Path(__file__).resolve().parents[2]
ST = Path(sys.executable).parent / "st"
# Not checked: that all wrong requests are refused, since they are read more leniently than the document promises (wire
# contract 1.1); that all others are taken, since it cannot tell a rule that concerns several fields or the time; that a
# path has no other methods, since ids may hold slashes: `PUT /v1/working-memory/s/messages` puts session `s/messages`.
# Everything else is: faults, status codes, content types, headers, bodies, resources that are gone.
NOT_PROMISED = "negative_data_rejection,positive_data_acceptance,unsupported_method,allow_header_conformance"


@pytest.fixture
def views_left_as_they_were(http: httpx.Client) -> Iterator[None]:
    """Delete the summary views that a run makes: those have no owner."""
    before = {view["id"] for view in http.get("/v1/summary-views").json()}
    yield
    for view in http.get("/v1/summary-views").json():
        if view["id"] not in before:
            http.delete(f"/v1/summary-views/{view['id']}")


def fuzz(base_url: str, directory: Path, *, phases: str, seconds: int) -> None:
    """Run schemathesis for about so many seconds; AssertionError with its report when it finds something."""
    command = [
        str(ST), "run", f"{base_url}/openapi.json", "--phases", phases, "--max-time", str(seconds), "--workers", "2",
        "--checks", "all", "--exclude-checks", NOT_PROMISED, "--request-timeout", "30",
        "--generation-database", "none", "--continue-on-failure", "--warnings", "off", "--no-color",
        "--suppress-health-check", "all",
    ]  # fmt: skip
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "tests.support.fuzz_hooks",
        "FUZZ_NAMESPACE": unique("fuzz"),
        "PYTHONPATH": str(ROOT),
    }
    ended = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=seconds * 3 + 120
    )
    report = ended.stdout[-12_000:] + ended.stderr[-2_000:]
    assert ended.returncode == 0, report
    assert "passed" in report, report


@pytest.mark.usefixtures("views_left_as_they_were")
@pytest.mark.parametrize(("phases", "seconds"), [("examples,fuzzing", 8), ("stateful", 8)])
def test_no_generated_request_finds_a_fault(stack, tmp_path, phases, seconds):
    fuzz(stack.base_url, tmp_path, phases=phases, seconds=seconds)


@pytest.mark.load
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("views_left_as_they_were")
def test_no_generated_request_finds_a_fault_in_minutes(stack, tmp_path):
    fuzz(stack.base_url, tmp_path, phases="examples,coverage,fuzzing,stateful", seconds=300)
