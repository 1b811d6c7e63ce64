"""Who may call the MCP server over HTTP.

`http.serve` gives `http.build` the `Authenticate` of `app/auth`; without one everybody is let in, as with
`AUTH_MODE=disabled`. What a caller may do with which data is the engine's decision (`app/memory/guard.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

from app.auth.errors import TooManyRequests, Unauthorized
from app.memory.errors import BackendUnavailable
from app.memory.permissions import Principal

METADATA_PATH = "/.well-known/oauth-protected-resource"
PRINCIPAL = "principal"


# From request headers (names in lower case) to the caller. None, or Unauthorized: answered with 401.
Authenticate = Callable[[Mapping[str, str]], Principal | None]


class Guard:
    """Lets through only requests that `authenticate` knows, and only in the namespace that they may use."""

    def __init__(self, app: ASGIApp, authenticate: Authenticate) -> None:
        self._app = app
        self._authenticate = authenticate

    async def __call__(self, connection: Connection, receive: Receive, send: Send) -> None:
        """Answer 401, 403 or 503, or pass the request on with its principal."""
        request = Request(connection)
        refused: Response | None = None
        try:
            principal = await anyio.to_thread.run_sync(partial(self._authenticate, request.headers))
            if principal is None:
                refused = _unauthorized(request, "Missing authorization header")
            elif _elsewhere(principal, request):
                refused = JSONResponse({"detail": f"{principal.subject} may not use this namespace"}, 403)
            else:
                connection[PRINCIPAL] = principal
        except Unauthorized as error:
            refused = _unauthorized(request, str(error))
        except TooManyRequests as error:
            seconds = max(1, math.ceil(error.rate.reset_seconds))
            refused = JSONResponse({"detail": str(error)}, 429, {"Retry-After": str(seconds)})
        except BackendUnavailable as error:
            refused = JSONResponse({"detail": str(error)}, 503, {"Retry-After": "2"})
        await (refused or self._app)(connection, receive, send)


def _elsewhere(principal: Principal, request: Request) -> bool:
    url = request.path_params.get("namespace")
    return url is not None and not principal.limits.allow_namespace(url)


def _unauthorized(request: Request, detail: str) -> Response:
    """401, telling an MCP client where to find out how to authenticate (RFC 9728)."""
    where = f"{str(request.base_url).rstrip('/')}{METADATA_PATH}{request.scope['path']}"
    return JSONResponse({"detail": detail}, 401, {"WWW-Authenticate": f'Bearer resource_metadata="{where}"'})


async def resource_metadata(request: Request, authorization_servers: Sequence[str] = ()) -> Response:
    """What is protected, and who gives out tokens for it (none: tokens are made with `agent-memory token add`)."""
    resource = request.path_params.get("resource", "")
    about: dict[str, Any] = {
        "resource": f"{str(request.base_url).rstrip('/')}/{resource or 'mcp'}",
        "bearer_methods_supported": ["header"],
        "resource_name": "Agent memory",
    }
    if authorization_servers:
        about["authorization_servers"] = list(authorization_servers)
    return JSONResponse(about)
