"""What ties the log lines and spans of one request together, on its way through the processes.

The request's id lives in structlog's context variables, so every log line has it; this module is how it, and the
trace that it belongs to, travel: in the headers of Celery's messages, and beside the outbox for work that waits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import structlog

from app import tracing

REQUEST_ID = "request_id"
_ACCEPTABLE = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


def acceptable(request_id: str | None) -> bool:
    """Whether an id that came from outside may go into our logs as it is."""
    return bool(request_id and _ACCEPTABLE.fullmatch(request_id))


def carried() -> dict[str, str]:
    """The request at hand, as headers: empty when there is none."""
    request_id = structlog.contextvars.get_contextvars().get(REQUEST_ID)
    return {**({REQUEST_ID: request_id} if request_id else {}), **tracing.carried()}


@contextmanager
def resumed(headers: Mapping[str, str] | None) -> Iterator[None]:
    """Act for the request that these headers came from."""
    request_id = (headers or {}).get(REQUEST_ID)
    bound = {REQUEST_ID: request_id} if request_id else {}
    with structlog.contextvars.bound_contextvars(**bound), tracing.resumed(headers or {}):
        yield


def dumps() -> bytes:
    """The request at hand for keeping; empty when there is none."""
    headers = carried()
    return json.dumps(headers, separators=(",", ":")).encode() if headers else b""


def loads(kept: bytes | None) -> dict[str, str]:
    """The inverse of `dumps`."""
    return dict(json.loads(kept)) if kept else {}
