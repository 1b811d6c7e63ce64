"""Compaction over HTTP (contract 3.11)."""

from __future__ import annotations

from tests.support.api import Api
from tests.support.builders import a_memory, ago, unique


def compact(api: Api, **query: object) -> str:
    answer = api.http.post("/v1/long-term-memory/compact", params={"namespace": api.namespace, **query})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["status"])


def test_copies_of_a_fact_are_folded_into_the_one_used_last(api: Api):
    copies = [a_memory("User likes tea", last_accessed=ago(days=d)) for d in (3, 1, 2)]
    api.create(*copies, a_memory("User likes milk"), deduplicate=False)
    assert compact(api) == "ok, 2 memories remaining after compaction"
    assert sorted(api.texts()) == ["User likes milk", "User likes tea"]
    assert copies[1]["id"] in api.ids()
    assert compact(api) == "ok, 2 memories remaining after compaction"


def test_pinned_memories_are_never_folded_away(api: Api):
    pinned = [a_memory("User likes tea", pinned=True, last_accessed=ago(days=d)) for d in (30, 20)]
    api.create(*pinned, a_memory("User likes tea"), deduplicate=False)
    compact(api)
    assert sorted(api.ids()) == sorted(m["id"] for m in pinned)


def test_facts_of_other_users_dates_types_and_messages_are_not_copies(api: Api):
    text = "User ran a marathon"
    api.create(
        a_memory(text, user_id="a"), a_memory(text, user_id="b"), a_memory(text),
        a_memory(text, event_date="2024-05-06"), a_memory(text, memory_type="episodic"),
        a_memory(text, memory_type="message"), a_memory(text, memory_type="message"), deduplicate=False,
    )  # fmt: skip
    assert compact(api) == "ok, 7 memories remaining after compaction"


def test_the_scope_of_a_compaction_is_exact(api: Api):
    other = Api(api.http, unique("other"))
    for target in (api, other):
        target.create(*[a_memory("User likes tea", user_id=u) for u in ("ann", "ann", "Ann", "Ann")], deduplicate=False)
    assert compact(api, user_id="ann") == "ok, 1 memories remaining after compaction"
    assert api.search()["total"] == 3
    assert other.search()["total"] == 4


def test_a_compacted_fact_stays_known_and_can_be_forgotten_and_learnt_again(api: Api):
    api.create(a_memory("User likes tea"), a_memory("User likes tea"), deduplicate=False)
    compact(api)
    left = api.ids()
    assert api.create(a_memory("User likes tea"))["results"][0]["memory_id"] == left[0]
    api.http.delete("/v1/long-term-memory", params={"memory_ids": left})
    assert api.create(a_memory("User likes tea"))["results"][0]["status"] == "stored"


def test_more_than_a_scan_page_is_folded(api: Api):
    answer = api.create(*[a_memory(f"User likes tea {i % 3}") for i in range(600)], deduplicate=False)
    assert api.wait_for_task(answer["task_id"])["status"] == "success"
    assert compact(api) == "ok, 3 memories remaining after compaction"


def test_an_empty_scope_is_compacted_to_nothing(api: Api):
    assert compact(api) == "ok, 0 memories remaining after compaction"
