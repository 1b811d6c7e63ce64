"""Which processes were alive lately."""

from __future__ import annotations

import time

from app.memory.errors import BackendUnavailable
from app.store.client import RedisClient, store_errors

_WORKER = "alive:worker"
ALIVE_SECONDS = 15


@store_errors
class Presence:
    """Heartbeats in Redis."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    def note_worker(self) -> None:
        """A worker is alive now, and that is what its clock says."""
        self._client.set(_WORKER, repr(time.time()), ex=ALIVE_SECONDS)

    def worker_skew_seconds(self) -> float | None:
        """How far the clock of the worker that was seen last is ahead of Redis'; None if none was seen lately."""
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.get(_WORKER).pttl(_WORKER).time()
            said, left_ms, (seconds, micros) = pipeline.execute()
        if said is None:
            return None
        noted = seconds + micros / 1e6 - (ALIVE_SECONDS - left_ms / 1000)
        return float(said) - float(noted)

    def require_worker(self) -> None:
        """Raise BackendUnavailable unless a worker was alive in the last 15 seconds."""
        if not self._client.exists(_WORKER):
            raise BackendUnavailable("no worker was seen lately; requests are accepted, their work waits for one")
