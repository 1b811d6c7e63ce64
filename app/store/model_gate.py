"""What all workers share about a model endpoint: how many calls run, how fast they may follow, whether it is broken."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from app.store.client import RedisClient, store_errors
from app.store.scripts import script

Outcome = Literal["ok", "failed", "neutral"]
# Calls that may start at once after a quiet time, under a limit per minute.
BURST = 5


@dataclass(frozen=True, slots=True)
class GateLimits:
    """Limits of one endpoint, over all processes. `requests_per_minute` 0 means any pace."""

    max_concurrency: int
    requests_per_minute: int
    slot_seconds: float
    breaker_failures: int
    breaker_seconds: float


@store_errors
class ModelGate:
    """Admission to one endpoint. A slot whose holder died frees itself after `slot_seconds`."""

    def __init__(self, client: RedisClient, endpoint: str, limits: GateLimits) -> None:
        tag = hashlib.sha256(endpoint.encode()).hexdigest()[:16]
        self._slots, self._pace, self._health = (f"llm:{{{tag}}}:{part}" for part in ("slots", "pace", "health"))
        self._client = client
        self._limits = limits
        self._enter = script(client, "model_enter")
        self._leave = script(client, "model_leave")

    def enter(self, token: str) -> tuple[float, str]:
        """Ask to start a call: (0, "") if it may, else the seconds to wait and why: paused, open, busy or pace."""
        limits = self._limits
        interval = 60_000 / limits.requests_per_minute if limits.requests_per_minute else 0
        wait, reason = self._enter(
            keys=[self._slots, self._pace, self._health],
            args=[
                token,
                limits.max_concurrency,
                int(limits.slot_seconds * 1000),
                interval,
                min(BURST, limits.requests_per_minute) - 1 if interval else 0,
                limits.breaker_failures,
                int(limits.breaker_seconds * 1000),
            ],
        )
        return int(wait) / 1000, reason.decode()

    def leave(self, token: str, outcome: Outcome, *, pause_seconds: float = 0.0) -> None:
        """End a call. Failures in a row open the breaker; `pause_seconds` holds everybody back (Retry-After)."""
        self._leave(
            keys=[self._slots, self._health],
            args=[
                token,
                outcome,
                int(pause_seconds * 1000),
                self._limits.breaker_failures,
                int(self._limits.breaker_seconds * 1000),
            ],
        )
