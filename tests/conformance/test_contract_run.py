"""Section 13 of the wire contract: its minimal conformance run, line by line, and its vectors that HTTP can show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.support.api import Api
from tests.support.builders import a_memory, a_session, ago, iso, unique
from tests.support.shapes import (
    ULID,
    check_hit,
    check_results,
    check_session,
    check_task,
    check_time,
    problems,
    refusal,
)


@pytest.fixture
def session_path() -> str:
    return f"/v1/working-memory/{unique('run')}"


@pytest.fixture
def view(http: httpx.Client, namespace: str):
    body = {"source": "long_term", "group_by": ["user_id"], "filters": {"namespace": namespace}}
    made = http.post("/v1/summary-views", json=body).json()
    yield made
    http.delete(f"/v1/summary-views/{made['id']}")


def test_line_01_health_needs_no_credentials(http):
    answer = http.get("/v1/health")
    assert answer.status_code == 200
    assert type(answer.json()["now"]) is int
    assert answer.json()["now"] > 10**12


def test_line_02_an_unknown_session_is_404(http, session_path):
    assert refusal(http.get(session_path), 404)


def test_line_03_an_empty_put_is_a_session(http, session_path):
    answer = http.put(session_path, json={})
    assert answer.status_code == 200
    session = answer.json()
    check_session(session)
    assert (session["messages"], session["memories"]) == ([], [])
    assert session["long_term_memory_strategy"] == {"strategy": "discrete", "config": {}}
    assert session["context_percentage_total_used"] is None
    assert session["context_percentage_until_summarization"] is None


def test_line_04_a_window_without_messages_is_empty(http, session_path):
    session = http.put(session_path, params={"context_window_max": 1000}, json={}).json()
    assert session["context_percentage_total_used"] == 0.0
    assert session["context_percentage_until_summarization"] == 0.0


def test_line_05_a_message_without_a_time_is_warned_about(http, session_path):
    answer = http.put(session_path, json={"messages": [{"role": "user", "content": "hi"}]})
    assert answer.status_code == 200
    assert answer.headers["X-Deprecation-Warning"]
    message = answer.json()["messages"][0]
    assert ULID.match(message["id"])
    check_time(message["created_at"])


def test_line_06_a_message_from_the_future_is_refused(http, session_path):
    late = iso(datetime.now(UTC) + timedelta(minutes=10))
    answer = http.put(session_path, json={"messages": [{"role": "user", "content": "hi", "created_at": late}]})
    assert problems(answer)[0]["loc"][:3] == ["body", "messages", 0]


def test_line_07_blank_content_is_refused(http, session_path):
    answer = http.put(session_path, json={"messages": [{"role": "user", "content": "  "}]})
    assert refusal(answer, 400)


def test_line_08_unknown_fields_are_ignored_and_the_path_names_the_session(http, session_path):
    answer = http.put(session_path, json={"session_id": "another", "new_session": True, "unknown": {"a": 1}})
    assert answer.status_code == 200
    assert answer.json()["session_id"] == session_path.rpartition("/")[2]


def test_line_09_a_session_is_found_without_its_scope(http, session_path, namespace):
    http.put(session_path, json={"user_id": "u", "namespace": namespace}).raise_for_status()
    found = http.get(session_path)
    assert found.status_code == 200
    assert (found.json()["user_id"], found.json()["namespace"]) == ("u", namespace)


def test_line_10_the_scope_in_the_query_of_a_put_is_ignored(http, session_path, namespace):
    query = {"user_id": "A", "namespace": "B"}
    stored = http.put(session_path, params=query, json={"user_id": "X", "namespace": namespace}).json()
    assert (stored["user_id"], stored["namespace"]) == ("X", namespace)
    assert http.get(session_path, params={"user_id": "X", "namespace": namespace}).status_code == 200
    assert http.get(session_path, params=query).status_code == 404


def test_line_11_a_memory_needs_an_id_and_may_name_any_strategy(http, namespace):
    record = {"text": "User likes tea", "namespace": namespace}
    assert problems(http.post("/v1/long-term-memory/", json={"memories": [record]}))
    record |= {"id": unique("m"), "extraction_strategy": "manual"}
    answer = http.post("/v1/long-term-memory/", json={"memories": [record]})
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"


def test_line_12_a_comma_in_a_topic_is_refused(http, namespace):
    record = a_memory(namespace=namespace, topics=["a,b"])
    answer = http.post("/v1/long-term-memory/", json={"memories": [record]})
    assert problems(answer)[0]["loc"] == ["body", "memories", 0, "topics", 0]


def test_line_13_an_empty_search_lists(api: Api, http):
    api.create("User likes tea")
    answer = http.post("/v1/long-term-memory/search", json={})
    assert answer.status_code == 200
    check_results(answer.json())
    hit = answer.json()["memories"][0]
    check_hit(hit)
    assert (hit["dist"], hit["score"], hit["score_type"]) == (0.0, None, None)


def test_line_14_a_threshold_is_for_semantic_search(http):
    body = {"text": "tea", "search_mode": "keyword", "distance_threshold": 0.5}
    assert refusal(http.post("/v1/long-term-memory/search", json=body), 400)


@pytest.mark.parametrize("body", [{"limit": 101}, {"hybrid_alpha": 2}])
def test_line_15_options_have_limits(http, body):
    assert problems(http.post("/v1/long-term-memory/search", json=body))[0]["loc"] == ["body", *body]


def test_line_16_both_bounds_of_a_time_are_honoured(api: Api):
    api.create(*[a_memory(f"fact {d}", created_at=f"2024-01-0{d}T00:00:00Z") for d in (1, 2, 3)])
    window = {"gte": "2024-01-01T12:00:00Z", "lte": "2024-01-02T12:00:00Z"}
    assert api.texts(created_at=window) == ["fact 2"]


def test_line_17_the_clients_operator_names_work(api: Api):
    api.create(a_memory("one", session_id="s1"), a_memory("two", session_id="s2"))
    assert api.texts(session_id={"in_": ["s1", "s3"]}) == ["one"]


def test_line_18_a_patch_needs_a_field_and_a_memory(api: Api, http):
    record = a_memory("User likes tea")
    api.create(record)
    path = f"/v1/long-term-memory/{record['id']}"
    assert refusal(http.patch(path, json={}), 400)
    assert refusal(http.patch(f"/v1/long-term-memory/{unique('none')}", json={"pinned": False}), 404)
    answer = http.patch(path, json={"pinned": False})
    assert answer.status_code == 200
    assert answer.json()["id"] == record["id"]


def test_line_19_a_delete_of_nothing_is_ok(http):
    answer = http.delete("/v1/long-term-memory")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok, deleted 0 memories"})


def test_line_20_a_forget_is_dry_unless_told_otherwise(api: Api, http):
    api.create(a_memory("old", created_at=ago(days=1000), last_accessed=ago(days=1000)))
    answer = http.post("/v1/long-term-memory/forget", params={"namespace": api.namespace}, json={"policy": {}})
    assert answer.status_code == 200
    assert answer.json()["dry_run"] is True
    assert api.texts() == ["old"]


def test_line_21_a_prompt_needs_a_session_or_a_search(http):
    assert refusal(http.post("/v1/memory/prompt", json={"query": "q"}), 400)
    body = {"query": "q", "session": {"session_id": unique("none")}}
    answer = http.post("/v1/memory/prompt", json=body)
    assert answer.status_code == 200
    content = {"type": "text", "text": "q", "annotations": None, "_meta": None}
    assert answer.json()["messages"] == [{"role": "user", "content": content}]


def test_line_22_a_view_over_working_memory_is_refused(http):
    assert refusal(http.post("/v1/summary-views", json={"source": "working_memory"}), 400)


def test_line_23_a_partition_without_memories_is_empty(http, view):
    answer = http.post(f"/v1/summary-views/{view['id']}/partitions/run", json={"group": {"user_id": "nobody"}})
    assert answer.status_code == 200
    assert (answer.json()["empty"], answer.json()["empty_reason"]) == (True, "no_matching_memories")


def test_line_24_a_run_is_a_task_that_ends_in_success(api: Api, http, view):
    answer = http.post(f"/v1/summary-views/{view['id']}/run")
    assert answer.status_code == 200
    check_task(answer.json())
    assert answer.json()["status"] == "pending"
    assert api.wait_for_task(answer.json()["id"])["status"] == "success"


def test_line_25_a_slash_at_the_end_changes_nothing(api: Api, http, view):
    session = a_session().of(api.namespace, "u").with_messages("hi")
    session.put(http)
    record = a_memory("User likes tea")
    api.create(record)
    scope = {"namespace": api.namespace}
    requests = [
        ("GET", "/v1/working-memory", scope, None),
        ("GET", f"/v1/working-memory/{session.session_id}", session.scope, None),
        ("GET", f"/v1/long-term-memory/{record['id']}", {}, None),
        ("POST", "/v1/long-term-memory", {}, {"memories": []}),
        ("DELETE", "/v1/long-term-memory", {"memory_ids": "none"}, None),
        ("POST", "/v1/long-term-memory/search", {}, {"namespace": {"eq": unique("none")}}),
        ("POST", "/v1/long-term-memory/forget", scope, {"policy": {}}),
        ("POST", "/v1/long-term-memory/compact", scope, None),
        ("POST", "/v1/memory/prompt", {}, {"query": "q", "session": {"session_id": "none"}}),
        ("GET", f"/v1/summary-views/{view['id']}", {}, None),
        ("GET", f"/v1/summary-views/{view['id']}/partitions", {}, None),
        ("GET", "/v1/tasks/none", {}, None),
        ("PUT", f"/v1/working-memory/{session.session_id}", {}, {"messages": "wrong"}),
    ]
    for method, path, query, body in requests:
        one, other = (http.request(method, form, params=query, json=body) for form in (path, path + "/"))
        assert (one.status_code, settled(one)) == (other.status_code, settled(other)), (method, path)


def settled(answer: httpx.Response) -> object:
    """An answer without what the background may add between two requests."""
    shown = answer.json()
    if isinstance(shown, dict):
        for name in ("topics", "entities", "updated_at"):
            shown.pop(name, None)
    return shown


# -- vectors ---------------------------------------------------------------------------------------------------------


def test_the_hash_of_the_contract(http):
    """Text `héllo`, semantic, in no scope at all."""
    record = {"id": unique("vector"), "text": "h\u00e9llo"}
    http.post("/v1/long-term-memory/", json={"memories": [record], "deduplicate": False}).raise_for_status()
    path = f"/v1/long-term-memory/{record['id']}"
    try:
        expected = "1212f086bede40e6632161c706d57104d271a8753a17f253e736187ae279dba8"
        assert http.get(path).json()["memory_hash"] == expected
    finally:
        http.delete("/v1/long-term-memory", params={"memory_ids": record["id"]})


def test_the_recency_of_the_contract(api: Api):
    """What was used now ranks above what is a little nearer but older: 0.80 against 0.74."""
    api.create(
        a_memory("User drinks green tea", last_accessed=ago(days=7), created_at=ago(days=30)),
        a_memory("User drinks green tea daily"),
        deduplicate=False,
    )
    question = "User drinks green tea"
    assert api.texts(question, recency_boost=False)[0] == "User drinks green tea"
    assert api.texts(question)[0] == "User drinks green tea daily"
