"""One POST of a thousand memories: other requests hardly notice."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.api import Api
from tests.support.builders import a_memory, a_message, a_session

pytestmark = pytest.mark.integration

THINGS = ("boat", "violin", "tent", "camera", "loom", "kite", "canoe", "guitar", "lamp", "globe")


class Probe:
    """What other clients ask meanwhile: usual requests, one after the other, timed."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._session = a_session().of(api.namespace, "u").with_messages(a_message("hi", discrete_memory_extracted="t"))
        self._session.put(api.http)
        api.create("User likes green tea")

    def once(self) -> list[float]:
        """Seconds of each request of one round."""
        api, session = self._api, self._session
        calls: list[Callable[[], object]] = [
            lambda: session.put(api.http),
            lambda: api.session(session.session_id, **session.scope),
            lambda: api.search("green tea", limit=10),
            lambda: api.search(limit=10, user_id={"eq": "u"}),
        ]
        seconds = []
        for call in calls:
            started = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - started)
        return seconds


def p99(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99)]


def measure(api: Api, memories: int) -> tuple[float, float, float]:
    """The p99 of a request in seconds: idle, and while so many memories are created; and how long that took."""
    probe = Probe(api)
    for _ in range(20):
        probe.once()
    idle = [second for _ in range(100) for second in probe.once()]
    records = [a_memory(f"Item {n}: a {THINGS[n % 10]} bought in {1900 + n % 100}") for n in range(memories)]
    busy: list[float] = []
    with ThreadPoolExecutor(1) as pool:
        begun = time.perf_counter()
        posted = pool.submit(api.create, *records)
        while not posted.done():
            busy += probe.once()
        task_id = posted.result()["task_id"]
        while (task := api.task(task_id))["status"] not in ("success", "failed"):
            busy += probe.once()
        took = time.perf_counter() - begun
    assert task["status"] == "success", task
    assert api.search(limit=1)["total"] == memories + 1
    return p99(idle), p99(busy), took


def told(idle: float, busy: float, took: float) -> str:
    return (
        f"p99 of other requests: idle {idle * 1000:.1f} ms, while memories are created (in {took:.1f} s) "
        f"{busy * 1000:.1f} ms: {busy / idle:.1f} times"
    )


def test_other_requests_are_answered_while_many_memories_are_created(api: Api):
    idle, busy, took = measure(api, 300)
    # Loose, since the tests share two cores with whatever else runs: what must not be is that nobody gets an answer.
    assert busy < max(3 * idle, 0.3), told(idle, busy, took)


@pytest.mark.load
def test_a_thousand_memories_leave_the_p99_of_other_requests_under_three_times_idle(api: Api, capsys):
    idle, busy, took = measure(api, 1_000)
    with capsys.disabled():
        print(f"\n{told(idle, busy, took)}")
    assert busy < 3 * idle, told(idle, busy, took)
