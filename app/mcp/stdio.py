"""MCP over standard input and output: how a host on the same machine starts it."""

from __future__ import annotations

import anyio
from mcp.server.stdio import stdio_server

from app.config import Settings
from app.mcp.engine_room import EngineRoom
from app.mcp.server import build


def serve(settings: Settings) -> None:
    """Serve one client until it closes our standard input. The SDK points stray prints at stderr meanwhile."""
    server = build(settings, EngineRoom(settings, alone=True))

    async def run() -> None:
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())

    anyio.run(run)
