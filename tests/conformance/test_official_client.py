"""The published Python client (agent-memory-client 0.14.0) drives every route that it knows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from agent_memory_client import MemoryAPIClient, create_memory_client
from agent_memory_client.exceptions import MemoryNotFoundError, MemoryServerError
from agent_memory_client.filters import (
    CreatedAt,
    Entities,
    LastAccessed,
    MemoryType,
    Namespace,
    SessionId,
    Topics,
    UserId,
)
from agent_memory_client.models import (
    ClientMemoryRecord,
    CreateSummaryViewRequest,
    ForgetPolicy,
    MemoryMessage,
    MemoryRecord,
    MemoryStrategyConfig,
    MemoryTypeEnum,
    RecencyConfig,
    WorkingMemory,
)

from tests.support.api import Api
from tests.support.builders import unique
from tests.support.stack import Server

T = TypeVar("T")
Run = Callable[[Callable[[MemoryAPIClient], Awaitable[T]]], T]


@pytest.fixture
def run(stack: Server, namespace: str) -> Run[Any]:
    """Runs a coroutine function with a client of the test's namespace."""

    def with_client(scenario: Callable[[MemoryAPIClient], Awaitable[T]]) -> T:
        async def main() -> T:
            client = await create_memory_client(stack.base_url, default_namespace=namespace)
            async with client:
                return await scenario(client)

        return asyncio.run(main())

    return with_client


def message(content: str, role: str = "user") -> MemoryMessage:
    return MemoryMessage(role=role, content=content, created_at=datetime.now(UTC))


def fact(text: str, **more: Any) -> ClientMemoryRecord:
    return ClientMemoryRecord(text=text, memory_type=MemoryTypeEnum.SEMANTIC, **more)


# -- health, sessions ------------------------------------------------------------------------------------------------


def test_health_check(run):
    assert run(lambda client: client.health_check()).now > 1e12


def test_get_or_create_creates_once_and_then_finds(run, namespace):
    async def scenario(client: MemoryAPIClient):
        session_id = unique("s")
        first, made = await client.get_or_create_working_memory(
            session_id, user_id="u", long_term_memory_strategy=MemoryStrategyConfig(strategy="preferences")
        )
        second, found = await client.get_or_create_working_memory(session_id, user_id="u")
        return first, made, second, found

    first, made, second, found = run(scenario)
    assert (first, second) == (True, False)
    assert made.session_id == found.session_id
    assert (found.namespace, found.user_id) == (namespace, "u")
    assert found.long_term_memory_strategy.strategy == "preferences"
    assert found.messages == []


def test_put_get_and_delete_working_memory(run, namespace):
    async def scenario(client: MemoryAPIClient):
        session_id = unique("s")
        memory = WorkingMemory(
            session_id=session_id,
            namespace=namespace,
            user_id="u",
            messages=[message("I live in Lisbon"), message("Nice!", "assistant")],
            memories=[MemoryRecord(id=unique("m"), text="User likes tea", memory_type=MemoryTypeEnum.SEMANTIC)],
            data={"deep": {"a": [1, None]}},
            context="so far",
            tokens=7,
            ttl_seconds=3600,
        )
        put = await client.put_working_memory(session_id, memory, user_id="u", context_window_max=1000)
        found = await client.get_working_memory(session_id, user_id="u")
        assert (await client.delete_working_memory(session_id, user_id="u")).status == "ok"
        with pytest.raises(MemoryNotFoundError):
            await client.get_working_memory(session_id, user_id="u")
        return put, found

    put, found = run(scenario)
    assert put.context_percentage_total_used > 0
    assert [m.content for m in found.messages] == ["I live in Lisbon", "Nice!"]
    assert [m.text for m in found.memories] == ["User likes tea"]
    assert (found.data, found.context, found.tokens) == ({"deep": {"a": [1, None]}}, "so far", 7)
    assert found.ttl_seconds == 3600


def test_list_sessions(run):
    async def scenario(client: MemoryAPIClient):
        ids = [unique("s") for _ in range(3)]
        for session_id in ids:
            await client.get_or_create_working_memory(session_id)
        return ids, await client.list_sessions(limit=2), await client.list_sessions(limit=2, offset=2)

    ids, first, second = run(scenario)
    assert first.total == second.total == 3
    assert sorted([*first.sessions, *second.sessions]) == sorted(ids)


def test_the_data_helpers_keep_messages_and_memories(run):
    async def scenario(client: MemoryAPIClient):
        session_id = unique("s")
        await client.append_messages_to_working_memory(session_id, [message("one")])
        await client.add_memories_to_working_memory(session_id, [fact("User likes tea")])
        await client.set_working_memory_data(session_id, {"a": {"x": 1}, "b": 2})
        await client.update_working_memory_data(session_id, {"b": 3}, merge_strategy="merge")
        await client.update_working_memory_data(session_id, {"a": {"y": 2}}, merge_strategy="deep_merge")
        await client.append_messages_to_working_memory(session_id, [{"role": "assistant", "content": "two"}])
        merged = await client.get_working_memory(session_id)
        await client.update_working_memory_data(session_id, {"c": 1}, merge_strategy="replace")
        return merged, await client.get_working_memory(session_id)

    merged, replaced = run(scenario)
    assert merged.data == {"a": {"x": 1, "y": 2}, "b": 3}
    assert replaced.data == {"c": 1}
    for found in (merged, replaced):
        assert [m.content for m in found.messages] == ["one", "two"]
        assert [m.text for m in found.memories] == ["User likes tea"]


def test_a_session_round_trips_through_the_client_without_new_extraction(run, api: Api):
    async def put(client: MemoryAPIClient, session_id: str):
        memory = WorkingMemory(
            session_id=session_id, namespace=api.namespace, messages=[message("I work as a nurse in Lisbon.")]
        )
        return await client.put_working_memory(session_id, memory)

    async def put_again(client: MemoryAPIClient, session_id: str):
        memory = await client.get_working_memory(session_id)
        return await client.put_working_memory(session_id, memory)

    session_id = unique("s")
    run(lambda client: put(client, session_id))
    known = {m["id"] for m in api.wait_for_memories(1)}
    api.wait_until_promoted(session_id)
    again = run(lambda client: put_again(client, session_id))
    assert all(m.discrete_memory_extracted == "t" for m in again.messages)
    api.wait_until_promoted(session_id)
    assert set(api.ids()) == known


# -- long-term memory ------------------------------------------------------------------------------------------------


def test_create_get_edit_and_delete_long_term_memory(run, namespace):
    async def scenario(client: MemoryAPIClient):
        record = fact("User likes tea", user_id="u", topics=["drinks"], event_date=datetime(2024, 5, 6, tzinfo=UTC))
        assert (await client.create_long_term_memory([record])).status == "ok"
        found = await client.get_long_term_memory(record.id)
        edited = await client.edit_long_term_memory(record.id, {"text": "User likes milk", "pinned": True})
        deleted = await client.delete_long_term_memories([record.id])
        with pytest.raises(MemoryNotFoundError):
            await client.get_long_term_memory(record.id)
        return record, found, edited, deleted

    record, found, edited, deleted = run(scenario)
    assert (found.id, found.text, found.namespace) == (record.id, "User likes tea", namespace)
    assert found.event_date == record.event_date
    assert "drinks" in found.topics
    assert edited.text == "User likes milk"  # this version's record has no `pinned`
    assert deleted.status == "ok, deleted 1 memories"


def test_errors_carry_the_detail_of_the_server(run):
    async def scenario(client: MemoryAPIClient):
        with pytest.raises(MemoryServerError) as unknown_field:
            await client.edit_long_term_memory(unique("m"), {})
        return unknown_field.value

    error = run(scenario)
    assert error.status_code == 400
    assert "No fields provided for update" in str(error)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, "abc"),
        ({"user_id": UserId(eq="ann")}, "ab"),
        ({"user_id": UserId(in_=["ann", "bob"])}, "abc"),
        ({"user_id": UserId(not_eq="ann")}, "c"),
        ({"user_id": UserId(not_in=["bob"])}, "ab"),
        ({"session_id": SessionId(in_=["s1"])}, "a"),
        ({"session_id": SessionId(not_in=["s1"])}, "bc"),
        ({"topics": Topics(any=["food"])}, "ab"),
        ({"topics": Topics(all=["food", "drink"])}, "b"),
        ({"topics": Topics(none=["drink"])}, "ac"),
        ({"entities": Entities(any=["Lisbon"])}, "c"),
        ({"memory_type": MemoryType(eq="episodic")}, "c"),
        ({"memory_type": MemoryType(not_in=["episodic"])}, "ab"),
        (
            {"created_at": CreatedAt(gte=datetime(2024, 1, 2, tzinfo=UTC), lte=datetime(2024, 1, 2, 23, tzinfo=UTC))},
            "b",
        ),
        ({"last_accessed": LastAccessed(lte=datetime(2024, 2, 1, 12, tzinfo=UTC))}, "a"),
        ({"namespace": {"eq": "another"}}, ""),
        ({"user_id": {"eq": "ann"}, "topics": {"any": ["drink"]}}, "b"),
    ],
)
def test_search_long_term_memory_with_every_filter(run, filters, expected):
    def day(number: int, month: int) -> datetime:
        return datetime(2024, month, number, 1, tzinfo=UTC)

    async def scenario(client: MemoryAPIClient):
        records = [
            fact("likes a", user_id="ann", session_id="s1", topics=["food"]),
            fact("likes b", user_id="ann", session_id="s2", topics=["food", "drink"]),
            ClientMemoryRecord(text="likes c", user_id="bob", entities=["Lisbon"], memory_type=MemoryTypeEnum.EPISODIC),
        ]
        for number, record in enumerate(records, start=1):
            record.created_at, record.last_accessed = day(number, 1), day(number, 2)
        await client.create_long_term_memory(records)
        results = await client.search_long_term_memory("likes", recency=RecencyConfig(recency_boost=False), **filters)
        assert results.total == len(results.memories)
        return results.memories

    assert "".join(sorted(m.text[-1] for m in run(scenario))) == expected


def test_search_accepts_every_recency_option_and_the_threshold(run):
    async def scenario(client: MemoryAPIClient):
        await client.create_long_term_memory([fact("User likes tea"), fact("User plays the violin")])
        recency = RecencyConfig(
            recency_boost=True, semantic_weight=0.5, recency_weight=0.5, freshness_weight=0.5, novelty_weight=0.5,
            half_life_last_access_days=1.0, half_life_created_days=1.0, server_side_recency=True,
        )  # fmt: skip
        return await client.search_long_term_memory(
            "what does user drink", recency=recency, distance_threshold=0.9, limit=5, offset=0, optimize_query=True,
            namespace=Namespace(eq=client.config.default_namespace),
        )  # fmt: skip

    found = run(scenario)
    assert found.memories[0].text == "User likes tea"
    assert 0.0 <= found.memories[0].dist <= 0.9


def test_search_all_yields_every_memory_once(run):
    async def scenario(client: MemoryAPIClient):
        texts = [f"User owns book number {i}" for i in range(45)]
        acks = await client.bulk_create_long_term_memories([[fact(t) for t in texts]], batch_size=15)
        found = [m.text async for m in client.search_all_long_term_memories("books of user", batch_size=10)]
        return texts, acks, found

    texts, acks, found = run(scenario)
    assert [ack.status for ack in acks] == ["ok"] * 3
    assert sorted(found) == sorted(texts)


def test_promote_working_memories_to_long_term(run, api: Api):
    async def scenario(client: MemoryAPIClient):
        session_id = unique("s")
        records = [MemoryRecord(id=unique("m"), text=t) for t in ("User likes tea", "User likes milk")]
        await client.add_memories_to_working_memory(session_id, records)
        return await client.promote_working_memories_to_long_term(session_id)

    assert run(scenario).status == "ok"
    api.wait_for_memories(2)
    assert sorted(api.texts()) == ["User likes milk", "User likes tea"]


def test_forget_of_this_client_version_is_always_dry(run, api: Api):
    async def scenario(client: MemoryAPIClient):
        old = fact("User likes tea", created_at=datetime.now(UTC) - timedelta(days=90))
        await client.create_long_term_memory([old])
        policy = ForgetPolicy(max_age_days=30)
        return old, await client.forget_long_term_memories(policy, namespace=api.namespace, dry_run=False, limit=10)

    old, report = run(scenario)
    assert (report.scanned, report.deleted, report.deleted_ids) == (1, 1, [old.id])
    assert report.dry_run is True
    assert api.ids() == [old.id]


# -- prompts ---------------------------------------------------------------------------------------------------------


def test_memory_prompt_and_hydrate_memory_prompt(run):
    async def scenario(client: MemoryAPIClient):
        session_id = unique("s")
        await client.append_messages_to_working_memory(session_id, [message("Hello"), message("Hi!", "assistant")])
        record = fact("User drinks green tea", topics=["drinks"])
        await client.create_long_term_memory([record])
        prompt = await client.memory_prompt(
            "What do I drink?", session_id=session_id, context_window_max=5000, long_term_search={"limit": 3}
        )
        hydrated = await client.hydrate_memory_prompt(
            "What do I drink?", topics={"any": ["drinks"]}, created_at={"gte": "2020-01-01T00:00:00Z"}, limit=2
        )
        return record, prompt, hydrated

    record, prompt, hydrated = run(scenario)
    roles = [m["role"] for m in prompt["messages"]]
    assert roles == ["user", "assistant", "system", "user"]
    for found in (prompt, hydrated):
        assert record.id in found["messages"][-2]["content"]["text"]
        assert found["messages"][-1]["content"]["text"] == "What do I drink?"
        assert found["long_term_memories"][0]["id"] == record.id


# -- summary views and tasks -----------------------------------------------------------------------------------------


def test_summary_views_from_creation_to_deletion(run, api: Api):
    async def scenario(client: MemoryAPIClient):
        await client.create_long_term_memory(
            [fact("User likes tea", user_id="ann"), fact("He likes milk", user_id="bob")]
        )
        request = CreateSummaryViewRequest(
            name="by user", source="long_term", group_by=["user_id"], filters={"namespace": api.namespace}
        )
        view = await client.create_summary_view(request)
        assert (await client.get_summary_view(view.id)) == view
        assert view.id in [v.id for v in await client.list_summary_views()]
        partition = await client.run_summary_view_partition(view.id, {"user_id": "ann"})
        task = await client.run_summary_view(view.id, force=True)
        while (seen := await client.get_task(task.id)).status in ("pending", "running"):
            await asyncio.sleep(0.05)
        partitions = await client.list_summary_view_partitions(view.id)
        of_bob = await client.list_summary_view_partitions(view.id, user_id="bob")
        assert (await client.delete_summary_view(view.id)).status == "ok"
        assert await client.get_summary_view(view.id) is None
        assert await client.get_task("nothing") is None
        return partition, seen, partitions, of_bob

    partition, task, partitions, of_bob = run(scenario)
    assert (partition.memory_count, partition.group) == (1, {"user_id": "ann"})
    assert "tea" in partition.summary
    assert task.status == "success"
    assert [p.group["user_id"] for p in partitions] == ["ann", "bob"]
    assert [p.group["user_id"] for p in of_bob] == ["bob"]


# -- tools of language models ----------------------------------------------------------------------------------------


def call(name: str, **arguments: Any) -> dict[str, Any]:
    """A tool call in Anthropic's form."""
    return {"type": "tool_use", "id": unique("call"), "name": name, "input": arguments}


def test_every_tool_of_the_client_works(run, api: Api):
    async def scenario(client: MemoryAPIClient):
        session_id = unique("s")

        async def tool(name: str, **arguments: Any) -> Any:
            outcome = await client.resolve_tool_call(call(name, **arguments), session_id, user_id="u")
            assert outcome["success"], outcome
            return outcome["result"]

        await tool("get_or_create_working_memory")
        await tool("update_working_memory_data", data={"colour": "green"}, merge_strategy="merge")
        await tool("lazily_create_long_term_memory", text="User plays chess", memory_type="semantic")
        memories = [{"text": "User drinks green tea", "memory_type": "semantic", "topics": ["drinks"]}]
        await tool("eagerly_create_long_term_memory", memories=memories)
        found = await tool("search_memory", query="what does user drink", topics=["drinks"], max_results=3)
        memory_id = found["memories"][0]["id"]
        await tool("get_long_term_memory", memory_id=memory_id)
        await tool("edit_long_term_memory", memory_id=memory_id, text="User drinks black tea")
        edited = await tool("search_memory", query="black tea", min_relevance=0.5, user_id="u")
        await tool("delete_long_term_memories", memory_ids=[memory_id])
        await tool("get_current_datetime")
        session = await client.get_working_memory(session_id, user_id="u")
        return found, edited, session

    found, edited, session = run(scenario)
    assert found["memories"][0]["text"] == "User drinks green tea"
    assert found["memories"][0]["relevance_score"] > 0
    assert (found["total_found"], found["has_more"]) == (1, False)
    assert edited["memories"][0]["text"] == "User drinks black tea"
    assert session.data == {"colour": "green"}
    assert [m.text for m in session.memories] == ["User plays chess"]
    api.wait_for_memories(1)
    assert api.texts() == ["User plays chess"]


def test_the_search_tool_pages(run):
    async def scenario(client: MemoryAPIClient):
        await client.create_long_term_memory([fact(f"User owns book number {i}") for i in range(7)])
        pages, offset = [], 0
        while offset is not None:
            page = await client.search_memory_tool("books", max_results=3, offset=offset)
            pages.append(page)
            offset = page["next_offset"]
        return pages

    pages = run(scenario)
    assert [len(p["memories"]) for p in pages] == [3, 3, 1]
    assert [p["has_more"] for p in pages] == [True, True, False]
    assert len({m["id"] for p in pages for m in p["memories"]}) == 7
