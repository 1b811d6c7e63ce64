"""What holds for every route: slashes, error bodies, content types, sizes."""

from __future__ import annotations

import gzip
import json
import socket
from http.client import HTTPResponse
from urllib.parse import urlsplit

import pytest

from tests.support.api import Api
from tests.support.builders import a_memory, a_message, a_session, unique
from tests.support.shapes import problems, refusal

ROUTES = [
    ("GET", "/v1/health", None),
    ("GET", "/v1/working-memory", None),
    ("POST", "/v1/long-term-memory", {"memories": []}),
    ("DELETE", "/v1/long-term-memory", None),
    ("POST", "/v1/long-term-memory/search", {"namespace": {"eq": "slashes"}}),
    ("POST", "/v1/long-term-memory/forget", {"policy": {}}),
    ("POST", "/v1/long-term-memory/compact?namespace=slashes", None),
    ("POST", "/v1/memory/prompt", {"query": "q", "session": {"session_id": "slashes"}}),
    ("GET", "/v1/summary-views", None),
    ("POST", "/v1/summary-views", {"source": "working_memory"}),
    ("GET", "/v1/summary-views/none", None),
    ("DELETE", "/v1/summary-views/none", None),
    ("POST", "/v1/summary-views/none/partitions/run", {"group": {}}),
    ("GET", "/v1/summary-views/none/partitions", None),
    ("POST", "/v1/summary-views/none/run", {}),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES, ids=[f"{m} {p}" for m, p, _ in ROUTES])
def test_row_11_both_slash_forms_are_served_without_a_redirect(http, method, path, body):
    base, _, query = path.partition("?")
    answers = []
    for form in (base, base + "/"):
        answer = http.request(method, f"{form}?{query}", json=body)
        assert answer.status_code not in (301, 302, 307, 308, 405), (form, answer.status_code)
        answers.append((answer.status_code, answer.headers["content-type"], set(answer.json())))
    assert answers[0] == answers[1]


def test_health_is_open_and_tells_unix_milliseconds(http):
    answer = http.get("/v1/health")
    assert answer.status_code == 200
    assert set(answer.json()) == {"now"}
    assert type(answer.json()["now"]) is int
    assert answer.json()["now"] > 10**12


@pytest.mark.parametrize("path", ["/", "/v2/health", "/v1", "/v1/nothing", "/v1/memory", "/v1/task", "/v1/task/"])
def test_an_unknown_route_is_404_as_json(http, path):
    refusal(http.get(path), 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/v1/health", "GET"),
        ("PUT", "/v1/working-memory", "GET"),
        ("PUT", "/v1/working-memory/", "GET"),
        ("PATCH", "/v1/working-memory/x", "PUT"),
        ("PUT", "/v1/long-term-memory", "POST"),
        ("GET", "/v1/memory/prompt", "POST"),
        ("PUT", "/v1/summary-views/x", "GET"),
        ("POST", "/v1/tasks/x", "GET"),
    ],
)
def test_a_wrong_method_is_405_with_allow(http, method, path, allowed):
    answer = http.request(method, path, json={})
    assert refusal(answer, 405) == "Method Not Allowed"
    assert allowed in answer.headers["Allow"]


BODY_ROUTES = [
    ("PUT", "/v1/working-memory/{id}"),
    ("POST", "/v1/working-memory/{id}/messages"),
    ("POST", "/v1/long-term-memory/"),
    ("PATCH", "/v1/long-term-memory/{id}"),
    ("POST", "/v1/long-term-memory/search"),
    ("POST", "/v1/long-term-memory/forget"),
    ("POST", "/v1/memory/prompt"),
    ("POST", "/v1/summary-views"),
    ("POST", "/v1/summary-views/{id}/partitions/run"),
]


@pytest.mark.parametrize(("method", "path"), BODY_ROUTES)
class TestBodies:
    @pytest.fixture
    def send(self, http, method, path):
        def send(content: bytes, **headers: str):
            return http.request(
                method,
                path.format(id=unique("x")),
                content=content,
                headers={"content-type": "application/json", **headers},
            )

        return send

    @pytest.mark.parametrize(
        "content", [b"{", b"{'a': 1}", b"nope", b'{"a": NaN}', b"\xff\xfe", b'{"a": "\x01"}', b"[1,]"]
    )
    def test_malformed_json_is_422_at_its_place(self, send, content):
        entry = problems(send(content))[0]
        assert entry["type"] == "json_invalid"
        assert entry["loc"][0] == "body"
        assert type(entry["loc"][1]) is int

    def test_a_missing_body_is_422(self, send):
        entry = problems(send(b""))[0]
        assert (entry["type"], entry["loc"]) == ("missing", ["body"])

    @pytest.mark.parametrize(
        "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "image/png"]
    )
    def test_another_content_type_is_422(self, send, kind):
        entry = problems(send(b"{}", **{"content-type": kind}))[0]
        assert (entry["type"], entry["loc"]) == ("model_attributes_type", ["body"])

    @pytest.mark.parametrize("content", [b"[]", b'"x"', b"5", b"true", b"null", b"[[[]]]"])
    def test_json_that_is_no_object_is_422(self, send, content):
        assert problems(send(content))[0]["loc"] == ["body"]

    def test_a_compressed_body_is_refused_as_such(self, send):
        refusal(send(gzip.compress(b"{}"), **{"content-encoding": "gzip"}), 415)

    def test_deep_nesting_is_no_fault(self, send):
        answer = send(b'{"data":' * 500 + b"1" + b"}" * 500)
        assert answer.status_code < 500, answer.text

    def test_absurdly_deep_nesting_is_no_fault(self, send):
        answer = send(b"[" * 200_000 + b"]" * 200_000)
        assert answer.status_code == 422, answer.text

    def test_duplicate_keys_and_huge_numbers_are_no_fault(self, send):
        for content in (
            b'{"query": "a", "query": 5}',
            b'{"limit": 1e400}',
            b'{"limit": 123456789012345678901234567890}',
        ):
            assert send(content).status_code < 500


def test_a_lone_surrogate_is_refused_not_stored(http):
    answer = http.put(
        f"/v1/working-memory/{unique('s')}",
        content=b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 422


def test_json_with_a_charset_or_without_a_content_type_is_read(http):
    path = f"/v1/working-memory/{unique('s')}"
    content = json.dumps({"context": "é"}).encode()
    for headers in ({"content-type": "application/json; charset=utf-8"}, {"content-type": "application/vnd.x+json"}):
        answer = http.put(path, content=content, headers=headers)
        assert answer.status_code == 200
        assert answer.json()["context"] == "é"


def test_a_get_with_a_content_type_is_no_problem(http):
    answer = http.get("/v1/working-memory/", headers={"content-type": "application/json", "X-Client-Version": "0.3.1"})
    assert answer.status_code == 200


def test_a_text_of_a_megabyte_is_refused_with_its_limit(http, namespace):
    long = "x" * 1_000_000
    for answer in (
        http.put(f"/v1/working-memory/{unique('s')}", json={"messages": [a_message(long)]}),
        http.post("/v1/long-term-memory/", json={"memories": [a_memory(long, namespace=namespace)]}),
    ):
        assert "MAX_TEXT_CHARS" in problems(answer)[0]["msg"]


def test_a_body_that_is_too_large_is_413(http):
    answer = http.put(
        f"/v1/working-memory/{unique('s')}",
        content=b" " * (33 * 1024 * 1024),
        headers={"content-type": "application/json"},
    )
    assert "MAX_REQUEST_BYTES" in refusal(answer, 413)


def test_ten_thousand_memories_are_refused_at_once(http):
    records = [{"id": str(i), "text": "x"} for i in range(10_000)]
    answer = http.post("/v1/long-term-memory/", json={"memories": records})
    assert "MAX_BATCH_SIZE" in problems(answer)[0]["msg"]
    assert len(answer.content) < 10_000


def test_the_input_of_a_problem_is_named(http):
    entry = problems(http.post("/v1/long-term-memory/search", json={"limit": 1000}))[0]
    assert (entry["loc"], entry["input"]) == (["body", "limit"], 1000)


def test_every_time_in_every_answer_ends_with_z(api: Api):
    session = a_session().of(api.namespace, "u").with_messages("hi").with_memories("User likes tea")
    answer = session.put(api.http)
    api.create(a_memory("User likes milk", event_date="2024-05-06T07:08:09"))
    for shown in (answer, api.session(session.session_id, **session.scope), *api.memories()):
        for name, value in shown.items():
            if name.endswith("_at") or name in ("last_accessed", "event_date"):
                assert value is None or value.endswith("Z"), (name, value)


def test_an_unknown_task_is_404_with_a_detail(http):
    assert refusal(http.get("/v1/tasks/nothing"), 404) == "Task nothing not found"


@pytest.mark.parametrize("digits", [400, 5_000])
@pytest.mark.parametrize("name", ["limit", "offset", "recency_boost", "hybrid_alpha"])
def test_numbers_as_very_long_strings_are_refused(http, name, digits):
    """Python refuses to read more than 4,300 digits, with an error of its own."""
    assert problems(http.post("/v1/long-term-memory/search", json={name: "9" * digits}))


def test_a_time_as_a_very_long_number_is_refused(http):
    for given in ("9" * 400, "9" * 5_000, 1e308, "1e400"):
        answer = http.put(f"/v1/working-memory/{unique('s')}", json={"created_at": given})
        assert problems(answer)[0]["loc"] == ["body", "created_at"]


@pytest.mark.parametrize("offset", [10**9, 2**31, 2**53])
def test_pages_far_beyond_the_end_are_empty(http, namespace, offset):
    for text in (None, "tea"):
        body = {"namespace": {"eq": namespace}, "offset": offset, "text": text}
        answer = http.post("/v1/long-term-memory/search", json=body)
        assert (answer.status_code, answer.json()["memories"]) == (200, [])
    answer = http.get("/v1/working-memory/", params={"namespace": namespace, "offset": offset})
    assert (answer.status_code, answer.json()["sessions"]) == (200, [])


def test_duplicate_keys_mean_the_last_one(http):
    content = b'{"context": "one", "context": "two"}'
    answer = http.put(
        f"/v1/working-memory/{unique('s')}", content=content, headers={"content-type": "application/json"}
    )
    assert answer.json()["context"] == "two"


def test_ten_thousand_messages_are_stored_and_more_are_refused(http, namespace):
    path = f"/v1/working-memory/{unique('s')}"
    messages = [
        {"id": str(n), "role": "user", "content": "x", "created_at": "2024-01-01", "discrete_memory_extracted": "t"}
        for n in range(10_001)
    ]
    answer = http.put(path, json={"namespace": namespace, "messages": messages})
    assert "MAX_SESSION_MESSAGES" in problems(answer)[0]["msg"]
    answer = http.put(path, json={"namespace": namespace, "messages": messages[:10_000]})
    assert answer.status_code == 200
    assert len(answer.json()["messages"]) == 10_000
    more = {"namespace": namespace, "messages": messages[10_000:]}
    assert "10000" in refusal(http.post(f"{path}/messages", json=more), 400)


@pytest.mark.parametrize("kind", ["id", "user_id", "namespace", "session_id"])
def test_names_of_scopes_with_any_character_stay_apart(http, namespace, kind):
    """Control characters, emoji and right-to-left marks are part of a name, not noise."""
    names = ["a", "a\u200f", "a\u202e", "a\u0000", "a\n", "a\u0301", "\u00e1", "a\U0001f600", "\u0627", "a\ufeff"]
    records = [
        {"id": unique("m"), "text": f"fact {n}", "namespace": namespace, "topics": [namespace], kind: namespace + name}
        for n, name in enumerate(names)
    ]
    answer = http.post("/v1/long-term-memory/", json={"memories": records, "deduplicate": False})
    assert answer.status_code == 200, answer.text
    if kind == "id":
        for record in records:
            query = {"memory_ids": record["id"]}
            assert http.delete("/v1/long-term-memory", params=query).json()["status"] == "ok, deleted 1 memories"
        return
    for record in records:
        body = {"topics": {"any": [namespace]}, kind: {"eq": record[kind]}}
        found = http.post("/v1/long-term-memory/search", json=body).json()["memories"]
        assert [m["text"] for m in found] == [record["text"]]
        assert found[0][kind] == record[kind]


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET /v1/health HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n", 400),
        (b"GET /v1/health HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", 431),
        (b"GET /v1/health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: nonsense\r\n\r\n", 501),
    ],
    ids=["request line", "header name", "header size", "transfer coding"],
)
def test_what_is_no_proper_http_is_refused_in_json_too(stack, request_bytes, status):
    address = urlsplit(stack.base_url)
    with socket.create_connection((address.hostname, address.port or 80), timeout=10) as connection:
        connection.sendall(request_bytes)
        answer = HTTPResponse(connection)
        answer.begin()
        assert (answer.status, answer.headers["content-type"]) == (status, "application/json")
        assert json.loads(answer.read())["detail"]
