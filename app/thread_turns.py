"""Turns for the threads of a web process: few of them work at once, in the order in which their requests came.

A request needs the interpreter for nearly all of its time. Sixteen threads that want it are served in no order and keep
each other from the caches: the throughput is that of three threads, the slowest requests take a third longer. But a
thread that waits for a model or an endpoint works on nothing: it steps aside until it has its answer.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

# Whoever has waited so long takes the turn of the thread that has had one longest: that hangs (Redis, a slow client).
PATIENCE_SECONDS = 0.5

_thread = threading.local()


class _Turn:
    """One thread's turn, now or later."""

    __slots__ = ("comes",)
    comes: threading.Event


class Turns:
    """At most `at_once` threads at a time; the one that waits longest is next."""

    def __init__(self, at_once: int, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._at_once = at_once
        self._patience = patience_seconds
        self._lock = threading.Lock()
        self._working: dict[_Turn, None] = {}  # those who began first come first
        self._waiting: deque[_Turn] = deque()

    def __enter__(self) -> None:
        """Have a turn, which `aside` and `leave` may give back before the end."""
        self.take()

    def __exit__(self, *_error: object) -> None:
        leave()

    def take(self, *, first: bool = False) -> None:
        """Wait for a turn for this thread; `first`: before all others."""
        turn = _Turn()
        with self._lock:
            waits = len(self._working) >= self._at_once
            if waits:
                turn.comes = threading.Event()
                (self._waiting.appendleft if first else self._waiting.append)(turn)
            else:
                self._working[turn] = None
        if waits and not turn.comes.wait(self._patience):
            with self._lock:
                if turn in self._waiting:  # else it came at the last moment
                    self._waiting.remove(turn)
                    del self._working[next(iter(self._working))]
                    self._working[turn] = None
        _thread.held = (self, turn)

    def give_back(self, turn: _Turn) -> None:
        """End a turn; nothing if it was taken away."""
        with self._lock:
            if turn not in self._working:
                return
            del self._working[turn]
            if self._waiting:
                following = self._waiting.popleft()
                self._working[following] = None
                following.comes.set()


@contextmanager
def aside() -> Iterator[None]:
    """Let another thread have this one's turn meanwhile; where there are no turns, nothing."""
    turns = leave()
    try:
        yield
    finally:
        if turns is not None:
            turns.take(first=True)


def leave() -> Turns | None:
    """Give this thread's turn back, for what it does now takes long; whose turn it was."""
    held: tuple[Turns, _Turn] | None = getattr(_thread, "held", None)
    if held is None:
        return None
    _thread.held = None
    turns, turn = held
    turns.give_back(turn)
    return turns
