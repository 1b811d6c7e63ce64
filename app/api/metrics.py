"""`GET /metrics`: what this role's processes counted, and the state that all share."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from app import metrics
from app.api.resource import engine
from app.container import Container
from app.memory.errors import MemoryPlatformError

bp = Blueprint("metrics", __name__)


@bp.get("/metrics")
def get_metrics() -> Response:
    """Prometheus' text format. Operators only: keep it off the public side of the proxy."""
    body, kind = metrics.exposition(SharedState(engine()))
    return Response(body, content_type=kind)


class SharedState:
    """Queues, outbox and model usage, read from Redis at the time of the scrape. Scrape one web process for them."""

    def __init__(self, parts: Container) -> None:
        self._parts = parts

    def describe(self) -> list[Any]:
        """Nothing: registering must not read Redis."""
        return []

    def collect(self) -> Iterator[Any]:
        """One family after the other; a dependency that is away costs its families, not the scrape."""
        for name, read in (("store", self._outbox), ("broker", self._queues), ("usage", self._usage)):
            try:
                families = list(read())
                up = 1.0
            except (MemoryPlatformError, OSError):
                families, up = [], 0.0
            yield from families
            state = GaugeMetricFamily("agent_memory_up", "Whether a dependency answered the scrape", labels=["part"])
            state.add_metric([name], up)
            yield state

    def _outbox(self) -> Iterator[Any]:
        outbox = self._parts.outbox
        stats = outbox.stats(outbox.namespaces(), time.time())
        yield GaugeMetricFamily("agent_memory_outbox_members", "Work that is not finished yet", stats.total)
        yield GaugeMetricFamily("agent_memory_outbox_due", "Work that should have been started", stats.due)
        yield GaugeMetricFamily(
            "agent_memory_outbox_oldest_due_seconds", "How long the oldest due work waits", stats.oldest_due_seconds
        )
        yield GaugeMetricFamily("agent_memory_dead_letters", "Work that was given up", stats.dead)

    def _queues(self) -> Iterator[Any]:
        depth = GaugeMetricFamily("agent_memory_queue_depth", "Tasks that wait", labels=["queue"])
        age = GaugeMetricFamily(
            "agent_memory_queue_oldest_seconds", "Age of the task that waits longest", labels=["queue"]
        )
        for queue in self._parts.background.queues():
            depth.add_metric([queue.name], queue.depth)
            age.add_metric([queue.name], queue.oldest_seconds)
        yield from (depth, age)

    def _usage(self) -> Iterator[Any]:
        ledger = getattr(self._parts, "usage", None)
        if ledger is None:
            return
        tokens = CounterMetricFamily(
            "agent_memory_llm_tokens", "Tokens of model calls today", labels=[*_OF_CALLS, "kind"]
        )
        calls = CounterMetricFamily("agent_memory_llm_calls", "Model calls today", labels=[*_OF_CALLS, "outcome"])
        cost = CounterMetricFamily("agent_memory_llm_cost_usd", "Cost of model calls today", labels=_OF_CALLS)
        for labels, row in _by_model(ledger.read(ledger.namespaces(), days=1)).items():
            tokens.add_metric([*labels, "prompt"], row["prompt_tokens"])
            tokens.add_metric([*labels, "completion"], row["completion_tokens"])
            calls.add_metric([*labels, "failed"], row["failed_calls"])
            calls.add_metric([*labels, "answered"], row["calls"])
            cost.add_metric(list(labels), row["cost_usd"])
        yield from (tokens, calls, cost)


_OF_CALLS = ["model", "purpose"]
_SUMMED = ("calls", "failed_calls", "prompt_tokens", "completion_tokens", "cost_usd")


def _by_model(rows: list[Any]) -> dict[tuple[str, str], dict[str, float]]:
    """Usage of all tenants together: a label per tenant would make metrics without end."""
    sums: dict[tuple[str, str], dict[str, float]] = {}
    for row in rows:
        of_model = sums.setdefault((row.model, row.purpose), dict.fromkeys(_SUMMED, 0.0))
        for name in _SUMMED:
            of_model[name] += getattr(row, name) or 0.0
    return sums
