"""What operators do to a platform that is in use, by intention or by mistake: restarts, a full Redis, two beats."""

from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import redis

from app.store.embedded import EmbeddedRedis
from tests.support.api import Api, something_stored
from tests.support.builders import a_memory, a_session, unique
from tests.support.shapes import refusal
from tests.support.stack import Stack, private_stack
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(280)]


@pytest.fixture(scope="module")
def stack(breakable: Stack) -> Stack:
    """Not the one that all other tests share."""
    return breakable


def put_sessions(stack: Stack, namespace: str, count: int) -> list:
    sessions = [a_session().of(namespace, f"u{i}").with_memories(f"User owns book {i}") for i in range(count)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: one.put(stack.http), sessions))
    return sessions


def assert_promoted_once(api: Api, sessions: list, timeout: float = 90) -> float:
    started = time.monotonic()
    for session in sessions:
        api.wait_until_promoted(session.session_id, timeout, **session.scope)
    assert Counter(api.texts()) == Counter(f"User owns book {i}" for i in range(len(sessions)))
    return time.monotonic() - started


def test_a_full_redis_refuses_writes_with_503_serves_reads_and_recovers(stack: Stack, namespace):
    api = Api(stack.http, namespace)
    session, memory = something_stored(api)
    client = redis.Redis.from_url(stack.environment["REDIS_URL"])
    path = f"/v1/working-memory/{session.session_id}"
    client.config_set("maxmemory", "1mb")
    try:
        for method, target, body in (
            ("PUT", path, session.body),
            ("POST", "/v1/long-term-memory/", {"memories": [a_memory("User likes coffee", namespace=namespace)]}),
            ("POST", "/v1/summary-views", {"source": "long_term"}),
        ):
            answer = stack.http.request(method, target, json=body)
            refusal(answer, 503)
            assert int(answer.headers["Retry-After"]) >= 1
        assert stack.http.get(path, params=session.scope).status_code == 200
        assert stack.http.get(f"/v1/long-term-memory/{memory['id']}").status_code == 200
        assert "User likes tea" in api.texts("what does the user drink, asked for the first time?")
    finally:
        client.config_set("maxmemory", "0")
    api.create(a_memory("User likes coffee"))
    again = put_sessions(stack, unique("ns"), 3)
    assert_promoted_once(Api(stack.http, again[0].scope["namespace"]), again)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits another process's files")
def test_a_full_disk_refuses_writes_with_503_serves_reads_and_recovers(stack: Stack, namespace):
    """Redis cannot append to its file: it refuses all writes, the broker's included, until there is room again."""
    api = Api(stack.http, namespace)
    session, memory = something_stored(api)
    before = put_sessions(stack, unique("ns"), 20)
    path = f"/v1/working-memory/{session.session_id}"
    new = {"memories": [a_memory("User likes coffee", namespace=namespace)]}
    stack.redis.fill_disk()
    try:
        wait_until(lambda: stack.http.put(path, json=session.body).status_code == 503, 15, "Redis notices")
        for method, target, body in (("PUT", path, session.body), ("POST", "/v1/long-term-memory/", new)):
            answer = stack.http.request(method, target, json=body)
            refusal(answer, 503)
            assert int(answer.headers["Retry-After"]) >= 1
        assert stack.http.get(path, params=session.scope).status_code == 200
        assert stack.http.get(f"/v1/long-term-memory/{memory['id']}").status_code == 200
        assert "User likes tea" in api.texts("what does the user drink, asked while the disk is full?")
        wait_until(lambda: "MISCONF" in stack.tail("worker", 1000), 15, "the worker has met the full disk")
    finally:
        stack.redis.free_disk()
    freed = time.monotonic()
    wait_until(lambda: stack.http.post("/v1/long-term-memory/", json=new).status_code == 200, 15, "Redis writes again")
    written = time.monotonic() - freed
    assert_promoted_once(Api(stack.http, before[0].scope["namespace"]), before)
    print(f"writes again {written:.1f} s after there was room, the work done after {time.monotonic() - freed:.1f} s")


def test_two_beats_by_mistake_do_nothing_twice(stack: Stack, namespace):
    schedule = str(stack.directory / "second-beat-schedule")
    stack._spawn("beat2", "celery", "-A", "tasks.celery_app", "beat", "-s", schedule, "--pidfile=", "-l", "INFO")
    try:
        sessions = put_sessions(stack, namespace, 20)
        assert_promoted_once(Api(stack.http, namespace), sessions)
    finally:
        stack.terminate("beat2")


@pytest.mark.parametrize("skew", [60, pytest.param(-8, marks=pytest.mark.load)])
def test_a_worker_with_another_clock_does_all_work_once_and_the_doctor_tells(stack: Stack, namespace, skew):
    stack.environment["CLOCK_SKEW_SECONDS"] = str(skew)
    stack.start_worker("tests.support.skewed_worker")
    try:
        sessions = put_sessions(stack, namespace, 10)
        took = assert_promoted_once(Api(stack.http, namespace), sessions)
        print(f"the worker's clock is {skew:+d} s from the others', all was promoted after {took:.1f} s")
        doctor = stack._spawn("doctor", "agent-memory", "doctor")
        doctor.wait(60)
        told = re.search(r"the worker is (\d+\.\d+) s (ahead of|behind)", stack.tail("doctor"))
        assert told, stack.tail("doctor")
        assert abs(float(told[1]) - abs(skew)) < 2
        assert told[2] == ("ahead of" if skew > 0 else "behind")
    finally:
        stack.start_worker()
        stack.wait_until_ready()


def test_a_worker_that_is_told_to_stop_hands_its_work_over(stack: Stack, namespace):
    sessions = put_sessions(stack, namespace, 20)
    api = Api(stack.http, namespace)
    wait_until(lambda: api.search(limit=1)["total"] > 0, 60, "the first memory is there")
    worker = stack.processes["worker"]
    started = time.monotonic()
    stack.terminate("worker", grace_seconds=60)
    assert worker.returncode == 0, "it stopped by itself"
    stopped = time.monotonic() - started
    stack.start_worker()
    stack.wait_until_ready()
    rest = assert_promoted_once(api, sessions)
    print(f"the worker stopped after {stopped:.1f} s, the rest was done {rest:.1f} s after the next one was ready")


def test_no_request_fails_while_the_web_processes_are_replaced(stack: Stack, namespace):
    stop = threading.Event()
    answers: list[tuple[int, float]] = []

    def load(number: int) -> None:
        # A connection per request, as most balancers make them: what is refused is seen, not tried again.
        with httpx.Client(base_url=stack.base_url, timeout=60, headers={"Connection": "close"}) as http:
            while not stop.is_set():
                started = time.monotonic()
                memory = a_memory(f"User owns book {number}-{len(answers)}", namespace=namespace)
                body = {"memories": [memory], "deduplicate": False}
                created = http.post("/v1/long-term-memory/", json=body).status_code
                found = http.post("/v1/long-term-memory/search", json={"namespace": {"eq": namespace}}).status_code
                answers.append((max(created, found), time.monotonic() - started))

    with ThreadPoolExecutor(3) as pool:
        loading = [pool.submit(load, i) for i in range(3)]
        wait_until(lambda: len(answers) > 20, 30, "the load runs")
        master = stack.processes["web"].pid
        before = children(master)
        os.kill(master, signal.SIGHUP)
        wait_until(lambda: children(master) and not children(master) & before, 60, "the web processes are new ones")
        done = len(answers)
        wait_until(lambda: len(answers) > done + 20, 30, "the load goes on")
        stop.set()
        for one in loading:
            one.result()
    assert {status for status, _ in answers} == {200}
    assert Api(stack.http, namespace).search(limit=1)["total"] == len(answers)
    print(f"{2 * len(answers)} requests, none failed, the slowest pair took {max(s for _, s in answers):.1f} s")


def children(pid: int) -> set[int]:
    """Process ids of a process's children."""
    return {int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


@pytest.mark.load
def test_a_broker_that_is_gone_for_30_seconds_costs_only_time():
    broker = EmbeddedRedis(Path(tempfile.mkdtemp(prefix="agent-memory-broker-")))
    url = broker.start().rpartition("/")[0]
    try:
        with private_stack(CELERY_BROKER_URL=f"{url}/1", CELERY_RESULT_BACKEND=f"{url}/2") as stack:
            api = Api(stack.http, unique("ns"))
            sessions = put_sessions(stack, api.namespace, 10)
            os.kill(broker.pid, signal.SIGKILL)
            wait_until(lambda: not broker.alive(), 10, "the broker is gone")
            gone = time.monotonic()
            sessions += [
                a_session().of(api.namespace, f"u{i}").with_memories(f"User owns book {i}") for i in range(10, 20)
            ]
            for session in sessions[10:]:
                session.put(stack.http)
            assert stack.http.get("/readyz").json()["checks"]["broker"] != "ok"
            wait_until(lambda: time.monotonic() - gone > 30, 40, "30 seconds have passed")
            assert broker.start().rpartition("/")[0] == url
            print(f"all promoted {assert_promoted_once(api, sessions, 120):.1f} s after the broker returned")
    finally:
        broker.stop()
