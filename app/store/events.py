"""What happened to whom, in a stream per user: written in the same step as the change itself, read by anybody.

| key | holds |
|---|---|
| `events:` | stream of one user's events, the newest EVENTS_MAX_ENTRIES; names and ids, never texts |
| `eventsc:` | hash: up to where the webhook has them, and how often the next ones failed |
| `events-due` | sorted set of users with events that the webhook has not got, by the time of the next try (ms) |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.memory.models import Scope
from app.store import keys
from app.store.client import RedisClient, store_errors
from app.store.scripts import script

START = "0-0"


@dataclass(frozen=True, slots=True)
class Event:
    """One event; its id grows with time inside one scope."""

    id: str
    type: str
    scope: Scope
    details: Mapping[str, str]

    @property
    def occurred_at(self) -> datetime:
        """When it was written."""
        return datetime.fromtimestamp(int(self.id.partition("-")[0]) / 1000, UTC)


@dataclass(frozen=True, slots=True)
class Position:
    """Up to which event a user's are delivered; how often the next ones failed, and when to try again (ms)."""

    event_id: str = START
    failures: int = 0
    next_try: int = 0


@store_errors
class EventRepository:
    """Streams of events, `kept` entries each (0: there are none); with `webhook`, they are also to be delivered."""

    def __init__(self, client: RedisClient, kept: int, *, webhook: bool = False) -> None:
        self._client = client
        self.kept = kept
        self.webhook = webhook
        self._claim = script(client, "events_claim")
        self._settle = script(client, "events_settle")

    def add_to(self, pipeline: Any, scope: Scope, kind: str, details: Mapping[str, str], now_ms: int) -> None:
        """Write an event as part of a round trip."""
        if self.kept:
            fields = {"type": kind, **details}
            pipeline.xadd(keys.events(scope), fields, maxlen=self.kept, approximate=True)
            self.make_due(pipeline, scope, now_ms)

    def make_due(self, pipeline: Any, scope: Scope, now_ms: int) -> None:
        """Let the webhook, if there is one, look at a user, as part of a round trip."""
        if self.webhook:
            pipeline.zadd(keys.EVENTS_DUE, {keys.scope_member(scope): now_ms}, lt=True)

    def read(self, scope: Scope, *, after: str = START, limit: int = 100) -> list[Event]:
        """A user's events after one, oldest first. One round trip."""
        found = self._client.xrange(keys.events(scope), min=f"({after}", count=limit)
        return [_event(scope, entry_id, fields) for entry_id, fields in found]

    def claim(self, now_ms: int, *, limit: int, until_ms: int) -> list[Scope]:
        """Users whose events wait, now the caller's until that time."""
        found = self._claim(keys=[keys.EVENTS_DUE], args=[now_ms, limit, until_ms])
        return [keys.scope_of(member.decode()) for member in found]

    def settle(self, scope: Scope, until_ms: int) -> None:
        """Everything is delivered."""
        self._settle(keys=[keys.EVENTS_DUE], args=[keys.scope_member(scope), until_ms])

    def postpone(self, scope: Scope, at_ms: int) -> None:
        """Look at this user again at that time."""
        self._client.zadd(keys.EVENTS_DUE, {keys.scope_member(scope): at_ms}, xx=True)

    def position(self, scope: Scope) -> Position:
        """How far the webhook is."""
        event_id, failures, next_try = self._client.hmget(keys.events_position(scope), "id", "failures", "next")
        return Position((event_id or START.encode()).decode(), int(failures or 0), int(next_try or 0))

    def move(self, scope: Scope, position: Position) -> None:
        """Remember how far the webhook is."""
        fields = {"id": position.event_id, "failures": position.failures, "next": position.next_try}
        self._client.hset(keys.events_position(scope), mapping=fields)

    def waiting(self) -> int:
        """Users with events that are not delivered."""
        return int(self._client.zcard(keys.EVENTS_DUE))


def _event(scope: Scope, entry_id: bytes, fields: Mapping[bytes, bytes]) -> Event:
    details = {name.decode(): value.decode() for name, value in fields.items()}
    kind = details.pop("type")
    if encoded := details.pop("id", None):
        details["memory_id"] = keys.decode(encoded) or ""
    return Event(entry_id.decode(), kind, scope, details)
