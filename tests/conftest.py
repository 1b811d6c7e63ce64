"""Fixtures of all tests: one stack of real parts for the session, a fresh namespace for each test.

`AGENT_MEMORY_BASE_URL` points the tests that only speak HTTP (tests/conformance) at any running server instead.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.api import Api
from tests.support.builders import unique
from tests.support.scripted_llm import ScriptedLLM, scripted_llm_server
from tests.support.sdk import build_java, build_javascript
from tests.support.stack import Server, Stack, private_stack

_STACK = pytest.StashKey[Server]()
_LOG_SIZES = pytest.StashKey[dict[str, int]]()
_LOG_TAIL_CHARS = 6_000


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The server under test: all real parts, started once, or the one in `AGENT_MEMORY_BASE_URL`."""
    if url := os.environ.get("AGENT_MEMORY_BASE_URL"):
        server = Server(url)
        request.config.stash[_STACK] = server
        yield server
        server.http.close()
        return
    own = Stack()
    request.config.stash[_STACK] = own
    try:
        yield own.start()
        assert not own.restarts, "no test of this stack has a reason to end a process"
    finally:
        own.stop()


@pytest.fixture(scope="session")
def breakable() -> Iterator[Stack]:
    """A second stack, for tests that kill its parts; each leaves it as it found it."""
    with private_stack() as own:
        yield own


@pytest.fixture(scope="session")
def http(stack: Server) -> httpx.Client:
    """A client of the server under test; paths begin with `/v1`."""
    return stack.http


@pytest.fixture
def namespace() -> str:
    """A namespace of the test's own, instead of flushing anything."""
    return unique("ns")


@pytest.fixture
def api(http: httpx.Client, namespace: str) -> Api:
    """Usual calls, in the test's namespace."""
    return Api(http, namespace)


@pytest.fixture
def scripted_llm() -> Iterator[ScriptedLLM]:
    """A model endpoint that answers what the test tells it to."""
    with scripted_llm_server() as server:
        yield server


@pytest.fixture(scope="session")
def javascript(stack: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the JavaScript package, built once; skips where its tools are missing."""
    return build_javascript(stack, tmp_path_factory.mktemp("javascript"))


@pytest.fixture(scope="session")
def java(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The class path of the Java client, compiled once; skips where its tools are missing."""
    return build_java(tmp_path_factory.mktemp("java"))


def _sizes(config: pytest.Config) -> dict[str, int]:
    server = config.stash.get(_STACK, None)
    return {name: path.stat().st_size for name, path in server.logs().items()} if server else {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Remember where the logs ended before the test."""
    result = yield
    item.stash[_LOG_SIZES] = _sizes(item.config)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[Any]:
    """Show with a failure what the processes logged during the test."""
    report = yield
    server = item.config.stash.get(_STACK, None)
    if server is not None and report.failed and "stack" in getattr(item, "fixturenames", ()):
        before = item.stash.get(_LOG_SIZES, {})
        for name, path in server.logs().items():
            with path.open("rb") as log:
                log.seek(before.get(name, 0))
                said = log.read().decode(errors="replace")
            if said:
                report.sections.append((f"log of {name}", said[-_LOG_TAIL_CHARS:]))
    return report
