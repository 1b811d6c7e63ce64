"""Waiting for a condition: polled often, never a guessed sleep."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
# Our own test stack promotes a session after a moment; a server that is tested as it runs waits half a minute first.
PROMOTION_SECONDS = 120.0 if os.environ.get("AGENT_MEMORY_BASE_URL") else 30.0


def wait_until(condition: Callable[[], T], timeout: float = 30.0, message: str = "", *, every: float = 0.05) -> T:
    """Poll until the condition's value is true and return that value; AssertionError after `timeout` seconds.

    A condition may raise AssertionError to say "not yet": the last such error is what the failure shows.
    """
    deadline = time.monotonic() + timeout
    while True:
        problem: AssertionError | None = None
        value: T | None = None
        try:
            value = condition()
        except AssertionError as error:
            problem = error
        if value and problem is None:
            return value
        if time.monotonic() > deadline:
            what = message or getattr(condition, "__name__", "the condition")
            raise AssertionError(f"{what}: not within {timeout:g} s (last: {problem or value!r})")
        time.sleep(every)
