"""Which processes were alive lately."""

from __future__ import annotations

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
        """A worker is alive now."""
        self._client.set(_WORKER, b"1", ex=ALIVE_SECONDS)

    def require_worker(self) -> None:
        """Raise BackendUnavailable unless a worker was alive in the last 15 seconds."""
        if not self._client.exists(_WORKER):
            raise BackendUnavailable("no worker was seen lately; requests are accepted, their work waits for one")
