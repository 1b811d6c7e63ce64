"""Who gets through to the views: authentication, rate and concurrency limits, headers.

What a caller may do with which data is the engine's decision (`app/memory/guard.py`).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

from flask import Flask, Response, g, jsonify, request

from app.auth.authenticator import Authenticator
from app.auth.errors import MissingCredential, TooManyRequests, Unauthorized
from app.auth.warning import warn_open
from app.config import Settings
from app.memory.permissions import NOBODY, Rate, act_as
from app.thread_turns import leave

# Open to everybody: probes, and the description of the API. They touch nobody's data.
OPEN = frozenset({"get_health", "get_liveness", "get_readiness"})
OPEN_BLUEPRINTS = frozenset({"api-docs", "swagger_ui", "explorer"})
# Views whose data all come through guarded services of the engine. Any other view is for administrators of the whole
# deployment: a new one is closed until somebody has thought about it and added it here (and to the access matrix,
# tests/support/access_matrix.py).
GUARDED = frozenset(
    {
        "list_sessions", "append_messages", "get_session", "put_session", "delete_session",
        "create_memories", "delete_memories", "search_memories", "forget_memories", "compact_memories",
        "get_memory", "update_memory", "get_memory_history", "restore_memory", "promote_session", "hydrate_prompt",
        "count_topics", "count_entities", "topic_map", "refit_topics", "erase_user", "export_namespace",
        "list_views", "create_view", "get_view", "delete_view", "run_partition", "list_partitions", "run_view",
        "get_task", "get_latest_task", "count_verdicts",
    }
)  # fmt: skip
# Views that may keep a thread busy for long.
HEAVY = frozenset(
    {"forget_memories", "compact_memories", "run_partition", "erase_user", "export_namespace", "import_namespace"}
)
BUSY_RETRY_SECONDS = 2
PAGE_HEADERS = {
    # The explorer's page holds its own small script; nothing may come from, or go to, elsewhere.
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' "
    "'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}


def protect(app: Flask, settings: Settings, authenticator: Callable[[], Authenticator]) -> None:
    """Install the checks and the headers."""
    if settings.resolved_auth_mode == "disabled":
        warn_open("REST", settings, settings.host)
    else:
        _authenticate(app, authenticator)
    _limit_heavy_views(app, threading.BoundedSemaphore(settings.max_concurrent_heavy_requests))

    @app.after_request
    def _headers(response: Response) -> Response:
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        if response.mimetype == "text/html":
            for name, value in PAGE_HEADERS.items():
                response.headers.setdefault(name, value)
        elif request.path.startswith("/v1/"):
            response.headers.setdefault("Cache-Control", "no-store")
        return response


def operation(app: Flask) -> str | None:
    """The name of the view that the request goes to, as in the OpenAPI document."""
    view = app.view_functions.get(request.endpoint or "")
    return view.__name__ if view is not None else None


def _authenticate(app: Flask, authenticator: Callable[[], Authenticator]) -> None:
    @app.before_request
    def _ask() -> None:
        act_as(NOBODY)  # threads serve one caller after another: start from nothing
        if request.routing_exception is not None:
            return  # there is nothing there: 404 or 405 says so
        name = operation(app)
        if name in OPEN or request.blueprint in OPEN_BLUEPRINTS:
            return
        principal, g.rate = authenticator().admit(request.headers)
        act_as(principal)
        if name not in GUARDED:
            principal.require_everything()

    @app.after_request
    def _tell_rate(response: Response) -> Response:
        rate: Rate | None = g.get("rate")
        if rate is not None:
            response.headers.extend(rate_headers(rate))
        return response

    @app.errorhandler(Unauthorized)
    def _unauthorized(error: Unauthorized) -> Response:
        response = jsonify({"detail": str(error)})
        response.status_code = 401
        problem = "" if isinstance(error, MissingCredential) else ' error="invalid_token"'
        response.headers["WWW-Authenticate"] = f"Bearer{problem}"
        return response

    @app.errorhandler(TooManyRequests)
    def _too_many(error: TooManyRequests) -> Response:
        response = jsonify({"detail": str(error)})
        response.status_code = 429
        response.headers.extend(rate_headers(error.rate))
        return response


def rate_headers(rate: Rate) -> dict[str, Any]:
    """How many requests are left, and when; with `Retry-After` when there is none."""
    seconds = max(1, math.ceil(rate.reset_seconds))
    told = {"RateLimit-Limit": rate.limit, "RateLimit-Remaining": rate.remaining, "RateLimit-Reset": seconds}
    shown = {name: str(value) for name, value in told.items()}
    return shown | ({"Retry-After": str(seconds)} if rate.exceeded else {})


def _limit_heavy_views(app: Flask, places: threading.BoundedSemaphore) -> None:
    """Few heavy requests at once, so that there are always threads for the light ones."""

    @app.before_request
    def _enter() -> Response | None:
        if request.routing_exception is not None or operation(app) not in HEAVY:
            return None
        if places.acquire(blocking=False):
            g.heavy = True
            leave()
            return None
        response = jsonify({"detail": "The server is busy with other requests of this kind; try again in a moment"})
        response.status_code = 429
        response.headers["Retry-After"] = str(BUSY_RETRY_SECONDS)
        return response

    @app.teardown_request
    def _leave(_error: BaseException | None) -> None:
        if g.pop("heavy", False):
            places.release()
