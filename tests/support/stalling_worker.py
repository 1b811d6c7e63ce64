"""A Celery app whose worker loses its place in the broker once: it stays up, sends heartbeats, and consumes nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery.signals import worker_ready

from tasks.celery_app import app

__all__ = ["app"]


@worker_ready.connect
def _lose_place(sender: Any, **_: Any) -> None:
    once = Path(os.environ["STALLED_ONCE"])
    if not once.exists():
        once.touch()
        sender.hub.call_later(0.5, _forget_sockets, sender)


def _forget_sockets(consumer: Any) -> None:
    consumer.hub.on_tick.clear()
    for fd in list(consumer.connection.transport.cycle.fds):
        consumer.hub.remove(fd)
