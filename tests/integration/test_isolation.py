"""Two tenants with the same names never see, change or delete each other's data: any sequence of calls."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tests.support.builders import unique

pytestmark = pytest.mark.integration

# Names that would collide under a naive key, query or filter.
NAMES = ["a", "A", "a:b", "a|b", "*", "a*", "{a}", "a,b", "", "-", "_", "a b", "ü", "a/b"]
# What each id's text speaks of: compaction may rightly fold "red 1" and "red a", but not these.
THINGS = {
    "1": "kite was mended on the pier",
    "a": "choir rehearses in the chapel",
    "a|b": "tractor needs another clutch",
    "*": "soup was too salty",
}
IDS = list(THINGS)
MODES = ["semantic", "keyword", "hybrid"]

calls = st.tuples(
    st.integers(0, 1),  # which tenant
    st.sampled_from(["put", "append", "delete_session", "create", "patch", "delete", "forget", "compact"]),
    st.sampled_from(IDS),
    st.sampled_from(["red", "green", "blue"]),
)


class Tenant:
    """One tenant: what it did, and therefore what it must see."""

    def __init__(self, http: httpx.Client, namespace: str, user_id: str, colour: str) -> None:
        self.http = http
        self.scope = {"namespace": namespace, **({"user_id": user_id} if user_id else {})}
        self.mark = colour
        self.sessions: dict[str, list[str]] = {}
        self.memories: dict[str, str] = {}

    def _ok(self, answer: httpx.Response) -> Any:
        assert answer.status_code == 200, (answer.request.url, answer.text)
        return answer.json()

    def do(self, action: str, name: str, word: str) -> None:
        getattr(self, action)(name, f"{self.mark} {word} {THINGS[name]} {name}")

    # -- actions -------------------------------------------------------------------------------------------------

    def put(self, name: str, text: str) -> None:
        # Marked as extracted: what is tested is the request path, not the models.
        message = {"role": "user", "content": text, "discrete_memory_extracted": "t"}
        self._ok(self.http.put(self._session(name), json={**self.scope, "messages": [message]}))
        self.sessions[name] = [text]

    def append(self, name: str, text: str) -> None:
        message = {"role": "user", "content": text, "discrete_memory_extracted": "t"}
        self._ok(self.http.post(self._session(name) + "/messages", json={**self.scope, "messages": [message]}))
        self.sessions.setdefault(name, []).append(text)

    def delete_session(self, name: str, _text: str) -> None:
        self._ok(self.http.delete(self._session(name), params=self.scope))
        self.sessions.pop(name, None)

    def create(self, name: str, text: str) -> None:
        record = {"id": name, "text": text, "session_id": name, **self.scope}
        answer = self._ok(self.http.post("/v1/long-term-memory/", json={"memories": [record], "deduplicate": False}))
        assert answer["results"][0]["memory_id"] == name
        self.memories[name] = text

    def patch(self, name: str, text: str) -> None:
        answer = self.http.patch(self._memory(name), params=self.scope, json={"text": text})
        assert answer.status_code == (200 if name in self.memories else 404), answer.text
        if name in self.memories:
            self.memories[name] = text

    def delete(self, name: str, _text: str) -> None:
        answer = self._ok(self.http.delete("/v1/long-term-memory", params={**self.scope, "memory_ids": name}))
        assert answer["status"] == f"ok, deleted {1 if name in self.memories else 0} memories"
        self.memories.pop(name, None)

    def forget(self, name: str, _text: str) -> None:
        query = {**self.scope, "session_id": name, "dry_run": "false"}
        report = self._ok(self.http.post("/v1/long-term-memory/forget", params=query, json={"policy": {"budget": 0}}))
        assert report["deleted_ids"] == ([name] if name in self.memories else [])
        self.memories.pop(name, None)

    def compact(self, _name: str, _text: str) -> None:
        self._ok(self.http.post("/v1/long-term-memory/compact", params=self.scope))

    # -- what it must see ----------------------------------------------------------------------------------------

    def check(self) -> None:
        listed = self._ok(self.http.get("/v1/working-memory/", params={**self.scope, "limit": 100}))
        assert sorted(listed["sessions"]) == sorted(self.sessions)
        for name in IDS:
            answer = self.http.get(self._session(name), params=self.scope)
            if name in self.sessions:
                assert [m["content"] for m in self._ok(answer)["messages"]] == self.sessions[name]
            else:
                assert answer.status_code == 404
            answer = self.http.get(self._memory(name), params=self.scope)
            if name in self.memories:
                assert self._ok(answer)["text"] == self.memories[name]
            else:
                assert answer.status_code == 404
        filters = {name: {"eq": value} for name, value in self.scope.items()}
        if "user_id" not in filters:
            filters["user_id"] = {"eq": ""}  # no user is a scope of its own
        expected = sorted(self.memories.items())
        for request in ({}, *({"text": "red green blue", "search_mode": mode} for mode in MODES)):
            body = {**filters, **request, "limit": 100}
            found = self._ok(self.http.post("/v1/long-term-memory/search", json=body))
            seen = sorted((m["id"], m["text"]) for m in found["memories"])
            if request.get("search_mode") == "keyword":  # finds only what has the words
                assert set(seen) <= set(expected)
            else:
                assert seen == expected
                assert found["total"] == len(expected)

    @staticmethod
    def _session(name: str) -> str:
        return f"/v1/working-memory/{httpx.QueryParams({'x': name})!s}".replace("x=", "").replace("+", "%20")

    @staticmethod
    def _memory(name: str) -> str:
        return f"/v1/long-term-memory/{httpx.QueryParams({'x': name})!s}".replace("x=", "").replace("+", "%20")


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)
@given(
    users=st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)),
    same_namespace=st.booleans(),
    sequence=st.lists(calls, min_size=1, max_size=20),
)
@example(
    users=("a", "b"),
    same_namespace=False,
    sequence=[*((0, "create", name, "red") for name in IDS), (0, "compact", "1", "red")],
)
def test_two_tenants_with_the_same_ids_never_meet(http, users, same_namespace, sequence):
    first = unique("ns")
    # Either two users of one namespace, or two namespaces that differ in case only. A request without a user leaves the
    # user open (wire contract 2.3): who names none is no tenant beside the users of the same namespace.
    second = first if same_namespace and all(users) and users[0] != users[1] else first.upper()
    tenants = (Tenant(http, first, users[0], "apple"), Tenant(http, second, users[1], "pear"))
    for who, action, name, word in sequence:
        tenants[who].do(action, name, word)
    for tenant in tenants:
        tenant.check()
