"""The exact requests of the TypeScript and Java clients (wire contract 11.3, 11.4), replayed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import quote

import httpx
import pytest

from tests.support.api import Api
from tests.support.builders import Json, a_memory, unique
from tests.support.shapes import check_hit, check_record, check_session, check_task
from tests.support.waiting import wait_until


def java_instant() -> str:
    """A Java Instant: nanoseconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "123Z"


class TypeScript:
    """Sends what the npm package sends: its headers on every request, undefined fields left out."""

    HEADERS: ClassVar = {
        "Content-Type": "application/json",
        "User-Agent": "agent-memory-client-js/0.3.1",
        "X-Client-Version": "0.3.1",
        "X-API-Key": "a key",
        "Authorization": "Bearer a-token",
    }

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def __call__(self, method: str, path: str, body: Any = None, **query: str) -> httpx.Response:
        content = None if body is None else json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        return self._http.request(method, path, content=content, params=query, headers=self.HEADERS)


class Java:
    """Sends what OkHttp and Jackson send: nulls for unset fields, a charset in the content type."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def __call__(self, method: str, path: str, body: Any = None, **query: str) -> httpx.Response:
        headers = {"User-Agent": "agent-memory-client-java/0.1.0", "X-Client-Version": "0.1.0"}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json; charset=utf-8"
            content = b"" if body == "" else json.dumps(body).encode()
        return self._http.request(method, path, content=content, params=query, headers=headers)


@pytest.fixture
def ts(http: httpx.Client) -> TypeScript:
    return TypeScript(http)


@pytest.fixture
def java(http: httpx.Client) -> Java:
    return Java(http)


def ok(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    assert answer.content, "Java treats an empty body as an error"
    return answer.json()


# -- TypeScript ------------------------------------------------------------------------------------------------------


def test_typescript_health_check(ts: TypeScript):
    assert ok(ts("GET", "/v1/health"))["now"] > 10**12


def test_typescript_get_or_create_working_memory(ts: TypeScript, namespace):
    session_id = unique("s/1 ü")  # encodeURIComponent
    path = f"/v1/working-memory/{quote(session_id, safe='')}"
    assert ts("GET", path, user_id="u", namespace=namespace).status_code == 404
    body = {
        "session_id": session_id, "namespace": namespace, "user_id": "u", "messages": [], "memories": [],
        "long_term_memory_strategy": {"strategy": "discrete", "config": {}},
    }  # fmt: skip
    created = ok(ts("PUT", path, body, user_id="u"))
    check_session(created)
    assert created["session_id"] == session_id
    assert ok(ts("GET", path, user_id="u", namespace=namespace))["session_id"] == session_id


def test_typescript_put_working_memory(ts: TypeScript, namespace):
    session_id = unique("s")
    body = {
        "session_id": session_id, "namespace": namespace, "messages": [{"role": "user", "content": "hi"}],
        "memories": [], "data": {"a": None}, "ttl_seconds": 60,
    }  # fmt: skip
    query = {"model_name": "gpt-4o", "context_window_max": "8000", "background": "true"}
    stored = ok(ts("PUT", f"/v1/working-memory/{session_id}", body, **query))
    assert stored["context_percentage_total_used"] > 0
    assert ok(ts("DELETE", f"/v1/working-memory/{session_id}", namespace=namespace)) == {"status": "ok"}


def test_typescript_list_sessions_without_limits(ts: TypeScript, namespace):
    assert ok(ts("GET", "/v1/working-memory/", namespace=namespace)) == {"sessions": [], "total": 0}


def test_typescript_create_search_get_edit_and_delete(ts: TypeScript, namespace):
    memory_id = unique("mem/ü")
    records = [{"id": memory_id, "text": "User likes tea", "memory_type": "semantic", "topics": ["drinks"]}]
    # The namespace goes as a query parameter, the record has none.
    ok(ts("POST", "/v1/long-term-memory/", {"memories": records}, namespace=namespace))
    search = {
        "text": "tea", "session_id": {"ne": "other"}, "namespace": {"eq": namespace}, "topics": {"any": ["drinks"]},
        "created_at": {"gte": "2020-01-01T00:00:00.000Z", "lte": "2099-01-01T00:00:00.000Z"}, "limit": 5,
        "event_date": {},
    }  # fmt: skip
    found = ok(ts("POST", "/v1/long-term-memory/search", search))
    check_hit(found["memories"][0])
    assert found["memories"][0]["id"] == memory_id
    path = f"/v1/long-term-memory/{quote(memory_id, safe='')}"
    check_record(ok(ts("GET", path, namespace=namespace)))
    assert ok(ts("PATCH", path, {"text": "User likes milk"}))["text"] == "User likes milk"
    gone = ok(ts("DELETE", "/v1/long-term-memory", memory_ids=memory_id, namespace=namespace))
    assert gone == {"status": "ok, deleted 1 memories"}
    assert ts("GET", path, namespace=namespace).status_code == 404


def test_typescript_memory_prompt_with_a_boolean(ts: TypeScript, namespace):
    body = {"query": "q", "session": {"session_id": unique("s"), "namespace": namespace}, "long_term_search": True}
    assert ok(ts("POST", "/v1/memory/prompt", body))["messages"][-1]["content"]["text"] == "q"


def test_typescript_forget_without_dry_run_is_dry(ts: TypeScript, namespace):
    body = {"policy": {"max_age_days": 1}}
    assert ok(ts("POST", "/v1/long-term-memory/forget", body, namespace=namespace))["dry_run"] is True


def test_typescript_summary_views(ts: TypeScript, api: Api):
    body = {"name": "x", "source": "long_term", "group_by": ["user_id"], "filters": {"namespace": api.namespace}}
    view = ok(ts("POST", "/v1/summary-views", body))
    for run_body in ({}, {"force": True}):
        task = ok(ts("POST", f"/v1/summary-views/{view['id']}/run", run_body))
        assert api.wait_for_task(task["id"])["status"] == "success"
    run = f"/v1/summary-views/{view['id']}/partitions/run"
    assert ok(ts("POST", run, {"group": {"user_id": "u"}}))["empty"] is True
    assert len(ok(ts("GET", f"/v1/summary-views/{view['id']}/partitions", user_id="u"))) == 1
    assert view["id"] in [v["id"] for v in ok(ts("GET", "/v1/summary-views"))]
    ok(ts("DELETE", f"/v1/summary-views/{view['id']}"))
    assert ts("GET", f"/v1/summary-views/{view['id']}").status_code == 404


def test_typescript_bulk_create_sends_chunks_of_fifty(ts: TypeScript, api: Api):
    records = [{"id": unique("bulk"), "text": f"User owns {n} books"} for n in range(60)]
    for chunk in (records[:50], records[50:]):
        ok(ts("POST", "/v1/long-term-memory/", {"memories": chunk}, namespace=api.namespace))
    api.wait_for_memories(60)


def test_typescript_search_with_every_option(ts: TypeScript, api: Api):
    api.create(a_memory("User likes tea", user_id="u", event_date="2024-01-02T00:00:00Z"))
    body = {
        "text": "tea", "namespace": {"eq": api.namespace}, "user_id": {"eq": "u"}, "session_id": {"not_in": ["x"]},
        "memory_type": {"any": ["semantic", "episodic"]}, "entities": {"none": ["Oslo"]},
        "extraction_strategy": {"not_eq": "custom"}, "last_accessed": {"gt": "2020-01-01T00:00:00.000Z"},
        "event_date": {"between": ["2024-01-01T00:00:00.000Z", "2024-01-03T00:00:00.000Z"], "inclusive": "left"},
        "distance_threshold": 1.5, "limit": 10, "offset": 0, "search_mode": "semantic", "recency_boost": True,
        "recency_semantic_weight": 0.8, "recency_recency_weight": 0.2, "recency_freshness_weight": 0.6,
        "recency_novelty_weight": 0.4, "recency_half_life_last_access_days": 7, "recency_half_life_created_days": 30,
        "server_side_recency": True,
    }  # fmt: skip
    assert ok(ts("POST", "/v1/long-term-memory/search", body))["total"] == 1


def test_typescript_hydrates_a_prompt_from_session_and_search(ts: TypeScript, api: Api):
    api.create("User likes tea")
    session = {"session_id": unique("s"), "namespace": api.namespace, "model_name": "gpt-4o"}
    body = {"query": "tea?", "session": session, "long_term_search": {"namespace": {"eq": api.namespace}, "limit": 3}}
    hydrated = ok(ts("POST", "/v1/memory/prompt", body))
    assert [m["text"] for m in hydrated["long_term_memories"]] == ["User likes tea"]


def test_typescript_null_for_what_is_not_there_needs_a_404(ts: TypeScript):
    for path in ("/v1/working-memory/", "/v1/long-term-memory/", "/v1/summary-views/", "/v1/tasks/"):
        assert ts("GET", path + unique("none")).status_code == 404


def test_typescript_deletes_many_ids_in_one_query(ts: TypeScript, api: Api):
    """A request line of 16 kB: longer than servers take by default."""
    ids = [unique("many-ids-in-one-query") for _ in range(300)]
    api.create(*[{"id": memory_id, "text": f"fact {n}"} for n, memory_id in enumerate(ids)])
    api.wait_for_memories(100)
    wait_until(lambda: api.search()["total"] == 300, message="all are indexed")
    query = [("memory_ids", memory_id) for memory_id in ids]
    answer = api.http.delete("/v1/long-term-memory", params=query, headers=TypeScript.HEADERS)
    assert ok(answer) == {"status": "ok, deleted 300 memories"}


# -- Java ------------------------------------------------------------------------------------------------------------


def java_record(text: str, **given: Any) -> Json:
    """A MemoryRecord of the Java builder, as Jackson writes it."""
    now = java_instant()
    return {
        "id": unique("JAVA").upper(), "text": text, "session_id": None, "user_id": None, "namespace": None,
        "last_accessed": now, "created_at": now, "updated_at": now, "topics": None, "entities": None,
        "memory_hash": None, "discrete_memory_extracted": "t", "memory_type": "semantic", "persisted_at": None,
        "extracted_from": None, "event_date": None, "extraction_strategy": "manual", "extraction_strategy_config": {},
        **given,
    }  # fmt: skip


def java_message(content: str) -> Json:
    """A MemoryMessage of the Java client."""
    return {
        "role": "user", "content": content, "id": unique("M").upper(), "created_at": java_instant(),
        "persisted_at": None, "discrete_memory_extracted": "f",
    }  # fmt: skip


def java_session(session_id: str, **given: Any) -> Json:
    """A WorkingMemory of the Java client."""
    return {
        "session_id": session_id, "messages": [], "memories": [], "data": None, "context": None, "user_id": None,
        "tokens": 0, "namespace": None, "long_term_memory_strategy": {"strategy": "discrete", "config": {}},
        "ttl_seconds": None, "last_accessed": java_instant(), "created_at": None, "updated_at": None, **given,
    }  # fmt: skip


def test_java_put_working_memory_with_its_swapped_query(java: Java, namespace):
    session_id = unique("s")
    body = java_session(session_id, user_id="u", namespace=namespace, messages=[java_message("hi")],
                        memories=[java_record("User likes tea")])  # fmt: skip
    # setWorkingMemoryData and friends pass user and namespace in swapped order.
    stored = ok(java("PUT", f"/v1/working-memory/{session_id}", body, user_id=namespace, namespace="u"))
    check_session(stored)
    assert (stored["user_id"], stored["namespace"]) == ("u", namespace)
    assert stored["memories"][0]["extraction_strategy"] == "manual"
    found = ok(java("GET", f"/v1/working-memory/{session_id}", user_id="u", namespace=namespace))
    for times in (found, *found["messages"], *found["memories"]):
        assert all(v.endswith("Z") for k, v in times.items() if k in ("created_at", "updated_at", "last_accessed"))


def test_java_get_or_create(java: Java, namespace):
    session_id = unique("s")
    path = f"/v1/working-memory/{session_id}"
    assert java("GET", path, namespace=namespace).status_code == 404
    ok(java("PUT", path, java_session(session_id, namespace=namespace)))
    found = ok(java("GET", path, namespace=namespace))
    assert found["messages"] == found["memories"] == []


def test_java_list_sessions_asks_for_a_hundred(java: Java, namespace):
    assert ok(java("GET", "/v1/working-memory/", limit="100", offset="0", namespace=namespace))["total"] == 0


def test_java_create_and_search(java: Java, namespace):
    record = java_record("User likes tea", namespace=namespace, user_id="u", topics=["drinks"])
    ok(java("POST", "/v1/long-term-memory/", {"memories": [record]}))
    search = {
        "text": "tea", "session_id": None, "namespace": {"eq": namespace}, "user_id": {"eq": "u"},
        "topics": {"any": ["drinks"]}, "entities": None, "distance_threshold": None, "limit": 10, "offset": 0,
    }  # fmt: skip
    found = ok(java("POST", "/v1/long-term-memory/search", search))
    assert [m["id"] for m in found["memories"]] == [record["id"]]
    assert found["memories"][0]["created_at"].endswith("Z")
    changed = ok(java("PATCH", f"/v1/long-term-memory/{record['id']}", {"text": "User likes milk"}))
    assert changed["text"] == "User likes milk"
    ok(java("DELETE", "/v1/long-term-memory", memory_ids=record["id"]))


def test_java_records_of_the_default_constructor_are_accepted(java: Java, namespace):
    record = java_record(
        "User likes tea", namespace=namespace, memory_type="message", discrete_memory_extracted="f",
        extraction_strategy="discrete",
    )  # fmt: skip
    ok(java("POST", "/v1/long-term-memory/", {"memories": [record]}))


def test_java_forget_always_sends_limit_and_dry_run(java: Java, api: Api):
    api.create(a_memory("old", created_at="2020-01-01T00:00:00Z"))
    policy = {"max_age_days": 1, "max_inactive_days": None, "budget": None, "memory_type_allowlist": None}
    body = {"policy": policy, "pinned_ids": None}
    for dry_run, left in (("true", 1), ("false", 0)):
        query = {"limit": "1000", "dry_run": dry_run, "namespace": api.namespace}
        assert ok(java("POST", "/v1/long-term-memory/forget", body, **query))["deleted"] == 1
        assert api.search()["total"] == left


def test_row_30_java_summary_views(java: Java, api: Api):
    api.create(a_memory("User likes tea", user_id="u"))
    body = {
        "name": None, "source": "long_term", "group_by": ["user_id"], "filters": None, "time_window_days": None,
        "continuous": None, "prompt": None, "model_name": None,
    }  # fmt: skip
    view = ok(java("POST", "/v1/summary-views", body))
    try:
        partition = ok(java("POST", f"/v1/summary-views/{view['id']}/partitions/run", {"user_id": unique("nobody")}))
        assert partition["empty"] is True
        task = ok(java("POST", f"/v1/summary-views/{view['id']}/run", "", force="false"))
        check_task(task)
        assert api.wait_for_task(task["id"])["status"] == "success"
        ok(java("GET", f"/v1/summary-views/{view['id']}/partitions", limit="10", offset="0"))
    finally:
        ok(java("DELETE", f"/v1/summary-views/{view['id']}"))


def test_java_memory_prompt(java: Java, namespace):
    session = dict.fromkeys(("user_id", "model_name", "context_window_max"))
    session |= {"session_id": unique("s"), "namespace": namespace}
    body = {"query": "q", "session": session, "long_term_search": None}
    assert ok(java("POST", "/v1/memory/prompt", body))["messages"][-1]["role"] == "user"


def test_java_promotes_by_get_and_create(java: Java, api: Api):
    session_id = unique("s")
    body = java_session(session_id, namespace=api.namespace, user_id="u", memories=[java_record("User likes tea")])
    ok(java("PUT", f"/v1/working-memory/{session_id}", body))
    stored = ok(java("GET", f"/v1/working-memory/{session_id}", namespace=api.namespace, user_id="u"))
    ok(java("POST", "/v1/long-term-memory/", {"memories": stored["memories"]}))
    api.wait_for_memories(1)
    api.wait_until_promoted(session_id, namespace=api.namespace, user_id="u")
    assert [m["user_id"] for m in api.memories()] == ["u"]


def test_java_helpers_get_change_and_put_the_whole_session(java: Java, namespace):
    """appendMessages, addMemories, setWorkingMemoryData: each reads, changes and puts with the query swapped."""
    session_id = unique("s")
    path = f"/v1/working-memory/{session_id}"
    swapped = {"user_id": namespace, "namespace": "u"}
    ok(java("PUT", path, java_session(session_id, user_id="u", namespace=namespace), **swapped))
    document = ok(java("GET", path, user_id="u", namespace=namespace))
    document["messages"].append(java_message("hi"))
    document["memories"].append(java_record("User likes tea"))
    document["data"] = {"step": 1, "nothing": None}
    # What Jackson does not know is dropped, what it knows is sent back as it was read.
    for read_only in ("context_percentage_total_used", "context_percentage_until_summarization"):
        del document[read_only]
    ok(java("PUT", path, document, **swapped))
    found = ok(java("GET", path, user_id="u", namespace=namespace))
    assert [m["content"] for m in found["messages"]] == ["hi"]
    assert [m["text"] for m in found["memories"]] == ["User likes tea"]
    assert found["data"] == {"step": 1, "nothing": None}
    assert found["created_at"] == document["created_at"]
    assert ok(java("DELETE", path, user_id="u", namespace=namespace)) == {"status": "ok"}
    assert java("GET", path, user_id="u", namespace=namespace).status_code == 404


def test_java_edits_to_null_change_nothing_but_what_is_set(java: Java, api: Api):
    record = java_record("User likes tea", namespace=api.namespace, topics=["drinks"])
    ok(java("POST", "/v1/long-term-memory/", {"memories": [record]}))
    edit = {
        "text": None, "topics": None, "entities": None, "memory_type": None, "namespace": None, "user_id": None,
        "session_id": None, "event_date": None, "pinned": True,
    }  # fmt: skip
    changed = ok(java("PATCH", f"/v1/long-term-memory/{record['id']}", edit))
    assert (changed["text"], changed["topics"], changed["pinned"]) == ("User likes tea", ["drinks"], True)
    assert ok(java("GET", f"/v1/long-term-memory/{record['id']}"))["pinned"] is True


def test_java_bulk_create_and_search_all_pages(java: Java, api: Api):
    records = [java_record(f"User owns {n} books", namespace=api.namespace) for n in range(25)]
    for begin in range(0, 25, 10):
        ok(java("POST", "/v1/long-term-memory/", {"memories": records[begin : begin + 10]}))
    api.wait_for_memories(25)
    seen: list[str] = []
    page: list[Json] = [{}] * 10
    while len(page) == 10:  # the client stops at the first short page
        body = {"text": "books", "namespace": {"eq": api.namespace}, "limit": 10, "offset": len(seen)}
        page = ok(java("POST", "/v1/long-term-memory/search", body))["memories"]
        seen += [m["id"] for m in page]
    assert sorted(seen) == sorted(r["id"] for r in records)


def test_java_summary_views_are_read_back(java: Java):
    body = {"name": "java", "source": "long_term", "group_by": [], "filters": {}, "time_window_days": 7,
            "continuous": False, "prompt": None, "model_name": None}  # fmt: skip
    view = ok(java("POST", "/v1/summary-views", body))
    try:
        assert ok(java("GET", f"/v1/summary-views/{view['id']}")) == view
        assert view in ok(java("GET", "/v1/summary-views"))
    finally:
        ok(java("DELETE", f"/v1/summary-views/{view['id']}"))
    for path in (f"/v1/summary-views/{view['id']}", "/v1/tasks/none"):
        assert java("GET", path).status_code == 404  # an exception in this client


# -- Python 0.14.1, which is not on PyPI ------------------------------------------------------------------------------


def test_python_0_14_1_search_sends_the_newer_options(http: httpx.Client, api: Api):
    api.create(a_memory("User likes tea", extraction_strategy="discrete"))
    body = {
        "text": "tea", "search_mode": "hybrid", "hybrid_alpha": 0.5, "text_scorer": "BM25STD",
        "extraction_strategy": {"startswith": "disc"}, "namespace": {"eq": api.namespace}, "limit": 10, "offset": 0,
        "recency_boost": True,
    }  # fmt: skip
    headers = {"User-Agent": "agent-memory-client/0.14.1", "X-Client-Version": "0.14.1"}
    query = {"optimize_query": "false"}
    answer = http.post("/v1/long-term-memory/search", params=query, json=body, headers=headers)
    hit = ok(answer)["memories"][0]
    check_hit(hit)
    assert hit["score_type"] == "hybrid"


def test_python_0_14_1_forget_always_sends_dry_run(http: httpx.Client, api: Api):
    api.create(a_memory("old", created_at="2020-01-01T00:00:00Z"))
    query = {"dry_run": "false", "limit": "1000", "namespace": api.namespace}
    answer = http.post("/v1/long-term-memory/forget", params=query, json={"policy": {"max_age_days": 30}})
    assert (ok(answer)["dry_run"], ok(answer)["deleted"]) == (False, 1)
    assert api.search()["total"] == 0
