"""Every request has an id, a log line, a span and its metrics."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

import structlog
from flask import Flask, Response, g, request

from app import correlation, metrics, tracing
from app.config import Settings
from app.memory.identity import new_id

log = structlog.get_logger("app.access")
HEADER = "X-Request-ID"
# Probes come every few seconds and say nothing new.
_QUIET = frozenset({"/healthz", "/readyz", "/metrics", "/v1/health"})


def observe(app: Flask, settings: Settings) -> None:
    """Hook into an application's requests; call it before other hooks are added."""

    @app.before_request
    def _begin() -> None:
        structlog.contextvars.clear_contextvars()  # this thread's last request may have left something
        given = request.headers.get(HEADER)
        g.request_id = given if given and correlation.acceptable(given) else new_id()
        g.started = time.perf_counter()
        g.scopes = ExitStack()
        incoming = {correlation.REQUEST_ID: g.request_id}
        if "traceparent" in request.headers:
            incoming["traceparent"] = request.headers["traceparent"]
        g.scopes.enter_context(correlation.resumed(incoming))
        g.scopes.enter_context(tracing.span(f"{request.method} {_route()}", request_id=g.request_id))

    @app.after_request
    def _answered(response: Response) -> Response:
        if "started" not in g:  # refused before the first hook
            return response
        seconds = time.perf_counter() - g.started
        response.headers[HEADER] = g.request_id
        route = _route()
        metrics.REQUESTS.labels(request.method, route, response.status_code).inc()
        metrics.REQUEST_SECONDS.labels(request.method, route).observe(seconds)
        if settings.access_log and request.path not in _QUIET:
            log.info(
                "request",
                method=request.method,
                route=route,
                status=response.status_code,
                ms=round(seconds * 1000, 1),
            )
        return response

    @app.teardown_request
    def _end(_error: Any) -> None:
        if scopes := g.pop("scopes", None):
            scopes.close()
        structlog.contextvars.clear_contextvars()


def _route() -> str:
    """The route as it was declared: its parameters would make a metric each."""
    return request.url_rule.rule if request.url_rule else "(none)"
