"""A host of the MCP server: the official client, called from plain tests."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.support.builders import Json
from tests.support.stack import BIN, ROOT, free_port
from tests.support.waiting import wait_until

COMMAND = str(BIN / "agent-memory")


class Host:
    """One connected client."""

    def __init__(self, portal: BlockingPortal, client: Client) -> None:
        self._portal = portal
        self.client = client

    def ask(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Any request of the client."""
        return self._portal.call(lambda: getattr(self.client, method)(*args, **kwargs))

    def call(self, tool: str, **arguments: Any) -> Json:
        """Call a tool that must succeed; text and structured result must be the same."""
        result = self.ask("call_tool", tool, arguments)
        assert not result.is_error, result.content[0].text
        structured: Json = result.structured_content
        assert json.loads(result.content[0].text) == structured
        return structured

    def refused(self, tool: str, **arguments: Any) -> str:
        """Call a tool that must answer with a tool error; its text."""
        result = self.ask("call_tool", tool, arguments)
        assert result.is_error, result.content[0].text
        assert result.structured_content is None
        return str(result.content[0].text)

    def texts(self, text: str | None = None, **filters: Any) -> list[str]:
        """The texts that a search finds."""
        return [m["text"] for m in self.call("search_long_term_memory", text=text, **filters)["memories"]]


@contextmanager
def connected(target: Any, mode: str = "auto") -> Iterator[Host]:
    """A host connected to a URL or a stdio transport; mode "legacy" is the handshake of hosts before 2026-07."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(Client(target, mode=mode)) as client:
        yield Host(portal, client)


@contextmanager
def connected_over_stdio(environment: Mapping[str, str], log: Path) -> Iterator[Host]:
    """A host with a stdio server of its own; what that says on stderr is in `log`."""
    parameters = StdioServerParameters(command=COMMAND, args=["mcp"], env=dict(environment), cwd=ROOT)
    with log.open("w") as errors, connected(stdio_client(parameters, errlog=errors)) as host:
        yield host


@contextmanager
def http_server(environment: Mapping[str, str], log: Path) -> Iterator[str]:
    """The base URL of a server over streamable HTTP."""
    port = free_port()
    command = [COMMAND, "mcp", "--mode", "streamable-http", "--port", str(port)]
    with log.open("w") as said:
        process = subprocess.Popen(command, cwd=ROOT, env=dict(environment), stdout=said, stderr=said)
    try:
        wait_until(lambda: "Uvicorn running" in log.read_text() or process.poll() is not None, 30, "the MCP server")
        assert process.poll() is None, log.read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(15)
        finally:
            process.kill()


def without_settings() -> dict[str, str]:
    """The environment, without what would point the server at somebody's data."""
    ours = ("REDIS_URL", "CELERY_", "OPENAI_", "DATA_DIR", "PORT", "MCP_", "DEFAULT_MCP_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}
