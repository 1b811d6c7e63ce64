"""Logging: one line an event on stderr, as JSON or for people."""

from __future__ import annotations

import logging
import sys
from typing import Any

import orjson
import structlog

from app.config import Settings


def configure_logging(settings: Settings) -> None:
    """Set up structlog and the standard library's logging alike."""
    shared = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    console = settings.log_format == "console"
    renderer = _console() if console else structlog.processors.JSONRenderer()
    last = [renderer] if console else [structlog.processors.format_exc_info, renderer]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    for noisy in ("celery.worker.strategy", "celery.app.trace", "httpx", "httpx2", "redisvl", "celery.beat"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


def access_logger(settings: Settings) -> Any:
    """The logger of requests. JSON lines go straight to stderr: it writes more than all others together."""
    if settings.log_format == "console" or not hasattr(sys.stderr, "buffer"):
        return structlog.get_logger("app.access")
    return structlog.wrap_logger(
        structlog.BytesLogger(sys.stderr.buffer),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=orjson.dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(settings.log_level.upper())),
        cache_logger_on_first_use=True,
    ).bind(logger="app.access")


def _console() -> structlog.dev.ConsoleRenderer:
    """For people; tracebacks without the values of local variables, among which are secrets and what users said."""
    return structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
