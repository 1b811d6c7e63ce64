"""What is known about background jobs: the last run of each, and which are paused."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from app.store import codec
from app.store.client import RedisClient, store_errors

_RUNS = "jobs:runs"
_PAUSED = "jobs:paused"


@dataclass(frozen=True, slots=True)
class JobRun:
    """One run: when it began (Unix seconds), how long it took, and what it did or how it failed."""

    started: float
    seconds: float
    effect: Any = None
    error: str | None = None


@store_errors
class JobRepository:
    """Two keys for all jobs."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    def note(self, name: str, run: JobRun) -> None:
        """Remember a job's last run."""
        self._client.hset(_RUNS, name, codec.dumps(asdict(run)))

    def runs(self) -> dict[str, JobRun]:
        """The last run of each job that ever ran."""
        return {k.decode(): JobRun(**codec.loads(v)) for k, v in self._client.hgetall(_RUNS).items()}

    def paused(self) -> set[str]:
        """Names of the jobs that somebody paused."""
        return {name.decode() for name in self._client.smembers(_PAUSED)}

    def is_paused(self, name: str) -> bool:
        """Whether this job is paused."""
        return bool(self._client.sismember(_PAUSED, name))

    def set_paused(self, name: str, paused: bool) -> None:
        """Pause a job or let it run again."""
        (self._client.sadd if paused else self._client.srem)(_PAUSED, name)
