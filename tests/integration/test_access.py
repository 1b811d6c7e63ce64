"""Authentication and isolation on real parts: a web and an MCP server that ask for tokens."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import app.container.engine as composition
from app import create_app
from app.auth.last_used import LastUsed
from app.auth.tokens import TokenVerifier, describe, new_token, token_hash
from app.cli import main
from app.config import Settings
from app.container import Container
from app.memory.background import Background
from app.memory.models import ViewRunRef
from app.memory.permissions import Access, Limits, act_as
from app.memory.summarization.partitions import PartitionWriter
from app.memory.summary_views import SummaryViews
from app.store.client import connect
from app.store.tokens import TokenRepository
from tests.support.access_matrix import ROWS, Row, World
from tests.support.builders import Json, unique
from tests.support.mcp import http_server
from tests.support.stack import Stack
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

CANARY = "canary7f3a"
ALICE = {"namespace": "acme", "user_id": "alice"}


class Guarded:
    """The stack, the tokens that its tests use, and the data of its one rightful user."""

    def __init__(self, stack: Stack, mcp_url: str) -> None:
        self.stack = stack
        self.mcp_url = mcp_url
        self.settings = Settings(_env_file=None, redis_url=stack.environment["REDIS_URL"], auth_mode="token")
        self.tokens = TokenRepository(connect(self.settings))
        self.root = self.token()

    def token(
        self, access: Access = Access.ADMIN, limits: Limits | None = None, *, expires_days: float | None = None
    ) -> str:
        """A new token."""
        token = new_token()
        limits = limits or Limits()
        self.tokens.save(describe(token, "a test", expires_days=expires_days, access=access, limits=limits))
        return token

    def ask(self, token: str | None, **request: Any) -> httpx.Response:
        """One request with a token, or without."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.stack.http.request(headers=headers, **request)

    def ok(self, token: str, method: str, url: str, **rest: Any) -> Any:
        """A request that must succeed; its answer."""
        answer = self.ask(token, method=method, url=url, **rest)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def world(self, namespace: str = "acme") -> World:
        """Alice's session, memory, view and task, as they are before anybody does anything."""
        own = self.token(Access.ADMIN, Limits((namespace,), users=("alice",)))
        scope = {"namespace": namespace, "user_id": "alice"}
        message = {"role": "user", "content": f"I keep bees {CANARY}", "discrete_memory_extracted": "t"}
        session = unique("session")
        self.ok(own, "PUT", f"/v1/working-memory/{session}", json={"messages": [message], "context": CANARY})
        memory = {
            "id": unique("memory"),
            "text": f"Alice keeps bees {CANARY}",
            "topics": [CANARY],
            "entities": [CANARY],
        }
        self.ok(own, "POST", "/v1/long-term-memory/", json={"memories": [memory], "deduplicate": False})
        self.ok(own, "PATCH", f"/v1/long-term-memory/{memory['id']}", json={"text": f"Alice keeps many bees {CANARY}"})
        view = self.ok(
            own, "POST", "/v1/summary-views",
            json={"name": CANARY, "source": "long_term", "group_by": ["user_id"], "filters": scope, "prompt": CANARY},
        )  # fmt: skip
        group = {"group": {"user_id": "alice"}}
        partition = self.ok(own, "POST", f"/v1/summary-views/{view['id']}/partitions/run", json=group)
        assert CANARY in partition["summary"]
        task = self.ok(own, "POST", f"/v1/summary-views/{view['id']}/run", json={})
        return World(scope, session, memory["id"], view["id"], task["id"])

    def tool(self, token: str | None, name: str, arguments: Json, url: str = "/mcp") -> httpx.Response:
        """One call of an MCP tool, without a session."""
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
        headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        return self.stack.http.post(f"{self.mcp_url}{url}", json=call, headers=headers)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Redis, web and MCP with AUTH_MODE=token; no worker."""
    stack = Stack(AUTH_MODE="token")
    try:
        stack.start_redis()
        migrated = stack._spawn("migrate", "agent-memory", "migrate")
        assert migrated.wait(60) == 0, stack.tail("migrate")
        stack.start_web()
        with http_server(stack.environment, tmp_path_factory.mktemp("mcp") / "mcp.log") as mcp_url:
            yield Guarded(stack, mcp_url)
    finally:
        stack.stop()


# -- the matrix --------------------------------------------------------------------------------------------------------


def test_every_operation_has_a_row(guarded):
    document = guarded.stack.http.get("/openapi.json").json()
    operations = {
        operation["operationId"]: operation
        for path in document["paths"].values()
        for method, operation in path.items()
        if method in ("get", "put", "post", "patch", "delete")
    }
    say_who = "say who may call it: tests/support/access_matrix.py, app/api/access.py"
    assert set(operations) <= set(ROWS), say_who
    # Some routes are not in the document, but they are there.
    application = create_app(guarded.settings)
    pages = {"_openapi_json", "show", "show_explorer", "send_static_file"}
    assert {view.__name__ for view in application.view_functions.values()} - pages == set(ROWS), say_who
    for name, operation in operations.items():
        assert bool(operation.get("security")) == (ROWS[name].needs != "nothing"), name


def expected(row: Row, holder: str) -> int:
    """The status that the matrix asks for."""
    if row.needs == "nothing":
        return row.foreign
    if holder in ("nobody", "bad", "expired", "revoked"):
        return 401
    if holder == "read-only":
        return 200 if row.needs == "read" else 403
    if holder in ("wrong namespace", "wrong user"):
        return row.foreign
    if holder == "owner":
        return 403 if row.needs in ("tenant", "everything") else 200
    return 403 if row.needs == "everything" and holder == "tenant" else 200


def holders(guarded: Guarded, namespace: str) -> dict[str, str | None]:
    """One credential of each kind; those who may do most come last, as they change what others ask for."""
    revoked = guarded.token()
    guarded.ok(revoked, "GET", "/v1/summary-views")
    assert guarded.tokens.delete(token_hash(revoked))
    return {
        "nobody": None,
        "bad": new_token(),
        "expired": guarded.token(expires_days=-0.001),
        "revoked": revoked,
        "wrong namespace": guarded.token(limits=Limits(("umbrella",))),
        "wrong user": guarded.token(limits=Limits((namespace,), users=("bob",))),
        "read-only": guarded.token(Access.READ),
        "owner": guarded.token(limits=Limits((namespace,), users=("alice",))),
        "tenant": guarded.token(limits=Limits((namespace,))),
        "root": guarded.root,
    }


@pytest.mark.parametrize("operation", ROWS)
def test_who_may_call_what(guarded, operation):
    row, namespace = ROWS[operation], unique("tenant")
    world = guarded.world(namespace)
    callers = holders(guarded, namespace)
    got = {name: guarded.ask(token, **row.request(world)) for name, token in callers.items()}
    told = {name: 200 if a.status_code in row.done else a.status_code for name, a in got.items()}
    assert told == {name: expected(row, name) for name in callers}
    for name in ("nobody", "bad", "expired", "revoked", "wrong namespace", "wrong user"):
        assert CANARY not in got[name].text
        if got[name].status_code >= 400 and row.needs != "nothing":
            assert isinstance(got[name].json()["detail"], str)


def test_why_a_credential_is_refused(guarded):
    callers = holders(guarded, "acme")
    told = {name: guarded.ask(token, method="GET", url="/v1/summary-views") for name, token in callers.items()}
    assert told["nobody"].json() == {"detail": "Missing authorization header"}
    assert told["nobody"].headers["WWW-Authenticate"] == "Bearer"
    assert told["bad"].json() == told["revoked"].json() == {"detail": "Invalid token"}
    assert told["expired"].json() == {"detail": "Token has expired"}


@pytest.mark.parametrize("headers", [{"Authorization": "Basic YTpi"}, {"Authorization": "Bearer"}, {"X-API-Key": ""}])
def test_other_schemes_and_empty_tokens_count_as_none(guarded, headers):
    answer = guarded.stack.http.get("/v1/summary-views", headers=headers)
    assert (answer.status_code, answer.json()["detail"]) == (401, "Missing authorization header")


def test_a_token_may_come_as_an_api_key(guarded):
    answer = guarded.stack.http.get("/v1/summary-views", headers={"X-API-Key": guarded.root})
    assert answer.status_code == 200


def test_credentials_are_looked_at_before_the_body(guarded):
    def send(token: str | None) -> int:
        return guarded.ask(token, method="POST", url="/v1/long-term-memory/search", content=b"{nonsense").status_code

    assert (send(None), send(guarded.root)) == (401, 422)


def test_what_is_not_there_is_not_found(guarded):
    assert guarded.ask(None, method="GET", url="/v1/nothing").status_code == 404
    assert guarded.ask(None, method="PUT", url="/v1/summary-views").status_code == 405


# -- isolation ---------------------------------------------------------------------------------------------------------

STRANGERS = {
    "another tenant": Limits(("umbrella",)),
    "tenants by prefix": Limits(namespace_prefixes=("acm-", "x")),
    "another user of the tenant": Limits(("acme",), users=("bob",)),
    "another user anywhere": Limits(users=("bob", "carol")),
    "another user of several tenants": Limits(("acme", "umbrella"), ("acme",), users=("bob",)),
}
SCOPES = [
    {}, ALICE, {"namespace": "acme"}, {"user_id": "alice"}, {"namespace": "umbrella"}, {"user_id": "bob"},
    {"namespace": "acme", "user_id": "bob"}, {"namespace": "umbrella", "user_id": "alice"},
    {"namespace": "acm*"}, {"user_id": "*"},
]  # fmt: skip
FILTERS: list[Json] = [
    {}, {"user_id": {"ne": "bob"}}, {"user_id": {"none": ["bob"]}}, {"namespace": {"startswith": "a"}},
    {"namespace": {"any": ["acme", "umbrella"]}}, {"user_id": {"any": ["alice", "bob"]}}, {"topics": {"any": [CANARY]}},
    {"user_id": {"startswith": ""}}, {"user_id": {"eq": ""}},
]  # fmt: skip
searches = st.builds(
    lambda filters, mode, text: {**filters, "search_mode": mode, "text": text, "limit": 50},
    st.sampled_from(FILTERS), st.sampled_from(["semantic", "keyword", "hybrid"]), st.sampled_from([None, "bees", "x"]),
)  # fmt: skip
Call = tuple[str, str, Any]
calls = st.one_of(
    st.tuples(st.just("rest"), st.sampled_from(sorted(ROWS)), st.sampled_from(SCOPES)),
    st.tuples(st.just("search"), st.just("search_memories"), searches),
    st.tuples(
        st.just("mcp"),
        st.sampled_from(
            ["get_working_memory", "search_long_term_memory", "memory_prompt", "get_long_term_memory", "list",
             "edit_long_term_memory", "delete_long_term_memories", "set_working_memory", "compact_long_term_memories"]
        ),
        st.sampled_from(SCOPES),
    ),
)  # fmt: skip


def tool_arguments(tool: str, world: World, scope: dict[str, str]) -> Json:
    """Arguments of a tool that try to reach what the world has."""
    filters = {name: {"eq": value} for name, value in scope.items()}
    return {
        "get_working_memory": {"session_id": world.session_id, **scope},
        "set_working_memory": {"session_id": world.session_id, **scope, "messages": []},
        "search_long_term_memory": {"text": "bees", **filters},
        "list": {"text": None, **filters},
        "memory_prompt": {"query": "bees", "session_id": world.session_id, **filters},
        "get_long_term_memory": {"memory_id": world.memory_id},
        "edit_long_term_memory": {"memory_id": world.memory_id, "text": "Alice keeps cats", **scope},
        "delete_long_term_memories": {"memory_ids": [world.memory_id]},
        "compact_long_term_memories": scope,
    }[tool]


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)
@given(
    stranger=st.sampled_from(sorted(STRANGERS)),
    access=st.sampled_from([Access.READ, Access.WRITE, Access.ADMIN]),
    sequence=st.lists(calls, min_size=8, max_size=20),
)
def test_nobody_learns_or_changes_what_is_anothers(guarded, secret, stranger, access, sequence):
    world, before = secret
    token = guarded.token(access, STRANGERS[stranger])
    for door, name, given_ in sequence:
        if door == "mcp":
            url = f"/{given_['namespace']}/mcp" if len(given_) == 1 and "namespace" in given_ else "/mcp"
            tool = "search_long_term_memory" if name == "list" else name
            answer = guarded.tool(token, tool, tool_arguments(name, world, given_), url)
        elif door == "search":
            answer = guarded.ask(token, method="POST", url="/v1/long-term-memory/search", json=given_)
        else:
            asked = World(given_, world.session_id, world.memory_id, world.view_id, world.task_id)
            answer = guarded.ask(token, **ROWS[name].request(asked))
        # The explorer of the API and the probes say nothing about anybody; no answer may be a fault either.
        assert answer.status_code < 500 or name == "get_readiness", answer.text
        shown = answer.text.replace(f'"topics":{{"any":["{CANARY}"]}}', "")
        assert CANARY not in shown, (stranger, name, given_, answer.text)
    assert state(guarded, world) == before


@pytest.fixture(scope="module")
def secret(guarded) -> tuple[World, Any]:
    """What is to be kept, and what it was."""
    world = guarded.world()
    return world, state(guarded, world)


def state(guarded: Guarded, world: World) -> Any:
    """All that is Alice's, as an administrator sees it."""
    session = guarded.ok(guarded.root, "GET", f"/v1/working-memory/{world.session_id}", params=ALICE)
    memory = guarded.ok(guarded.root, "GET", f"/v1/long-term-memory/{world.memory_id}", params=ALICE)
    view = guarded.ok(guarded.root, "GET", f"/v1/summary-views/{world.view_id}")
    partitions = guarded.ok(guarded.root, "GET", f"/v1/summary-views/{world.view_id}/partitions")
    task = guarded.ok(guarded.root, "GET", f"/v1/tasks/{world.task_id}")
    ever_new = ("last_accessed", "updated_at", "access_count")
    return [{k: v for k, v in one.items() if k not in ever_new} for one in (session, memory, view, *partitions, task)]


def test_an_open_search_is_narrowed_to_what_is_ones_own(guarded, secret):
    del secret
    dora = guarded.token(limits=Limits(("acme", "hive-1"), users=("dora",)))
    memory = {"id": unique("m"), "text": "Dora keeps bees too", "namespace": "hive-1"}
    guarded.ok(dora, "POST", "/v1/long-term-memory/", json={"memories": [memory]})
    for text in ("bees", None):
        found = guarded.ok(dora, "POST", "/v1/long-term-memory/search", json={"text": text})
        assert [(m["text"], m["user_id"]) for m in found["memories"]] == [("Dora keeps bees too", "dora")]
        assert found["total"] == 1
    other = guarded.token(limits=Limits(("nothing",), namespace_prefixes=("hiv",)))
    found = guarded.ok(other, "POST", "/v1/long-term-memory/search", json={"text": "bees"})
    assert [m["id"] for m in found["memories"]] == [memory["id"]]


def test_a_view_of_a_limited_caller_is_narrow_also_when_the_platform_runs_it(guarded, secret):
    del secret
    bob = guarded.token(limits=Limits(("acme",), users=("bob",)))
    wide = {"source": "long_term", "group_by": ["namespace"], "filters": {}}
    view = guarded.ok(bob, "POST", "/v1/summary-views", json=wide)
    engine = Container(guarded.settings)
    in_a_task = SummaryViews(
        engine.views,
        engine.records,
        engine.tasks,
        engine.outbox,
        cast(Background, None),
        PartitionWriter(lambda: None, engine.views, guarded.settings),
        guarded.settings,
    )
    in_a_task.run(ViewRunRef(view["id"]))
    partitions = guarded.ok(bob, "GET", f"/v1/summary-views/{view['id']}/partitions")
    assert CANARY not in json.dumps(partitions)
    run = guarded.ask(bob, method="POST", url=f"/v1/summary-views/{view['id']}/partitions/run",
                      json={"group": {"namespace": "umbrella"}})  # fmt: skip
    assert run.status_code == 403


def test_what_an_administrator_put_into_a_view_for_others_is_not_shown(guarded, secret):
    del secret
    bob = guarded.token(limits=Limits(("acme",), users=("bob",)))
    view = guarded.ok(bob, "POST", "/v1/summary-views", json={"source": "long_term", "group_by": ["user_id"]})
    url = f"/v1/summary-views/{view['id']}/partitions"
    for user in ("alice", "bob"):
        made = guarded.ok(guarded.root, "POST", f"{url}/run", json={"group": {"user_id": user}})
        assert (CANARY in made["summary"]) == (user == "alice")
    assert [p["group"] for p in guarded.ok(bob, "GET", url)] == [{"user_id": "bob"}]


def test_a_task_of_others_is_neither_seen_nor_overwritten(guarded, secret):
    world, _before = secret
    bob = guarded.token(limits=Limits(("acme",), users=("bob",)))
    view = guarded.ok(bob, "POST", "/v1/summary-views", json={"source": "long_term", "group_by": ["user_id"]})
    answer = guarded.ask(bob, method="POST", url=f"/v1/summary-views/{view['id']}/run", json={"task_id": world.task_id})
    assert answer.status_code == 409
    assert guarded.ok(guarded.root, "GET", f"/v1/tasks/{world.task_id}")["view_id"] == world.view_id


def test_one_who_may_use_several_namespaces_must_name_one(guarded):
    token = guarded.token(limits=Limits(("a", "b")))
    answer = guarded.ask(token, method="GET", url="/v1/working-memory/x")
    assert (answer.status_code, answer.json()["detail"]) == (403, "Name the namespace: your credential is for several")
    assert guarded.ask(token, method="GET", url="/v1/working-memory/x?namespace=b").status_code == 404


def test_a_session_may_note_nothing_for_others(guarded):
    token = guarded.token(limits=Limits(("acme",), users=("bob",)))
    note = {"id": "n1", "text": "x", "memory_type": "semantic", "user_id": "alice"}
    answer = guarded.ask(token, method="PUT", url="/v1/working-memory/notes", json={"memories": [note]})
    assert answer.status_code == 403


def test_mcp_asks_for_a_token_and_keeps_to_its_limits(guarded, secret):
    world, _before = secret
    assert guarded.tool(None, "get_current_datetime", {}).status_code == 401
    assert guarded.tool(new_token(), "get_current_datetime", {}).status_code == 401
    owner = guarded.token(limits=Limits(("acme",), users=("alice",)))
    assert CANARY in guarded.tool(owner, "get_long_term_memory", {"memory_id": world.memory_id}).text
    assert guarded.tool(owner, "get_current_datetime", {}, "/umbrella/mcp").status_code == 403
    reader = guarded.token(Access.READ, Limits(("acme",), users=("alice",)))
    assert CANARY in guarded.tool(reader, "search_long_term_memory", {"text": "bees"}).text
    told = guarded.tool(reader, "create_long_term_memories", {"memories": [{"text": "Alice likes tea"}]}).text
    assert "This needs write access; you have read access" in told
    writer = guarded.token(Access.WRITE, Limits(("acme",), users=("alice",)))
    assert "This needs admin access" in guarded.tool(writer, "compact_long_term_memories", {}).text


# -- tokens ------------------------------------------------------------------------------------------------------------


def test_among_ten_thousand_tokens_one_is_found_in_one_round_trip(guarded):
    client = connect(guarded.settings)
    tokens = TokenRepository(client)
    with client.pipeline(transaction=False) as pipeline:
        for i in range(10_000):
            pipeline.set(f"token:{token_hash(str(i))}", "{}")
        pipeline.execute()
    verifier = TokenVerifier(tokens, LastUsed(tokens), requests_per_minute=1000)
    verifier.verify(guarded.root)  # loads the script, opens the connection
    connection = client.connection_pool.get_connection()
    client.connection_pool.release(connection)
    sent: list[Any] = []
    send = connection.send_packed_command
    connection.send_packed_command = lambda *args, **kwargs: (sent.append(args), send(*args, **kwargs))[1]
    calls_before = client.info("commandstats")
    sent.clear()
    principal, rate = verifier.verify(guarded.root)
    assert len(sent) == 1
    after = client.info("commandstats")
    assert after["cmdstat_evalsha"]["calls"] - calls_before["cmdstat_evalsha"]["calls"] == 1
    assert principal.subject == f"token {token_hash(guarded.root)[:12]}"
    assert rate is not None
    assert rate.limit == 1000
    with client.pipeline(transaction=False) as pipeline:
        for i in range(10_000):
            pipeline.delete(f"token:{token_hash(str(i))}")
        pipeline.execute()


def test_a_token_is_not_stored_but_its_use_is(guarded):
    token = guarded.token()
    client = connect(guarded.settings)
    for key in client.scan_iter("*", count=1000):
        held = client.dump(key) or b""
        assert token.encode() not in key + held
    used = LastUsed(guarded.tokens)
    TokenVerifier(guarded.tokens, used, requests_per_minute=0).verify(token)
    assert guarded.tokens.last_used([token_hash(token)]) == [None]
    used.flush()
    at = guarded.tokens.last_used([token_hash(token)])[0]
    assert at is not None
    assert datetime.now(UTC) - at < timedelta(minutes=1)


def test_the_command_line_gives_out_lists_shows_and_removes_tokens(guarded, monkeypatch):
    monkeypatch.setattr("app.cli_token.get_settings", lambda: guarded.settings)

    def run(*args: str, code: int = 0) -> str:
        result = CliRunner().invoke(main, ["token", *args])
        assert result.exit_code == code, result.output
        return result.output

    made = json.loads(run("add", "-d", "the agent", "-e", "30", "--format", "json"))
    assert list(made) == ["token", "hash", "description", "created_at", "expires_at"]
    assert re.fullmatch(r"amt_[A-Za-z0-9_-]{43}", made["token"])
    assert made["hash"] == token_hash(made["token"])
    assert guarded.ask(made["token"], method="GET", url="/v1/summary-views").status_code == 200
    run("add", "-d", "old", "-e", "0", "--format", "json")
    own = unique("my-own-token-of-32-characters")
    assert json.loads(run("add", "-d", "given", "--token", own, "--format", "json"))["token"] == own
    assert "32 random characters" in run("add", "-d", "weak", "--token", "password", code=1)
    listed = {t["description"]: t for t in json.loads(run("list", "--format", "json"))}
    fields = {"hash", "description", "created_at", "expires_at", "status"}
    assert fields <= set(listed["the agent"])
    assert [listed[name]["status"] for name in ("the agent", "old", "given")] == ["Active", "EXPIRED", "Never Expires"]
    assert listed["given"]["expires_at"] is None
    beginning = made["hash"][:12]
    shown = json.loads(run("show", beginning, "--format", "json"))
    assert (shown["hash"], shown["status"]) == (made["hash"], "Active")
    run("show", "no-such-hash", "--format", "json", code=1)
    assert "there is no token" in run("show", "", code=1)
    assert "the agent" in run("list")
    assert "Removed" in run("remove", beginning, "-f")
    assert guarded.ask(made["token"], method="GET", url="/v1/summary-views").status_code == 401
    run("remove", beginning, "-f", code=1)
    limited = json.loads(
        run("add", "-d", "reader", "--namespace", "acme", "--user", "bob", "--access", "read", "--format", "json")
    )
    assert (limited["namespaces"], limited["users"], limited["access"]) == (["acme"], ["bob"], "read")
    assert guarded.ask(limited["token"], method="PUT", url="/v1/working-memory/x", json={}).status_code == 403


# -- limits, in this process ------------------------------------------------------------------------------------------


@pytest.fixture
def in_process(guarded, monkeypatch):
    """A Flask application with other settings, over the same Redis."""

    def build(**changes: Any) -> Any:
        changed = guarded.settings.model_copy(update=changes)
        monkeypatch.setattr(composition, "_container", Container(changed))
        return create_app(changed)

    yield build
    act_as(None)  # requests in this process leave their last caller to this thread


def test_who_asks_too_often_must_wait_and_others_need_not(guarded, in_process):
    client = in_process(rate_limit_per_minute=5).test_client()
    hasty, calm = (({"Authorization": f"Bearer {guarded.token()}"}) for _ in range(2))
    got = [client.get("/v1/working-memory", headers=hasty) for _ in range(6)]
    assert [a.status_code for a in got] == [200] * 5 + [429]
    assert [a.headers["RateLimit-Remaining"] for a in got] == ["4", "3", "2", "1", "0", "0"]
    assert {a.headers["RateLimit-Limit"] for a in got} == {"5"}
    assert 1 <= int(got[5].headers["Retry-After"]) <= 12
    assert "wait" in got[5].get_json()["detail"]
    assert client.get("/v1/working-memory", headers=calm).status_code == 200
    assert client.get("/v1/health", headers=hasty).status_code == 200


def test_few_heavy_requests_run_at_once(guarded, in_process, monkeypatch):
    application = in_process(max_concurrent_heavy_requests=1)
    headers = {"Authorization": f"Bearer {guarded.root}"}
    inside, go_on = threading.Event(), threading.Event()

    def slow(self: Any, condition: Any) -> int:
        inside.set()
        assert go_on.wait(20)
        return 0

    monkeypatch.setattr("app.memory.compaction.Compaction.compact", slow)

    def compact() -> Any:
        return application.test_client().post("/v1/long-term-memory/compact", headers=headers)

    first: list[Any] = []
    thread = threading.Thread(target=lambda: first.append(compact()))
    thread.start()
    assert inside.wait(20)
    refused = compact()
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "2")
    assert application.test_client().get("/v1/working-memory", headers=headers).status_code == 200
    go_on.set()
    thread.join(20)
    assert first[0].status_code == 200
    assert compact().status_code == 200  # the place is free again


def test_a_route_that_nobody_thought_about_is_for_administrators_only(guarded, in_process):
    application = in_process()
    application.add_url_rule("/v1/new", "new", lambda: {"all": "data"})
    client = application.test_client()

    def ask(token: str | None) -> int:
        return client.get("/v1/new", headers={"X-API-Key": token} if token else {}).status_code

    assert ask(None) == 401
    assert ask(guarded.token(Access.WRITE)) == 403
    assert ask(guarded.token(limits=Limits(("acme",)))) == 403
    assert ask(guarded.root) == 200


def test_a_store_that_is_away_is_503_and_lets_nobody_in(guarded, in_process):
    application = in_process(redis_url="redis://127.0.0.1:1/0")
    answer = application.test_client().get("/v1/working-memory", headers={"X-API-Key": guarded.root})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")


def test_pages_and_answers_carry_security_headers_and_no_other_origin_is_let_in(guarded):
    http = guarded.stack.http
    page = http.get("/docs/")
    assert page.headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["Referrer-Policy"] == "no-referrer"
    answer = guarded.ask(guarded.root, method="GET", url="/v1/summary-views")
    assert answer.headers["Cache-Control"] == "no-store"
    assert page.headers["X-Content-Type-Options"] == answer.headers["X-Content-Type-Options"] == "nosniff"
    origin = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    for method in ("GET", "OPTIONS"):
        told = http.request(method, "/v1/summary-views", headers=origin)
        assert not [name for name in told.headers if name.lower().startswith("access-control")]


def test_logs_hold_neither_tokens_nor_what_was_said(guarded, secret):
    del secret
    said = "".join(path.read_text(errors="replace") for path in guarded.stack.logs().values())
    assert said
    assert CANARY not in said
    assert guarded.root not in said
    assert guarded.root[4:20] not in said


# -- Redis with users of its own -------------------------------------------------------------------------------------


def test_a_redis_user_with_the_documented_rights_is_enough(guarded):
    admin = connect(guarded.settings)
    admin.execute_command("ACL", "SETUSER", "platform", "reset", "on", ">p@ss/word", "~*", "&*", "+@all", "-@admin",
                          "-@dangerous", "+info", "+keys")  # fmt: skip
    port = guarded.stack.redis.url.rsplit(":", 1)[1].split("/")[0]
    url = f"redis://platform:p%40ss%2Fword@127.0.0.1:{port}/0"
    engine = Container(guarded.settings.model_copy(update={"redis_url": url}))
    engine.store_ready()
    assert engine.redis.execute_command("ACL", "WHOAMI") == b"platform"
    assert engine.working_memory.list_ids(namespace="acme", user_id=None, limit=1, offset=0)[1] >= 0
    assert engine.tokens.check(token_hash(guarded.root), requests_per_minute=10)[0] is not None
    from migrations import runner

    assert runner.up(engine.redis, engine.settings, lambda _text: None) == 0
    wrong = guarded.settings.model_copy(update={"redis_url": url.replace("p%40ss", "guess")})
    with pytest.raises(Exception, match=r"invalid username-password|WRONGPASS|not available"):
        Container(wrong).store_ready()
    wait_until(lambda: admin.execute_command("ACL", "DELUSER", "platform") == 1, 5)
