"""MCP over HTTP: streamable HTTP at `/mcp` and `/{namespace}/mcp`, and for older hosts SSE at `…/sse`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio.to_thread
import uvicorn
from mcp.server.lowlevel.server import Server
from mcp.server.sse import SseServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from app.auth.warning import warn_open
from app.config import Settings
from app.mcp.access import METADATA_PATH, Authenticate, Guard, resource_metadata
from app.mcp.engine_room import EngineRoom
from app.mcp.server import build as build_server
from app.memory.permissions import Principal

LOOPBACK = ("127.0.0.1", "localhost", "::1")
# Open streams of clients would keep the process for ever.
STOP_SECONDS = 5


def build(
    settings: Settings,
    room: EngineRoom,
    *,
    authenticate: Authenticate | None = None,
    authorization_servers: Sequence[str] = (),
) -> Starlette:
    """The ASGI application. With `authenticate`, every MCP request must carry credentials that it knows."""
    server = build_server(settings, room)
    security = _transport_security(settings)
    # Stateless: any process can serve any request, and a request's scope is in the request alone.
    manager = StreamableHTTPSessionManager(
        server, stateless=True, security_settings=security, max_request_body_size=settings.max_request_bytes
    )
    sse = SseServerTransport("/messages/", security, max_request_body_size=settings.max_request_bytes)

    def guarded(endpoint: ASGIApp) -> ASGIApp:
        return Guard(endpoint, authenticate) if authenticate is not None else endpoint

    streamable = guarded(StreamableHTTPASGIApp(manager))
    legacy: list[BaseRoute] = [
        Route("/sse", guarded(_SseEndpoint(server, sse)), methods=["GET"]),
        Mount("/messages/", guarded(sse.handle_post_message)),
    ]
    routes: list[BaseRoute] = [
        Route("/healthz", _alive),
        Route("/readyz", partial(_ready, room)),
        Route("/mcp", streamable),
        *legacy,
        Route("/{namespace:path}/mcp", streamable),
        Mount("/{namespace}", routes=legacy),
    ]
    if authenticate is not None:
        about = partial(resource_metadata, authorization_servers=authorization_servers)
        routes[:0] = [Route(METADATA_PATH, about), Route(METADATA_PATH + "/{resource:path}", about)]

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        room.warm()
        async with manager.run():
            yield

    return Starlette(routes=routes, lifespan=lifespan)


def serve(settings: Settings) -> None:
    """Serve until a signal."""
    room = EngineRoom(settings)
    authenticate: Authenticate | None = None
    servers: list[str] = []
    if settings.resolved_auth_mode == "disabled":
        warn_open("MCP", settings, settings.mcp_host)
    else:
        authenticate = partial(_authenticate, room)
        servers = [settings.oauth2_issuer_url or ""] if settings.resolved_auth_mode == "oauth2" else []
    application = build(settings, room, authenticate=authenticate, authorization_servers=servers)
    uvicorn.run(
        application,
        host=settings.mcp_host,
        port=settings.mcp_port,
        log_config=None,  # ours, on stderr
        log_level=settings.log_level.lower(),
        access_log=False,
        timeout_graceful_shutdown=STOP_SECONDS,
    )


def _authenticate(room: EngineRoom, headers: Mapping[str, str]) -> Principal:
    return room.engine().authenticator.admit(headers)[0]


class _SseEndpoint:
    """One client's stream of the older transport; its messages are posted beside it."""

    def __init__(self, server: Server[Any], transport: SseServerTransport) -> None:
        self._server = server
        self._transport = transport

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._transport.connect_sse(scope, receive, send) as (incoming, outgoing):
            await self._server.run(incoming, outgoing, self._server.create_initialization_options())


def _transport_security(settings: Settings) -> TransportSecuritySettings | None:
    """On loopback, refuse what a web page could send through DNS rebinding; elsewhere the proxy's names are its own."""
    if settings.mcp_host not in LOOPBACK:
        return None
    names = ("127.0.0.1", "localhost", "[::1]")
    return TransportSecuritySettings(
        allowed_hosts=[f"{name}:*" for name in names], allowed_origins=[f"http://{name}:*" for name in names]
    )


async def _alive(_request: Request) -> Response:
    return JSONResponse({"status": "alive"})


async def _ready(room: EngineRoom, _request: Request) -> Response:
    report = await anyio.to_thread.run_sync(partial(_readiness, room))
    return JSONResponse(report, 200 if report["ready"] else 503)


def _readiness(room: EngineRoom) -> dict[str, Any]:
    from app.memory.errors import MemoryPlatformError
    from app.memory.health import readiness

    try:
        return readiness(room.engine())
    except MemoryPlatformError as error:
        return {"ready": False, "checks": {"store": str(error)}}
