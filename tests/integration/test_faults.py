"""Parts are killed on purpose. Nothing acknowledged is lost, nothing is done twice, and clients are told the truth."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import redis

from tests.support.api import Api, something_stored
from tests.support.builders import a_memory, a_message, a_session
from tests.support.shapes import refusal
from tests.support.stack import Stack
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(280)]

ROUTES = [
    ("GET", "/v1/working-memory/", None),
    ("GET", "/v1/working-memory/{session}", None),
    ("PUT", "/v1/working-memory/{session}", {"messages": []}),
    ("DELETE", "/v1/working-memory/{session}", None),
    ("POST", "/v1/working-memory/{session}/messages", {"messages": [a_message("hi")]}),
    ("POST", "/v1/long-term-memory/", {"memories": [a_memory("x")]}),
    ("POST", "/v1/long-term-memory/", {"memories": [a_memory(f"x {i}") for i in range(30)]}),
    ("GET", "/v1/long-term-memory/{memory}", None),
    ("PATCH", "/v1/long-term-memory/{memory}", {"pinned": True}),
    ("DELETE", "/v1/long-term-memory?memory_ids={memory}", None),
    ("POST", "/v1/long-term-memory/search", {}),
    ("POST", "/v1/long-term-memory/search", {"text": "tea"}),
    ("POST", "/v1/long-term-memory/search", {"text": "tea", "search_mode": "keyword"}),
    ("POST", "/v1/long-term-memory/search", {"text": "never asked before", "search_mode": "hybrid"}),
    ("POST", "/v1/long-term-memory/forget", {"policy": {}}),
    ("POST", "/v1/long-term-memory/compact", None),
    ("POST", "/v1/memory/prompt", {"query": "q", "session": {"session_id": "{session}"}}),
    ("POST", "/v1/memory/prompt", {"query": "q", "long_term_search": True}),
    ("GET", "/v1/summary-views", None),
    ("POST", "/v1/summary-views", {"source": "long_term"}),
    ("GET", "/v1/summary-views/{view}", None),
    ("DELETE", "/v1/summary-views/{view}", None),
    ("GET", "/v1/summary-views/{view}/partitions", None),
    ("POST", "/v1/summary-views/{view}/partitions/run", {"group": {}}),
    ("POST", "/v1/summary-views/{view}/run", {}),
    ("GET", "/v1/tasks/{task}", None),
]


@pytest.fixture(scope="module")
def stack(breakable: Stack) -> Stack:
    """Not the one that all other tests share."""
    return breakable


def test_row_01_every_route_answers_503_while_redis_is_away_and_recovers_with_it(stack: Stack, namespace):
    api = Api(stack.http, namespace)
    session, memory = something_stored(api)
    view = stack.http.post("/v1/summary-views", json={"source": "long_term"}).json()
    task = stack.http.post(f"/v1/summary-views/{view['id']}/run", json={}).json()
    api.wait_for_task(task["id"])
    names = {"session": session.session_id, "memory": memory["id"], "view": view["id"], "task": task["id"]}
    stack.kill_redis()
    try:
        for method, path, body in ROUTES:
            answer = stack.http.request(method, path.format(**names), json=body)
            detail = refusal(answer, 503)
            assert detail
            assert int(answer.headers["Retry-After"]) >= 1, path
        assert stack.http.get("/v1/health").status_code == 200, "health touches nothing"
        assert stack.http.get("/healthz").status_code == 200, "alive is not ready"
        not_ready = stack.http.get("/readyz")
        assert not_ready.status_code == 503
        assert not_ready.json()["checks"]["store"] != "ok"
        assert not_ready.headers["Retry-After"]
    finally:
        stack.start_redis()
    stack.wait_until_ready()
    stored = api.session(session.session_id, **session.scope)
    assert [m["content"] for m in stored["messages"]] == ["I live in Lisbon."], "no client was told to start anew"
    assert memory["id"] in api.ids("tea")
    again = a_session().of(namespace, "u").with_messages("I play the violin.")
    again.put(stack.http)
    api.wait_until_promoted(again.session_id, 60, **again.scope)
    assert any("violin" in t for t in api.texts())


def test_row_01_a_redis_that_hangs_is_503_too_and_soon(stack: Stack, namespace):
    session = a_session().of(namespace, "u").having(data={"a": 1})
    session.put(stack.http)
    path = f"/v1/working-memory/{session.session_id}"
    calls = [("GET", path, None), ("PUT", path, {}), ("POST", "/v1/long-term-memory/search", {})]

    def call(method: str, target: str, body: object) -> float:
        started = time.monotonic()
        refusal(stack.http.request(method, target, json=body), 503)
        return time.monotonic() - started

    os.kill(stack.redis.pid, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(len(calls)) as pool:
            assert max(pool.map(call, *zip(*calls, strict=True))) < 6, "soon: the time-out is 2 s"
    finally:
        os.kill(stack.redis.pid, signal.SIGCONT)
    answer = wait_until(lambda: stack.http.get(path, params=session.scope), 10, "Redis is back")
    assert answer.json()["data"] == {"a": 1}


def test_requests_succeed_without_a_worker_and_their_work_is_done_when_it_returns(stack: Stack, namespace):
    api = Api(stack.http, namespace)
    stack.kill("worker")
    try:
        session = a_session().of(namespace, "u").with_messages("I work as a nurse.").with_memories("User likes tea")
        brief = a_session().of(namespace, "brief").with_messages("I play the violin.").having(ttl_seconds=1)
        session.put(stack.http)
        api.create(a_memory("User met Marie Curie in Paris"))
        assert api.texts("Marie Curie") == ["User met Marie Curie in Paris"], "small creates need no worker"
        large = api.create(*[a_memory(f"User owns book {i}") for i in range(30)])
        assert api.task(large["task_id"])["status"] == "pending"
        stored = api.session(session.session_id, **session.scope)
        assert stored["messages"][0]["discrete_memory_extracted"] == "f"
        brief.put(stack.http)
        path = f"/v1/working-memory/{brief.session_id}"
        wait_until(lambda: stack.http.get(path, params=brief.scope).status_code == 404, 5, "the brief session expires")
        url = stack.environment["REDIS_URL"]
        redis.Redis.from_url(url).expire("alive:worker", 1)  # as if its 15 seconds were nearly over
        wait_until(lambda: stack.http.get("/readyz").status_code == 503, 30, "the missing worker is noticed")
        assert "no worker" in stack.http.get("/readyz").json()["checks"]["workers"]
        broker = redis.Redis.from_url(url.replace("/0", "/1"))
        assert broker.llen("store") <= 8, "beat's ticks do not pile up: one of each job waits"
    finally:
        stack.start_worker()
    stack.wait_until_ready()
    api.wait_until_promoted(session.session_id, 60, **session.scope)
    assert api.wait_for_task(large["task_id"])["status"] == "success"
    wait_until(lambda: api.search(limit=1)["total"] == 34, 30, "also what the session said that had expired by then")
    assert any("violin" in text for text in api.texts("violin"))


def test_an_answered_create_survives_kill_9_of_the_web_process(stack: Stack, namespace):
    api = Api(stack.http, namespace)
    memories = [a_memory(f"User owns book number {i}") for i in range(10)]
    large = [a_memory(f"User has read book number {i}") for i in range(40)]
    session = a_session().of(namespace, "u").with_messages("I play the violin.")
    assert api.create(*memories)["status"] == "ok"
    session.put(stack.http)
    answer = api.create(*large)
    stack.kill("web")
    stack.start_web()
    assert {m["id"] for m in memories} <= set(api.ids(limit=100))
    assert api.wait_for_task(answer["task_id"])["status"] == "success"
    api.wait_until_promoted(session.session_id, 60, **session.scope)
    assert api.search(limit=1)["total"] == 51


def test_nothing_acknowledged_is_lost_when_redis_is_killed_and_restarted(stack: Stack, namespace):
    """Writers write until Redis dies under them; what was answered 200 must be there afterwards."""
    api = Api(stack.http, namespace)
    acknowledged: list[str] = []
    sessions: list[str] = []

    def write(writer: int) -> None:
        for number in range(10_000):
            memory = a_memory(f"User owns book {writer}-{number}", namespace=namespace)
            session = a_session().of(namespace, "u").having(data={"n": number})
            try:
                put = stack.http.put(f"/v1/working-memory/{session.session_id}", json=session.body)
                created = stack.http.post("/v1/long-term-memory/", json={"memories": [memory]})
            except httpx.TransportError:
                return
            if put.status_code == 200:
                sessions.append(session.session_id)
            if created.status_code == 200:
                acknowledged.append(memory["id"])
            if put.status_code != 200 or created.status_code != 200:
                assert {put.status_code, created.status_code} <= {200, 503}
                return

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, i) for i in range(4)]
        wait_until(lambda: len(acknowledged) >= 60, 30, "some creates are acknowledged")
        stack.kill_redis()
        for writer in writers:
            writer.result()
    stack.start_redis()
    stack.wait_until_ready()
    for memory_id in acknowledged:
        assert stack.http.get(f"/v1/long-term-memory/{memory_id}").status_code == 200
    for session_id in sessions:
        assert stack.http.get(f"/v1/working-memory/{session_id}", params={"namespace": namespace}).status_code == 200
    assert api.search(limit=1)["total"] >= len(acknowledged)


def test_pipelines_survive_a_kill_9_of_redis(stack: Stack, namespace):
    """Broker, batches and outbox live in Redis: what was under way goes on after its restart."""
    api = Api(stack.http, namespace)
    sessions = [a_session().of(namespace, f"u{i}").with_memories(f"User owns book {i}") for i in range(40)]
    for session in sessions:
        session.put(stack.http)
    wait_until(lambda: api.search(limit=1)["total"] > 0, 60, "the first memory is there")
    stack.kill_redis()
    stack.start_redis()
    stack.wait_until_ready()

    def all_there() -> bool:
        total = api.search(limit=1)["total"]
        assert total >= 40, (total, stack.http.get("/readyz").json(), stack.tail("worker", 12))
        return True

    wait_until(all_there, 90, "all memories are there", every=0.5)
    for session in sessions:
        api.wait_until_promoted(session.session_id, 60, **session.scope)
    texts = Counter(api.texts())
    assert texts == Counter(f"User owns book {i}" for i in range(40))


@pytest.mark.parametrize("count", [80, pytest.param(200, marks=pytest.mark.load)])
def test_every_memory_exists_exactly_once_after_kill_9_of_the_worker_amid_many_pipelines(
    stack: Stack, namespace: str, count: int
):
    api = Api(stack.http, namespace)
    sessions = [
        a_session()
        .of(api.namespace, f"user-{i}")
        .with_messages(f"I own {i + 2} red bicycles.")
        .with_memories(f"User owns book number {i}")
        for i in range(count)
    ]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda s: s.put(stack.http), sessions))
    for share in (count // 6, count // 2):
        wait_until(lambda s=share: api.search(limit=1)["total"] >= s, 90, f"{share} memories are there")
        stack.kill("worker")
        stack.start_worker()
    started = time.monotonic()
    for session in sessions:
        api.wait_until_promoted(session.session_id, 150, **session.scope)
    print(f"all promoted {time.monotonic() - started:.1f} s after the last kill")
    found: list[dict] = []
    while True:
        page = api.search(limit=100, offset=len(found))
        found += page["memories"]
        if page["next_offset"] is None:
            break
    given = Counter(m["text"] for m in found if m["text"].startswith("User owns book"))
    assert given == Counter(f"User owns book number {i}" for i in range(count))
    extracted = Counter(m["user_id"] for m in found if "bicycle" in m["text"])
    assert extracted == Counter(f"user-{i}" for i in range(count))
    assert len(found) == 2 * count
    readiness = stack.http.get("/readyz").json()
    assert readiness["outbox"]["dead"] == 0, readiness


def test_beat_may_die_and_return(stack: Stack, namespace):
    api = Api(stack.http, namespace)
    stack.kill("beat")
    session = a_session().of(namespace, "u").with_messages("I play the violin.")
    session.put(stack.http)
    stack.start_beat()
    api.wait_until_promoted(session.session_id, 60, **session.scope)
    assert len(api.texts()) == 1
