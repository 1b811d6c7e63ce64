"""Beat's scheduler: no second tick of a job while the first one still waits."""

from __future__ import annotations

import json
from typing import Any

import structlog
from celery.beat import PersistentScheduler

from tasks.queues import BROKER_AWAY, Queue

log = structlog.get_logger(__name__)
# Ticks of a job are found among the newest tasks of the queue; with more than that behind them, work is being done.
_NEWEST = 50


class Scheduler(PersistentScheduler):  # type: ignore[misc]
    """While no worker runs, ticks would pile up in the broker: they expire, but only a worker throws them away."""

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Send a due tick, unless one of the same job waits."""
        if self._waits(entry):
            log.debug("the last tick still waits", job=entry.name)
            return
        super().apply_entry(entry, producer=producer)

    def _waits(self, entry: Any) -> bool:
        try:
            channel = self.connection.default_channel
            if not hasattr(channel, "client"):
                return False  # RabbitMQ throws expired messages away by itself
            newest = channel.client.lrange(entry.options.get("queue", Queue.STORE.value), 0, _NEWEST - 1)
        except BROKER_AWAY:
            return False  # sending will say so
        return any(json.loads(raw).get("headers", {}).get("task") == entry.task for raw in newest)
