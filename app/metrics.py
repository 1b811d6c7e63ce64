"""Prometheus metrics of all processes: what they are called and what they mean.

Import it only where metrics are made, and after `counting.share_between_processes` in processes that have children.
"""

from __future__ import annotations

import os
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
    start_http_server,
)
from prometheus_client.multiprocess import MultiProcessCollector

from app.counting import VARIABLE

_FAST = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_SLOW = (0.005, 0.02, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120)

REQUESTS = Counter("agent_memory_http_requests", "Requests answered", ["method", "route", "status"])
REQUEST_SECONDS = Histogram("agent_memory_http_request_seconds", "Time to answer", ["method", "route"], buckets=_FAST)
TASKS = Counter("agent_memory_tasks", "Background tasks run", ["task", "outcome"])
TASK_SECONDS = Histogram("agent_memory_task_seconds", "Time that a task ran", ["task"], buckets=_SLOW)
QUEUE_WAIT_SECONDS = Histogram(
    "agent_memory_queue_wait_seconds", "Time between a task's message and its run", ["queue"], buckets=_SLOW
)
STEP_SECONDS = Histogram("agent_memory_step_seconds", "Time of one pipeline step", ["step"], buckets=_SLOW)
STEP_FAILURES = Counter("agent_memory_step_failures", "Pipeline steps that failed, retried or not", ["step", "error"])
MEMORIES = Counter("agent_memory_memories", "What became of memories that were to be stored", ["outcome"])
QUERY_EMBEDDINGS = Counter("agent_memory_query_embeddings", "Embeddings of queries: process, redis, model", ["source"])


def _registry() -> Any:
    if not os.environ.get(VARIABLE):
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return registry


def exposition(*more: Any) -> tuple[bytes, str]:
    """The metrics of all processes of this role, then those of further collectors; with the content type."""
    extra = CollectorRegistry()
    for collector in more:
        extra.register(collector)
    return generate_latest(_registry()) + generate_latest(extra), CONTENT_TYPE_LATEST


def serve(host: str, port: int) -> None:
    """Answer `/metrics` on a port of its own, from a thread: for a process that speaks no HTTP."""
    start_http_server(port, host, registry=_registry())
