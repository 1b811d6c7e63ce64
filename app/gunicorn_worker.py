"""gunicorn's threaded worker, with threads that stay with a busy connection.

gthread gives a connection back to its main thread after every request, which watches it and hands the next request to
some thread: two hand-overs, a pipe and three system calls for each request, a fifth of what a small one costs. A client
that works its way through many requests sends the next one at once; while nobody waits for a thread, the one that has
just answered waits a moment for it.
"""

from __future__ import annotations

import itertools
import select
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from app.config import get_settings
from app.thread_turns import Turns

LINGER_MILLISECONDS = 2


class Worker(ThreadWorker):  # type: ignore[misc]
    """See above, and `app.thread_turns`; in all else it is gthread."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Counted apart, each by one side: the main thread, and whichever thread begins.
        self._submitted = 0
        self._begins = itertools.count(1)
        self._begun = 0
        self._is_plain = not self.cfg.is_ssl
        self._turns = Turns(get_settings().web_active_threads)

    def enqueue_req(self, conn: TConn) -> None:
        """Hand a connection to some thread."""
        self._submitted += 1
        super().enqueue_req(conn)

    def handle(self, conn: TConn) -> Any:
        """Answer a request, and those that follow it at once."""
        self._begun = next(self._begins)
        kept = self._answer(conn)
        while kept is True and self._nobody_waits() and _more_comes(conn):
            kept = self._answer(conn)
        return kept

    def _answer(self, conn: TConn) -> Any:
        with self._turns:
            return super().handle(conn)

    def _nobody_waits(self) -> bool:
        return self.alive and self._is_plain and self._begun >= self._submitted


def _more_comes(conn: TConn) -> bool:
    """Whether the connection has its next request now, or in a moment."""
    if conn.parser.unreader.buf.getvalue():
        return True
    waiting = select.poll()
    waiting.register(conn.sock, select.POLLIN)
    return bool(waiting.poll(LINGER_MILLISECONDS))
