"""The running server, fuzzed from its own OpenAPI document: no fault, and no answer that the document does not tell."""

from __future__ import annotations

import os
import re
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


def fuzz(base_url: str, directory: Path, *bounds: str, timeout: int) -> None:
    """Run schemathesis within the bounds; AssertionError with its report when it finds something or tries nothing."""
    command = [
        str(ST), "run", f"{base_url}/openapi.json", *bounds, "--workers", "2", "--request-timeout", "30",
        "--checks", "all", "--exclude-checks", NOT_PROMISED, "--continue-on-failure",
        "--generation-database", "none", "--suppress-health-check", "all", "--warnings", "off", "--no-color",
    ]  # fmt: skip
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "tests.support.fuzz_hooks",
        "FUZZ_NAMESPACE": unique("fuzz"),
        "PYTHONPATH": str(ROOT),
    }
    ended = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=timeout)
    report = ended.stdout[-12_000:] + ended.stderr[-2_000:]
    assert ended.returncode == 0, report
    tried = re.search(r"(\d+) generated", report)
    assert tried, report
    assert int(tried[1]) >= 100, report


@pytest.mark.usefixtures("views_left_as_they_were")
def test_no_generated_request_finds_a_fault(stack, tmp_path):
    # Bounded by cases, not by time: on a busy machine the time would be over before the first request.
    fuzz(stack.base_url, tmp_path, "--phases", "fuzzing,stateful", "--max-examples", "8", timeout=250)


@pytest.mark.load
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("views_left_as_they_were")
def test_no_generated_request_finds_a_fault_in_minutes(stack, tmp_path):
    phases = "examples,coverage,fuzzing,stateful"
    fuzz(stack.base_url, tmp_path, "--phases", phases, "--max-time", "300", timeout=850)
