"""Migrations against a real Redis: never two at once, nothing without a word, indexes swapped under load."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from app.config import Settings
from app.memory.errors import BackendUnavailable, Conflict, InvalidRequest
from app.store import index, vectors
from app.store.client import connect
from migrations import reindex, runner
from migrations.lock import exclusive
from tests.support.builders import a_memory
from tests.support.redis_server import embedded_redis
from tests.support.stack import Stack
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def settings():
    with embedded_redis() as server:
        yield Settings(_env_file=None, redis_url=server.url)


@pytest.fixture
def client(settings):
    found = connect(settings)
    found.flushall()
    for name in found.execute_command("FT._LIST"):
        found.execute_command("FT.DROPINDEX", name)
    return found


def test_a_dry_run_says_what_would_be_done_and_does_nothing(client, settings):
    said: list[str] = []
    assert runner.up(client, settings, said.append, dry_run=True) == len(runner.steps())
    assert "1 initial" in said[0]
    assert client.execute_command("FT._LIST") == []
    assert client.dbsize() == 0


def test_two_runners_at_once_run_each_migration_once(client, settings):
    with ThreadPoolExecutor(2) as pool:
        counts = list(pool.map(lambda _: runner.up(connect(settings), settings, str), range(2)))
    assert sorted(counts) == [0, len(runner.steps())]
    assert set(runner.applied(client)) == {step.number for step in runner.steps()}


def test_the_lock_outlives_its_lease_while_its_holder_works_and_not_when_it_died(client, settings):
    with exclusive(client, lease_seconds=0.6):
        time.sleep(1.5)
        with pytest.raises(BackendUnavailable, match="another migration"), exclusive(client, wait_seconds=0.2):
            pass
    client.set("migrations:lock", b"of a runner that was killed", px=300)
    with exclusive(client, wait_seconds=5):
        pass


def test_down_undoes_what_up_did(client, settings):
    runner.up(client, settings, str)
    while runner.down(client, settings, str):
        pass
    assert client.execute_command("FT._LIST") == []
    assert runner.applied(client) == {}


def test_vectors_of_another_length_are_refused_before_anything_is_built(client, settings):
    runner.up(client, settings, str)
    client.delete(vectors.STATE)  # a store of before migration 2: only the settings say what its vectors are
    with pytest.raises(InvalidRequest, match="384 dimensions"):
        reindex.reindex(client, settings.model_copy(update={"embedding_dimensions": 768}), str)
    assert index.describe(client, index.MEMORIES).name == "ltm-v1"


def test_indexes_are_rebuilt_under_load_without_a_failed_request_or_a_lost_memory(stack, api):
    if not isinstance(stack, Stack):
        pytest.skip("needs a stack of our own")
    client = redis.Redis.from_url(stack.environment["REDIS_URL"], protocol=2)
    settings = Settings(_env_file=None, redis_url=stack.environment["REDIS_URL"])
    before = index.describe(client, index.MEMORIES)
    api.create(*[a_memory(f"User owns book {i}") for i in range(20)])
    stop = threading.Event()
    statuses: list[int] = []
    made = [20]

    def load() -> None:
        while not stop.is_set():
            body = {"memories": [a_memory(f"User has read book {made[0]}", namespace=api.namespace)]}
            statuses.append(stack.http.post("/v1/long-term-memory/", json=body).status_code)
            made[0] += 1
            search = {"text": "book", "namespace": {"eq": api.namespace}, "limit": 100}
            answer = stack.http.post("/v1/long-term-memory/search", json=search)
            statuses.append(answer.status_code)
            assert answer.json()["total"] == made[0]

    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load)
        said: list[str] = []
        for change in (
            lambda: reindex.reindex(client, settings, said.append),
            lambda: reindex.rollback(client, said.append),
            lambda: reindex.reindex(client, settings, said.append),
        ):
            done = len(statuses)
            change()
            wait_until(lambda d=done: len(statuses) > d + 4, 20, "requests go on")
        stop.set()
        loading.result()
    assert set(statuses) == {200}
    assert api.search(limit=1)["total"] == made[0]
    assert index.describe(client, index.MEMORIES).name != before.name
    assert reindex.drop_old(client, said.append) >= 2
    assert len([n for n in client.execute_command("FT._LIST") if n.startswith(b"ltm-v")]) == 1
    with pytest.raises(Conflict):
        reindex.rollback(client, said.append)
    assert api.search(limit=1)["total"] == made[0]
