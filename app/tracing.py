"""OpenTelemetry traces, if the extra `otel` is installed and an exporter is configured; otherwise nothing happens.

Configured as every OpenTelemetry program is, by `OTEL_EXPORTER_OTLP_ENDPOINT` and its kin. `start` runs in the process
that makes spans, after any fork: the exporter's thread does not survive one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog

log = structlog.get_logger(__name__)
_tracer: Any = None
_tried = False


def wanted() -> bool:
    """Whether the environment names somewhere to send spans to."""
    return bool(os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))


def running() -> bool:
    """Whether this process makes spans."""
    return _tracer is not None


def start(role: str, *, processor: Any = None) -> bool:
    """Begin to trace in this process, under this service name; whether spans are made now.

    `processor` takes the spans instead of the OTLP exporter.
    """
    global _tracer
    if processor is None and not wanted():
        return False
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning("traces are configured but not made: pip install 'agent-memory-platform[otel]'")
        return False
    if processor is None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        processor = BatchSpanProcessor(OTLPSpanExporter())
    name = os.environ.get("OTEL_SERVICE_NAME", "agent-memory")
    provider = TracerProvider(resource=Resource.create({"service.name": f"{name}-{role}"}))
    provider.add_span_processor(processor)
    _tracer = provider.get_tracer("agent-memory")
    return True


def ensure(role: str) -> None:
    """`start` on first use in this process."""
    global _tried
    if not _tried:
        _tried = True
        start(role)


def carried() -> dict[str, str]:
    """The current span as W3C headers."""
    if _tracer is None:
        return {}
    from opentelemetry import propagate

    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers


@contextmanager
def resumed(headers: Mapping[str, str]) -> Iterator[None]:
    """Spans inside belong to the trace that the headers name, if they name one."""
    if _tracer is None or not headers.get("traceparent"):
        yield
        return
    from opentelemetry import context, propagate

    token = context.attach(propagate.extract(dict(headers)))
    try:
        yield
    finally:
        context.detach(token)


@contextmanager
def span(name: str, **attributes: Any) -> Iterator[None]:
    """A span around the block; an exception that leaves it is recorded."""
    if _tracer is None:
        yield
        return
    with _tracer.start_as_current_span(name, attributes=attributes):
        yield
