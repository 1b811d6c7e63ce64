"""MCP as hosts use it: the official client, a real server process, both transports, every tool."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from mcp import Client, MCPError

from tests.support.builders import unique
from tests.support.mcp import Host, connected, connected_over_stdio, http_server
from tests.support.shapes import check_hit, check_record, check_results, check_session, check_time
from tests.support.stack import Stack
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration
NO_TIME_ZONE = "2026-03-01T10:00:00"


@pytest.fixture(scope="module")
def environment(stack) -> dict[str, str]:
    if not isinstance(stack, Stack):
        pytest.skip("needs the stack's own Redis")
    return stack.environment


@pytest.fixture(scope="module")
def server(environment, tmp_path_factory) -> Iterator[str]:
    """The base URL of one HTTP server for all tests here."""
    with http_server(environment, tmp_path_factory.mktemp("mcp") / "mcp.log") as url:
        yield url


@pytest.fixture(scope="module")
def stdio_host(environment, tmp_path_factory) -> Iterator[Host]:
    """A host over stdio."""
    with connected_over_stdio(environment, tmp_path_factory.mktemp("mcp") / "stdio.log") as host:
        yield host


@pytest.fixture(scope="module")
def http_host(server) -> Iterator[Host]:
    """A host over streamable HTTP."""
    with connected(f"{server}/mcp") as host:
        yield host


@pytest.fixture(params=["stdio", "http"])
def host(request) -> Host:
    """A host, over each transport in turn."""
    found: Host = request.getfixturevalue(f"{request.param}_host")
    return found


@pytest.fixture
def at(server) -> Iterator[Callable[[str], Host]]:
    """Hosts at the URL of a namespace."""
    open_hosts = []

    def connect(namespace: str) -> Host:
        context = connected(f"{server}/{namespace}/mcp")
        open_hosts.append(context)
        return context.__enter__()

    yield connect
    for context in reversed(open_hosts):
        context.__exit__(None, None, None)


# -- every tool, over both transports ----------------------------------------------------------------------------------


def test_the_server_introduces_itself_and_lists_its_tools(host):
    assert host.client.server_info.name == "agent-memory"
    assert "create_long_term_memories" in host.client.instructions
    tools = {tool.name: tool for tool in host.ask("list_tools").tools}
    assert len(tools) == 10
    assert tools["search_long_term_memory"].annotations.read_only_hint is True
    assert tools["delete_long_term_memories"].annotations.destructive_hint is True
    assert all(tool.output_schema for tool in tools.values())


def test_the_time_is_told(host):
    before = int(time.time())
    now = host.call("get_current_datetime")
    check_time(now["iso_utc"])
    assert before <= now["unix_ts"] <= time.time()


def test_a_memory_from_creation_to_deletion(host, namespace):
    text = "User's sister Mara plays the cello in Porto"
    fact = {"text": text, "namespace": namespace, "user_id": "u", "topics": ["family"]}
    created = host.call("create_long_term_memories", memories=[fact])
    assert created["status"] == "ok"
    memory_id = created["results"][0]["memory_id"]

    within = {"namespace": {"eq": namespace}}
    found = host.call("search_long_term_memory", text="Who plays an instrument?", **within)
    check_results(found)
    assert [m["id"] for m in found["memories"]] == [memory_id]
    assert found["memories"][0]["memory_type"] == "semantic"

    shown = host.call("get_long_term_memory", memory_id=memory_id)
    check_record(shown)
    assert (shown["text"], shown["user_id"]) == (text, "u")

    changed = host.call(
        "edit_long_term_memory", memory_id=memory_id, text="User's sister Mara plays the oboe", event_date=NO_TIME_ZONE
    )
    assert changed["event_date"] == f"{NO_TIME_ZONE}Z"
    assert host.texts("oboe", search_mode="keyword", **within) == ["User's sister Mara plays the oboe"]
    assert host.texts("cello", search_mode="keyword", **within) == []

    assert host.call("delete_long_term_memories", memory_ids=[memory_id, "unknown"])["status"].endswith("1 memories")
    assert host.texts(None, **within) == []
    assert memory_id in host.refused("get_long_term_memory", memory_id=memory_id)


def test_the_same_fact_again_is_recognized(host, namespace):
    fact = {"text": "User is allergic to peanuts", "namespace": namespace}
    first = host.call("create_long_term_memories", memories=[fact])["results"][0]
    again = host.call("create_long_term_memories", memories=[fact])["results"][0]
    assert (first["status"], again["status"]) == ("stored", "same")
    assert again["memory_id"] == first["memory_id"]


def test_search_filters_pages_and_lists(host, namespace):
    facts = [
        {"text": f"User visited city number {i}", "namespace": namespace, "memory_type": "episodic",
         "event_date": f"2026-01-{i + 1:02d}"}
        for i in range(5)
    ]  # fmt: skip
    host.call("create_long_term_memories", memories=facts)
    within = {"namespace": {"eq": namespace}}
    january = {"event_date": {"gte": "2026-01-02", "lte": "2026-01-04"}}
    assert len(host.texts(None, **within, **january)) == 3
    page = host.call("search_long_term_memory", text="which city", limit=2, offset=2, **within)
    assert (len(page["memories"]), page["total"], page["next_offset"]) == (2, 5, 4)
    assert host.texts("city", memory_type={"eq": "semantic"}, **within) == []
    # Some hosts send objects as JSON text.
    assert len(host.texts(None, namespace=f'{{"eq": "{namespace}"}}', limit=3)) == 3


def test_a_session_is_stored_and_read_back(host, namespace):
    scope = {"namespace": namespace, "user_id": "u"}
    stored = host.call(
        "set_working_memory",
        session_id="trip",
        messages=[{"role": "user", "content": "I fly to Oslo on Friday", "created_at": "2026-01-05T09:00:00Z"}],
        memories=[{"text": "User flies with a cello", "topics": ["travel"]}],
        data={"step": 3},
        context="Planning a trip",
        **scope,
    )
    check_session(stored)
    assert stored["ttl_seconds"] == 3600
    assert stored["memories"][0]["memory_type"] == "semantic"
    assert stored["memories"][0]["user_id"] == "u"
    read = host.call("get_working_memory", session_id="trip", **scope)
    check_session(read)
    assert [m["content"] for m in read["messages"]] == ["I fly to Oslo on Friday"]
    assert (read["data"], read["context"]) == ({"step": 3}, "Planning a trip")


def test_what_is_noted_in_a_session_becomes_a_long_term_memory(host, namespace):
    host.call("set_working_memory", session_id="s", namespace=namespace, memories=[{"text": "User collects stamps"}])
    wait_until(lambda: host.texts(None, namespace={"eq": namespace}) == ["User collects stamps"], 30)


def test_an_unknown_session_is_empty(host, namespace):
    empty = host.call("get_working_memory", session_id="nobody", namespace=namespace)
    check_session(empty)
    assert (empty["messages"], empty["session_id"]) == ([], "nobody")


def test_a_prompt_has_the_session_the_memories_and_the_query(host, namespace):
    host.call("create_long_term_memories", memories=[{"text": "User eats no meat", "namespace": namespace}])
    message = {"role": "user", "content": "Hello", "discrete_memory_extracted": "t"}
    host.call("set_working_memory", session_id="chat", namespace=namespace, messages=[message])
    within = {"namespace": {"eq": namespace}}
    prompt = host.call("memory_prompt", query="What shall I cook?", session_id={"eq": "chat"}, **within)
    texts = [m["content"]["text"] for m in prompt["messages"]]
    assert texts[0] == "Hello"
    assert "User eats no meat (ID:" in texts[1]
    assert texts[-1] == "What shall I cook?"
    check_hit(prompt["long_term_memories"][0])
    bare = host.call(
        "memory_prompt", query="What?", session_id="chat", include_long_term_search=False, namespace={"eq": namespace}
    )
    assert [m["content"]["text"] for m in bare["messages"]] == ["Hello", "What?"]


def test_compaction_reports_what_is_left(host, namespace):
    host.call("create_long_term_memories", memories=[{"text": "User likes tea", "namespace": namespace}])
    ticks: list[float] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        ticks.append(progress)

    result = host.ask("call_tool", "compact_long_term_memories", {"namespace": namespace}, progress_callback=note)
    assert result.structured_content["status"] == "ok, 1 memories remaining after compaction"
    assert ticks[0] == 0


def test_many_memories_are_searchable_when_answered_and_progress_is_told(host, namespace):
    facts = [{"text": f"User owns book number {i}", "namespace": namespace} for i in range(45)]
    steps: list[tuple[float, float | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        steps.append((progress, total))

    result = host.ask("call_tool", "create_long_term_memories", {"memories": facts}, progress_callback=note)
    assert not result.is_error
    assert len(result.structured_content["results"]) == 45
    assert steps == [(20, 45), (40, 45), (45, 45)]
    assert host.call("search_long_term_memory", text=None, namespace={"eq": namespace})["total"] == 45


# -- bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        ("search_long_term_memory", {}, "text: Field required"),
        ("search_long_term_memory", {"text": 5}, "text: Input should be a valid string"),
        ("search_long_term_memory", {"text": "x", "namespce": {"eq": "y"}}, "namespce: Unknown"),
        ("search_long_term_memory", {"text": "x", "namespace": {"equals": "y"}}, "Unknown filter operator 'equals'"),
        ("search_long_term_memory", {"text": "x", "namespace": "y"}, "namespace: Input should be a filter object"),
        ("search_long_term_memory", {"text": "x", "limit": 0}, "limit: "),
        ("search_long_term_memory", {"text": "x", "memory_type": {"eq": "wish"}}, "semantic, episodic, message"),
        ("search_long_term_memory", {"text": "x", "search_mode": "keyword", "distance_threshold": 0.5}, "only support"),
        ("search_long_term_memory", {"text": "x", "created_at": {"gte": "soon"}}, "created_at: Input should be a vali"),
        ("create_long_term_memories", {}, "memories: Field required"),
        ("create_long_term_memories", {"memories": []}, "at least one memory"),
        ("create_long_term_memories", {"memories": [{"text": "ok"}, {"text": ""}]}, "memories.1.text: "),
        ("create_long_term_memories", {"memories": [{"text": "x", "topics": ["a,b"]}]}, "memories.0.topics.0: "),
        ("create_long_term_memories", {"memories": [{"text": "x", "memory_type": "wish"}]}, "memory_type: Input"),
        ("memory_prompt", {"session_id": "s"}, "query: Field required"),
        ("memory_prompt", {"query": "x", "session_id": {"ne": "s"}}, "session_id: Input should be a session id"),
        ("memory_prompt", {"query": "x", "include_long_term_search": False}, "Either session or long_term_search"),
        ("set_working_memory", {}, "session_id: Field required"),
        ("set_working_memory", {"session_id": "s", "ttl_seconds": 0}, "ttl_seconds: "),
        ("set_working_memory", {"session_id": "s", "messages": [{"role": "user"}]}, "messages.0.content: Field requ"),
        ("set_working_memory", {"session_id": "s", "messages": [{"role": "u", "content": " "}]}, "blank content"),
        ("get_working_memory", {"session_id": "s", "recent_messages_limit": 0}, "recent_messages_limit: "),
        ("get_long_term_memory", {"memory_id": "no-such-memory"}, "no-such-memory not found"),
        ("edit_long_term_memory", {"memory_id": "no-such-memory", "text": "x"}, "no-such-memory not found"),
        ("edit_long_term_memory", {"memory_id": "m"}, "No fields provided"),
        ("edit_long_term_memory", {"memory_id": "m", "event_date": "soon"}, "event_date: "),
        ("delete_long_term_memories", {}, "memory_ids: Field required"),
        ("compact_long_term_memories", {"namespace": 7}, "namespace: "),
        ("get_current_datetime", {"zone": "UTC"}, "zone: Unknown argument"),
        ("no_such_tool", {}, "There is no tool 'no_such_tool'"),
    ],
)
def test_wrong_arguments_are_a_tool_error_that_says_what_is_wrong(http_host, tool, arguments, told):
    assert told in http_host.refused(tool, **arguments)


def test_wrong_arguments_over_stdio_too(stdio_host):
    assert "text: Field required" in stdio_host.refused("search_long_term_memory")


# -- scope -------------------------------------------------------------------------------------------------------------


def test_the_namespace_of_the_url_binds_every_tool(at, http_host):
    ours, theirs = unique("ns"), unique("ns")
    host, other = at(ours), at(theirs)
    created = host.call("create_long_term_memories", memories=[{"text": "The code word is heron", "id": "m1"}])
    assert created["results"][0]["memory_id"] == "m1"
    assert http_host.call("search_long_term_memory", text=None, namespace={"eq": ours})["total"] == 1
    host.call("set_working_memory", session_id="s", context="ours")

    assert other.texts(None) == []
    assert "m1 not found" in other.refused("get_long_term_memory", memory_id="m1")
    assert "m1 not found" in other.refused("edit_long_term_memory", memory_id="m1", text="stolen")
    assert other.call("delete_long_term_memories", memory_ids=["m1"])["status"] == "ok, deleted 0 memories"
    assert other.call("get_working_memory", session_id="s")["context"] is None
    assert other.call("compact_long_term_memories")["status"].startswith("ok, 0 ")
    assert "heron" not in str(other.call("memory_prompt", query="code word", session_id="s"))
    for refused in (
        other.refused("search_long_term_memory", text=None, namespace={"eq": ours}),
        other.refused("create_long_term_memories", memories=[{"text": "x", "namespace": ours}]),
        other.refused("get_working_memory", session_id="s", namespace=ours),
        host.refused("edit_long_term_memory", memory_id="m1", namespace=theirs),
    ):
        assert "This connection only works with namespace" in refused
    assert host.texts(None) == ["The code word is heron"]


def test_two_clients_on_two_namespaces_at_once_never_see_each_other(server):
    async def use(namespace: str, word: str) -> None:
        async with Client(f"{server}/{namespace}/mcp") as client:

            async def call(tool: str, **arguments: object) -> dict[str, object]:
                result = await client.call_tool(tool, arguments)
                assert not result.is_error, result.content
                return result.structured_content

            async def round_trip(i: int) -> None:
                text = f"The {word} number {i} is painted"
                await call("create_long_term_memories", memories=[{"text": text, "id": f"m{i}"}])
                await call("set_working_memory", session_id="same", data={"word": word})
                hits = (await call("search_long_term_memory", text="painted", limit=50))["memories"]
                assert hits
                assert all(word in hit["text"] and hit["namespace"] == namespace for hit in hits)
                assert (await call("get_long_term_memory", memory_id=f"m{i}"))["text"] == text
                assert (await call("get_working_memory", session_id="same"))["data"] == {"word": word}
                assert word in str((await call("memory_prompt", query="painted"))["long_term_memories"])

            await asyncio.gather(*(round_trip(i) for i in range(8)))
            assert (await call("search_long_term_memory", text=None))["total"] == 8

    async def both() -> None:
        await asyncio.gather(use(unique("ns"), "boat"), use(unique("ns"), "kite"))

    asyncio.run(both())


def test_hosts_with_the_older_handshake_are_served_and_bound_as_well(server):
    ours, theirs = unique("ns"), unique("ns")
    steps: list[float] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        steps.append(progress)

    with connected(f"{server}/{ours}/mcp", "legacy") as host, connected(f"{server}/{theirs}/mcp", "legacy") as other:
        assert len(host.ask("list_tools").tools) == 10
        facts = {"memories": [{"text": "Herons nest here"}]}
        result = host.ask("call_tool", "create_long_term_memories", facts, progress_callback=note)
        assert (result.is_error, steps) == (False, [1])
        assert host.texts("birds") == ["Herons nest here"]
        assert other.texts("birds") == []
        assert "only works with" in other.refused("search_long_term_memory", text="x", namespace={"eq": ours})


def test_a_namespace_may_have_any_characters(server):
    name = f"a/b c:ü{unique('')}"
    with connected(f"{server}/{httpx.URL('http://x').copy_with(path='/' + name).raw_path.decode()[1:]}/mcp") as host:
        host.call("create_long_term_memories", memories=[{"text": "Odd names are names"}])
        assert host.call("search_long_term_memory", text=None)["memories"][0]["namespace"] == name


def test_settings_fill_in_what_a_call_leaves_out(environment, tmp_path, http_host):
    namespace = unique("ns")
    defaults = {"DEFAULT_MCP_NAMESPACE": namespace, "DEFAULT_MCP_USER_ID": "ada"}
    with connected_over_stdio(environment | defaults, tmp_path / "log") as host:
        memory_id = host.call("create_long_term_memories", memories=[{"text": "Ada likes chess"}])["results"][0]["id"]
        shown = host.call("get_long_term_memory", memory_id=memory_id)
        assert (shown["namespace"], shown["user_id"]) == (namespace, "ada")
        assert host.texts("chess") == ["Ada likes chess"]
        session = host.call("set_working_memory", session_id="s")
        assert (session["namespace"], session["user_id"]) == (namespace, "ada")
        # A default is not a binding: a call may name something else.
        assert host.texts(None, namespace={"eq": unique("ns")}) == []
        assert [r.uri for r in host.ask("list_resources").resources] == [f"memory://{namespace}/ada/profile"]
        prompt = host.ask("get_prompt", "load_user_context", {"query": "games"})
        assert prompt.messages[0].content.text.count("Ada likes chess") == 2


# -- resources and prompt ----------------------------------------------------------------------------------------------


def test_a_profile_has_facts_events_and_the_newest_summary(host, namespace):
    own = {"namespace": namespace, "user_id": "Zoë/1"}
    host.call(
        "create_long_term_memories",
        memories=[
            {"text": "User prefers window seats", **own},
            {"text": "User moved to Lisbon", "memory_type": "episodic", "event_date": "2026-03-01", **own},
            {"text": "Somebody else prefers aisle seats", "namespace": namespace, "user_id": "other"},
        ],
    )
    host.call("set_working_memory", session_id="s", context="They planned the move.", **own)
    templates = host.ask("list_resource_templates").resource_templates
    assert [t.uri_template for t in templates] == ["memory://{namespace}/{user}/profile"]
    profile = host.ask("read_resource", f"memory://{namespace}/Zo%C3%AB%2F1/profile").contents[0]
    assert profile.mime_type == "text/markdown"
    assert "- User prefers window seats (ID: " in profile.text
    assert "- User moved to Lisbon [2026-03-01] (ID: " in profile.text
    assert "They planned the move." in profile.text
    assert "aisle" not in profile.text


def test_a_profile_outside_of_the_urls_namespace_is_refused(at, http_host):
    ours = unique("ns")
    with pytest.raises(MCPError, match="only works with namespace"):
        at(ours).ask("read_resource", "memory://elsewhere/ada/profile")
    with pytest.raises(MCPError, match="There is no resource"):
        http_host.ask("read_resource", "memory://x/y/z/profile")


def test_a_view_summary_of_this_user_and_nobody_else_is_in_the_profile(http_host, http, namespace):
    own = {"namespace": namespace, "user_id": "ada"}
    http_host.call("create_long_term_memories", memories=[{"text": "User breeds finches", **own}])
    views = [
        {"source": "long_term", "group_by": ["user_id"], "filters": {"namespace": namespace}},
        {"source": "long_term", "group_by": ["user_id"], "name": "all tenants"},
    ]
    for body in views:
        view = http.post("/v1/summary-views", json=body).json()
        ran = http.post(f"/v1/summary-views/{view['id']}/partitions/run", json={"group": {"user_id": "ada"}})
        assert ran.status_code == 200
    profile = http_host.ask("read_resource", f"memory://{namespace}/ada/profile").contents[0].text
    assert "## Summary (" in profile
    summary = profile.split("## Summary")[1].split("## Facts")[0]
    assert summary.count("\n- ") == 1, "only the view of this namespace may be shown"


def test_an_unknown_prompt_or_argument_is_refused(http_host):
    with pytest.raises(MCPError, match="There is no prompt"):
        http_host.ask("get_prompt", "no_such_prompt", {})
    with pytest.raises(MCPError, match="Unknown argument"):
        http_host.ask("get_prompt", "load_user_context", {"user": "ada"})


# -- HTTP ----------------------------------------------------------------------------------------------------------


def test_a_web_page_of_another_origin_is_refused(server):
    headers = {"Accept": "application/json, text/event-stream", "Origin": "http://evil.example"}
    listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    assert httpx.post(f"{server}/mcp", json=listing, headers=headers).status_code == 403
    assert httpx.post(f"{server}/mcp", json=listing, headers={**headers, "Origin": server}).status_code == 200
    assert httpx.post(f"{server}/mcp", json=listing, headers={**headers, "Host": "evil.example"}).status_code == 421


def test_probes_answer(server):
    assert httpx.get(f"{server}/healthz").json() == {"status": "alive"}
    assert httpx.get(f"{server}/readyz").json()["ready"] is True


def test_the_older_transport_is_bound_to_the_url_too(server):
    from mcp.client.sse import sse_client

    namespace = unique("ns")
    with connected(sse_client(f"{server}/{namespace}/sse")) as host:
        host.call("create_long_term_memories", memories=[{"text": "Old hosts remember as well"}])
        assert host.call("search_long_term_memory", text=None)["memories"][0]["namespace"] == namespace
        assert "only works with" in host.refused("get_working_memory", session_id="s", namespace="other")


def test_when_redis_is_away_a_tool_says_so_instead_of_finding_nothing(environment, tmp_path):
    nowhere = environment | {"REDIS_URL": "redis://127.0.0.1:1/0", "REDIS_TIMEOUT_SECONDS": "1"}
    with connected_over_stdio(nowhere, tmp_path / "log") as host:
        told = host.refused("search_long_term_memory", text="x")
    assert "not available now" in told
    assert Path(tmp_path / "log").read_text()
