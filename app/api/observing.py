"""Every request has an id, a log line, a span and its metrics."""

from __future__ import annotations

import time
from contextlib import ExitStack
from functools import lru_cache
from typing import Any

import structlog
from flask import Flask, Response, g, request

from app import correlation, metrics, tracing
from app.config import Settings
from app.logs import access_logger
from app.memory.identity import new_id

HEADER = "X-Request-ID"
# Probes come every few seconds and say nothing new.
_QUIET = frozenset({"/healthz", "/readyz", "/metrics", "/v1/health"})


def observe(app: Flask, settings: Settings) -> None:
    """Hook into an application's requests; call it before other hooks are added."""
    log = access_logger(settings)

    @app.before_request
    def _begin() -> None:
        structlog.contextvars.clear_contextvars()  # this thread's last request may have left something
        given = request.headers.get(HEADER)
        g.request_id = request_id = given if given and correlation.acceptable(given) else new_id()
        g.started = time.perf_counter()
        structlog.contextvars.bind_contextvars(**{correlation.REQUEST_ID: request_id})
        if tracing.running():
            g.scopes = scopes = ExitStack()
            scopes.enter_context(tracing.resumed({"traceparent": request.headers.get("traceparent", "")}))
            scopes.enter_context(tracing.span(f"{request.method} {_route()}", request_id=request_id))

    @app.after_request
    def _answered(response: Response) -> Response:
        if "started" not in g:  # refused before the first hook
            return response
        seconds = time.perf_counter() - g.started
        response.headers[HEADER] = g.request_id
        method, route, status = request.method, _route(), response.status_code
        count, observed = _counters(method, route, status)
        count.inc()
        observed.observe(seconds)
        if settings.access_log and route not in _QUIET:
            log.info("request", method=method, route=route, status=status, ms=round(seconds * 1000, 1))
        return response

    @app.teardown_request
    def _end(_error: Any) -> None:
        if scopes := g.pop("scopes", None):
            scopes.close()
        structlog.contextvars.clear_contextvars()


@lru_cache(maxsize=4096)
def _counters(method: str, route: str, status: int) -> tuple[Any, Any]:
    """The counter and the histogram of one kind of request: finding them costs more than counting."""
    return metrics.REQUESTS.labels(method, route, status), metrics.REQUEST_SECONDS.labels(method, route)


def _route() -> str:
    """The route as it was declared: its parameters would make a metric each."""
    return request.url_rule.rule if request.url_rule else "(none)"
