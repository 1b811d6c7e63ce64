"""A burst: many sessions at once, every one extracted in the end; prints how quick requests stay meanwhile."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.api import Api
from tests.support.builders import a_message, a_session
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(280)]

CONNECTIONS = 8
THINGS = ("boat", "bicycle", "violin", "telescope", "tent", "camera", "guitar", "canoe", "loom", "kite")


def said(number: int) -> str:
    return f"I own {number + 2} {THINGS[number % len(THINGS)]}s."


@pytest.mark.parametrize("count", [150, *(pytest.param(many, marks=pytest.mark.load) for many in (500, 2_000))])
def test_of_many_sessions_in_one_burst_every_one_is_extracted(api: Api, capsys, count):
    # Many tenants' worth of users, so that no two sessions say the same of the same user.
    sessions = [a_session().of(api.namespace, f"user-{i}").with_messages(a_message(said(i))) for i in range(count)]
    seconds: list[float] = []

    def put(session) -> None:
        started = time.monotonic()
        session.put(api.http)
        seconds.append(time.monotonic() - started)

    begun = time.monotonic()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(put, sessions))
    accepted = time.monotonic() - begun
    probes: list[float] = []

    def extracted() -> bool:
        started = time.monotonic()
        total = api.search(limit=1)["total"]
        probes.append(time.monotonic() - started)
        return total >= count

    wait_until(extracted, 240, f"all {count} sessions are extracted", every=0.5)
    done = time.monotonic() - begun
    users: dict[str, str] = {}
    offset: int | None = 0
    while offset is not None:
        page = api.search(limit=100, offset=offset)
        users.update({m["user_id"]: m["text"] for m in page["memories"]})
        offset = page["next_offset"]
    assert len(users) == page["total"] == count
    for number in range(0, count, 97):
        assert f"{number + 2} {THINGS[number % len(THINGS)]}" in users[f"user-{number}"]
    seconds.sort()
    probes.sort()
    with capsys.disabled():
        print(
            f"\nburst: {count} PUTs by {CONNECTIONS} connections in {accepted:.1f} s "
            f"(p50 {seconds[count // 2] * 1000:.0f} ms, p99 {seconds[count * 99 // 100] * 1000:.0f} ms), "
            f"all extracted after {done:.1f} s; a listing meanwhile: p50 {probes[len(probes) // 2] * 1000:.0f} ms, "
            f"max {probes[-1] * 1000:.0f} ms"
        )
