"""How far the compaction of each tenant is, and who is at it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from app.store import codec, keys
from app.store.client import RedisClient, store_errors

LEASE_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Progress:
    """One run: everything written before `cursor` (Unix seconds) has been looked at."""

    task_id: str = ""
    cursor: float = 0.0
    seen: int = 0
    total: int = 0
    folded: int = 0
    superseded: int = 0
    finished: bool = False


@store_errors
class CompactionRepository:
    """One string of progress and one lease per tenant."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    def load(self, namespace: str | None) -> Progress | None:
        """The last run, finished or not."""
        raw = self._client.get(keys.compaction(namespace))
        return Progress(**codec.loads(raw)) if raw else None

    def save(self, namespace: str | None, progress: Progress) -> None:
        """Remember how far a run is."""
        self._client.set(keys.compaction(namespace), codec.dumps(asdict(progress)))

    def acquire(self, namespace: str | None, token: str) -> bool:
        """Become, or stay, the one compaction of this tenant; a worker that died loses it after two minutes."""
        key = keys.compaction(namespace) + ":lease"
        if self._client.set(key, token, nx=True, ex=LEASE_SECONDS):
            return True
        if self._client.get(key) != token.encode():
            return False
        self._client.expire(key, LEASE_SECONDS)
        return True

    def release(self, namespace: str | None, token: str) -> None:
        """Let others start."""
        key = keys.compaction(namespace) + ":lease"
        if self._client.get(key) == token.encode():
            self._client.delete(key)
