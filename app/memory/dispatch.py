"""The dispatcher: starts what is due in the outbox. Run by beat; also what sweeps up after crashes."""

from __future__ import annotations

import time

import structlog

from app import correlation
from app.config import Settings
from app.memory.background import Background
from app.memory.enrichment import Enrichments
from app.memory.identity import new_id
from app.memory.models import BatchRef, FoldRef, SessionRef, ViewRunRef, Work
from app.store.outbox import Outbox

log = structlog.get_logger(__name__)
FULL_SWEEP_SECONDS = 60.0
TENANTS_PER_ROUND = 200


class Dispatcher:
    """Turns due outbox members into chains, never more than the queues can take."""

    def __init__(self, outbox: Outbox, enrichments: Enrichments, background: Background, settings: Settings) -> None:
        self._outbox = outbox
        self._enrichments = enrichments
        self._background = background
        self._settings = settings
        self._last_sweep = 0.0

    def run(self) -> int:
        """One round; how many chains were started. Two dispatchers at once are harmless: claiming is atomic."""
        now = time.time()
        room = self._settings.dispatch_high_water - self._background.queue_depth()
        if room <= 0:
            return 0
        if now - self._last_sweep > FULL_SWEEP_SECONDS:
            self._last_sweep = now
            tenants = self._outbox.namespaces()
        else:
            tenants = self._outbox.due_namespaces(now, TENANTS_PER_ROUND)
        started = 0
        for position, namespace in enumerate(tenants):
            if room <= started:
                break
            # An equal share of the room for each tenant that waits: none can starve the others.
            share = max(1, (room - started) // (len(tenants) - position))
            claimed, given_up = self._outbox.claim(
                namespace,
                now=now,
                limit=share,
                lease_seconds=self._settings.promotion_lease_seconds,
                max_tries=self._settings.task_max_attempts,
            )
            for ref in self._enrichments.gathered(claimed):
                with correlation.resumed(self._outbox.origin(ref)):
                    self._start(ref)
            self._outbox.settle(namespace)
            started += len(claimed)
            if given_up:
                log.error("work given up; see the dead letters", namespace=namespace, count=given_up)
        return started

    def _start(self, work: Work) -> None:
        match work:
            case SessionRef():
                self._background.promote(work, new_id())
            case FoldRef():
                self._background.fold(work)
            case ViewRunRef():
                self._background.run_view(work)
            case BatchRef():
                self._background.process(work)
