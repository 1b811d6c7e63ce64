"""Ends a worker that takes no more tasks, so that whoever supervises it starts another.

A Celery worker can lose its place in the broker and not notice: it stays up, sends heartbeats and consumes nothing
(celery#8030, celery#10205). Nothing is lost, the outbox has the work, but nothing is done either. So a thread in the
worker's main process looks at the queues that the worker consumes. When tasks wait there and the worker, which could
take them, takes none for `WORKER_STALL_SECONDS`, the process says so and ends with its children.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog
from billiard.process import active_children
from celery.signals import task_received, task_revoked, worker_ready, worker_shutting_down
from celery.worker import state

from app.config import get_settings
from tasks.queues import BROKER_AWAY, depth

log = structlog.get_logger(__name__)
EXIT_CODE = 70  # EX_SOFTWARE


@dataclass(frozen=True, slots=True)
class Look:
    """What the watchdog sees: tasks that wait, tasks taken so far, and how long those at hand may take at most.

    `waiting` is 0 when nothing can be said about it, `busy_seconds` when the worker could take one more task now.
    """

    waiting: int
    taken: int
    busy_seconds: float = 0.0


class StallDetector:
    """Adds up the time in which a worker could have taken a task, and took none."""

    def __init__(self, patience_seconds: float) -> None:
        self.idle_seconds = 0.0
        self._patience = patience_seconds
        self._taken = -1

    def stalled(self, seen: Look, seconds: float) -> bool:
        """Whether the worker stalls, `seconds` after the last look."""
        if seen.waiting and seen.taken == self._taken:
            self.idle_seconds += seconds
        else:
            self.idle_seconds, self._taken = 0.0, seen.taken
        return self.idle_seconds > self._patience + seen.busy_seconds


class Watchdog(threading.Thread):
    """Looks at one worker from within."""

    def __init__(self, consumer: Any, patience_seconds: float, *, end: Callable[[], None] | None = None) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._consumer = consumer
        self._detector = StallDetector(patience_seconds)
        self._interval = min(5.0, patience_seconds / 10)
        self._end = end or _end_process
        self._over = threading.Event()
        self._taken = 0
        # Signals hold their receivers weakly.
        task_received.connect(self._take)
        task_revoked.connect(self._take)

    def stop(self) -> None:
        """The worker is shutting down: that it takes no more tasks is intended."""
        self._over.set()

    def run(self) -> None:
        """Look until the worker stops or stalls."""
        looked = time.monotonic()
        while not self._over.wait(self._interval):
            seen = self.look()
            # A process that was suspended had no chance to take anything meanwhile.
            elapsed = min(time.monotonic() - looked, 2 * self._interval)
            looked = time.monotonic()
            if self._detector.stalled(seen, elapsed):
                log.critical(
                    "worker stalled: tasks wait and it takes none; ending it so that it is started again",
                    waiting=seen.waiting,
                    idle_seconds=round(self._detector.idle_seconds, 1),
                    queues=sorted(self._consumer.app.amqp.queues.consume_from),
                    at_hand=len(state.reserved_requests),
                    main_thread=_stack_of_main_thread(),
                )
                self._end()
                return

    def look(self) -> Look:
        """One look at broker and worker; nothing waits when the broker is away or the tasks are held on purpose."""
        consumer = self._consumer
        try:
            # A limited rate lets tasks wait inside the worker.
            if any(bucket and bucket.contents for bucket in list(consumer.task_buckets.values())):
                return Look(0, self._taken)
            with consumer.app.connection_for_read() as connection:
                queues = list(consumer.app.amqp.queues.consume_from)
                waiting = sum(depth(connection.default_channel, queue) for queue in queues)
            return Look(waiting, self._taken, self._busy_seconds())
        except BROKER_AWAY:
            return Look(0, self._taken)
        except RuntimeError:  # a set changed while we went through it: the worker is at work
            return Look(0, self._taken)

    def _busy_seconds(self) -> float:
        """The time after which the worker must be able to take another task; 0 if it is able now."""
        consumer, active = self._consumer, list(state.active_requests)
        tasks = consumer.task_consumer
        full = len(active) >= consumer.pool.num_processes
        if not full and (tasks is None or tasks.channel.qos.can_consume()):
            return 0.0
        if active:
            return min(self._time_limit(request) for request in active)
        # Tasks at hand that nobody runs: the children load their models, or were lost.
        return float(consumer.app.conf.worker_proc_alive_timeout) if len(state.reserved_requests) else 0.0

    def _time_limit(self, request: Any) -> float:
        hard, _soft = request.time_limits
        return float(hard or request.task.time_limit or self._consumer.app.conf.task_time_limit or 0.0)

    def _take(self, **_: Any) -> None:
        self._taken += 1


def _stack_of_main_thread() -> list[str]:
    main = threading.main_thread().ident
    frame = sys._current_frames().get(main) if main else None
    return [f"{one.filename}:{one.lineno} {one.name}" for one in traceback.extract_stack(frame)[-8:]]


def _end_process() -> None:
    """End at once, children first: tasks under way are acknowledged late, so they are done again."""
    for child in active_children():
        with suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
    sys.stderr.flush()
    os._exit(EXIT_CODE)


_watchdogs: list[Watchdog] = []


@worker_ready.connect
def _watch(sender: Any, **_: Any) -> None:
    """Begin when the pool is up: children load their models before it."""
    patience = get_settings().worker_stall_seconds
    if patience:
        _watchdogs.append(Watchdog(sender, patience))
        _watchdogs[-1].start()


@worker_shutting_down.connect
def _stop_watching(**_: Any) -> None:
    for watchdog in _watchdogs:
        watchdog.stop()
