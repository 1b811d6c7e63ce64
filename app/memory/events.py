"""Events on their way to the webhook: in order per user, at least once, with growing pauses when it does not answer.

An event carries names and ids, never texts: the receiver asks for what it may see.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, Protocol

import structlog

from app.store import codec
from app.store.events import Event, EventRepository, Position

log = structlog.get_logger(__name__)
BATCH = 100
USERS_PER_RUN = 200
RUN_SECONDS = 20.0
CLAIM_MS = 60_000
MAX_PAUSE_MS = 600_000


class Sender(Protocol):
    """Where events are sent to."""

    def send(self, body: bytes) -> bool:
        """Whether they were taken."""
        ...


class EventDelivery:
    """Sends what waits."""

    def __init__(self, events: EventRepository, sender: Sender, *, max_attempts: int) -> None:
        self._events = events
        self._sender = sender
        self._max_attempts = max_attempts

    def run(self) -> dict[str, int]:
        """One round; how many events were delivered, and how many given up."""
        counts = {"delivered": 0, "failed": 0, "given_up": 0}
        deadline = time.monotonic() + RUN_SECONDS
        now = int(time.time() * 1000)
        until = now + CLAIM_MS
        for scope in self._events.claim(now, limit=USERS_PER_RUN, until_ms=until):
            position = self._events.position(scope)
            while True:
                if time.monotonic() > deadline:
                    self._events.postpone(scope, now)
                    break
                if position.next_try > now:
                    self._events.postpone(scope, position.next_try)
                    break
                events = self._events.read(scope, after=position.event_id, limit=BATCH)
                if not events:
                    self._events.settle(scope, until)
                    break
                position = self._send(events, position, counts)
                self._events.move(scope, position)
        return counts

    def _send(self, events: list[Event], position: Position, counts: dict[str, int]) -> Position:
        body = codec.dumps({"events": [event_to_json(event) for event in events]})
        if self._sender.send(body):
            counts["delivered"] += len(events)
            return Position(events[-1].id)
        failures = position.failures + 1
        if failures >= self._max_attempts:
            counts["given_up"] += len(events)
            log.error("events given up; they are still in the stream", first=events[0].id, last=events[-1].id)
            return Position(events[-1].id)
        counts["failed"] += len(events)
        pause = min(MAX_PAUSE_MS, 1000 * 2**failures)
        return replace(position, failures=failures, next_try=int(time.time() * 1000) + pause)


def event_to_json(event: Event) -> dict[str, Any]:
    """An event as receivers see it; the id is the same in every delivery of it."""
    return {
        "id": event.id,
        "type": event.type,
        "occurred_at": event.occurred_at,
        "namespace": event.scope.namespace,
        "user_id": event.scope.user_id,
        **event.details,
    }
