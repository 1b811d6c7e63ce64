"""Long-term memory by id over HTTP: create, get, patch, delete."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import httpx
import pytest

from tests.conformance.test_working_memory import STRANGE_NAMES
from tests.support.api import Api
from tests.support.builders import a_memory, a_session, ago, unique
from tests.support.shapes import check_record, problems, refusal

CREATE = "/v1/long-term-memory/"


def path(memory_id: str) -> str:
    return f"/v1/long-term-memory/{quote(memory_id, safe='')}"


def create(http: httpx.Client, *records: object, **query: object) -> httpx.Response:
    return http.post(CREATE, json={"memories": list(records)}, params=query)


# -- create ----------------------------------------------------------------------------------------------------------


def test_row_17_a_created_memory_is_searchable_at_once(api: Api):
    for number in range(5):
        memory = a_memory(f"User has visited city number {number}")
        assert api.create(memory)["status"] == "ok"
        assert memory["id"] in api.ids(memory["text"])


def test_a_memory_comes_back_with_every_field_as_it_was_created(http, namespace):
    memory = a_memory(
        "User likes tea", namespace=namespace, user_id="u", session_id="s", topics=["food"], entities=["Tea Co"],
        pinned=True, access_count=3, event_date="2024-05-06T07:08:09Z", metadata={"a": [1, None, {"b": "c"}]},
        memory_type="episodic", extraction_strategy="manual", extraction_strategy_config={"x": 1},
        created_at="2024-01-02T03:04:05.678901Z", last_accessed="2024-01-03T03:04:05Z", extracted_from=["m1"],
        discrete_memory_extracted="t",
    )  # fmt: skip
    assert create(http, memory).json()["status"] == "ok"
    stored = http.get(path(memory["id"])).json()
    check_record(stored)
    for name, value in memory.items():
        if name not in ("topics", "entities", "metadata"):  # enrichment may have added to these
            assert stored[name] == value, name
    assert "food" in stored["topics"]
    assert "Tea Co" in stored["entities"]
    assert stored["metadata"]["a"] == [1, None, {"b": "c"}]
    assert stored["persisted_at"] is not None


def test_a_record_with_an_id_and_a_text_only_has_the_defaults_of_the_contract(http):
    memory = a_memory(f"User likes {unique('tea')}")
    create(http, memory)
    stored = http.get(path(memory["id"])).json()
    check_record(stored)
    assert (stored["memory_type"], stored["discrete_memory_extracted"]) == ("semantic", "t")
    assert (stored["extraction_strategy"], stored["extraction_strategy_config"]) == ("discrete", {})
    assert (stored["pinned"], stored["access_count"], stored["event_date"]) == (False, 0, None)
    assert (stored["namespace"], stored["user_id"], stored["session_id"]) == (None, None, None)
    assert stored["created_at"] == stored["last_accessed"]
    http.delete("/v1/long-term-memory", params={"memory_ids": memory["id"]})


def test_the_hash_is_always_computed_by_the_server(http, namespace):
    memory = a_memory("User likes tea", namespace=namespace, memory_hash="mine")
    create(http, memory)
    assert len(http.get(path(memory["id"])).json()["memory_hash"]) == 64


def test_an_empty_create_is_ok(http):
    assert create(http).json()["status"] == "ok"


@pytest.mark.parametrize(
    ("record", "loc"),
    [
        ({"text": "x"}, "id"),
        ({"id": "", "text": "x"}, "id"),
        ({"id": None, "text": "x"}, "id"),
        ({"id": 5, "text": "x"}, "id"),
        ({"id": "A" * 256, "text": "x"}, "id"),
        ({"id": "a"}, "text"),
        ({"id": "a", "text": ""}, "text"),
        ({"id": "a", "text": 5}, "text"),
        ({"id": "a", "text": "x", "memory_type": "secret"}, "memory_type"),
        ({"id": "a", "text": "x", "memory_type": "Semantic"}, "memory_type"),
        ({"id": "a", "text": "x", "topics": ["a,b"]}, "topics"),
        ({"id": "a", "text": "x", "entities": ["a,b"]}, "entities"),
        ({"id": "a", "text": "x", "extracted_from": ["a,b"]}, "extracted_from"),
        ({"id": "a", "text": "x", "topics": "a"}, "topics"),
        ({"id": "a", "text": "x", "access_count": -1}, "access_count"),
        ({"id": "a", "text": "x", "event_date": "soon"}, "event_date"),
        ({"id": "a", "text": "x", "pinned": "maybe"}, "pinned"),
        ({"id": "a", "text": "x", "metadata": []}, "metadata"),
        ({"id": "a", "text": "x", "user_id": 5}, "user_id"),
        ({"id": "a", "text": "x", "discrete_memory_extracted": "maybe"}, "discrete_memory_extracted"),
    ],
)
def test_wrong_records_are_422_and_say_where_and_nothing_is_stored(http, namespace, record, loc):
    good = a_memory("fine", namespace=namespace)
    found = [entry["loc"] for entry in problems(create(http, good, record))]
    assert any(where[:4] == ["body", "memories", 1, loc] for where in found), found
    assert http.get(path(good["id"])).status_code == 404


@pytest.mark.parametrize("body", [{}, {"memories": None}, {"memories": {}}, {"memories": ["x"]}, [], "x", 5, True])
def test_wrong_create_bodies_are_422(http, body):
    problems(http.post(CREATE, json=body))


def test_any_extraction_strategy_name_is_accepted(http, namespace):
    for strategy in ("manual", "message", "a strategy of my own"):
        memory = a_memory(f"told by {strategy}", namespace=namespace, extraction_strategy=strategy)
        assert create(http, memory).status_code == 200
        assert http.get(path(memory["id"])).json()["extraction_strategy"] == strategy


def test_a_whitespace_text_is_accepted(http, namespace):
    memory = a_memory(" ", namespace=namespace)
    assert create(http, memory).status_code == 200
    assert http.get(path(memory["id"])).json()["text"] == " "


def test_the_namespace_in_the_query_is_the_default_of_records_without_one(http, namespace):
    without, other = a_memory("one"), a_memory("two", namespace=unique("other"))
    create(http, without, other, namespace=namespace)
    assert http.get(path(without["id"])).json()["namespace"] == namespace
    assert http.get(path(other["id"])).json()["namespace"] == other["namespace"]


@pytest.mark.parametrize(
    "text",
    ["emoji 😀🏳️‍🌈", "עברית مرحبا", "line\nbreak\ttab", "nul\x00inside", '"quotes" \\ {braces} | * @x:[1 2]', "e\u0301",
     "x " * 5_000],
)  # fmt: skip
def test_any_text_round_trips_through_get_and_search(api: Api, text):
    memory = a_memory(text, metadata={"t": text})
    api.create(memory)
    stored = api.http.get(path(memory["id"])).json()
    assert stored["text"] == text
    assert stored["metadata"]["t"] == text
    for mode in ("semantic", "keyword", "hybrid"):
        request = {"text": text, "search_mode": mode, "namespace": {"eq": api.namespace}}
        assert api.http.post("/v1/long-term-memory/search", json=request).status_code == 200


@pytest.mark.parametrize("size", [1, 20, 21, 150])
def test_a_batch_of_any_size_is_stored_completely(api: Api, size):
    records = [a_memory(f"User owns book number {i} about subject {i * 7}") for i in range(size)]
    answer = api.create(*records)
    if "task_id" in answer:
        task = api.wait_for_task(answer["task_id"])
        assert task["status"] == "success", task
    else:
        assert [r["id"] for r in answer["results"]] == [r["id"] for r in records]
        assert {r["status"] for r in answer["results"]} == {"stored"}
    assert api.search(limit=1)["total"] == size


def test_a_batch_that_is_too_large_is_refused_and_not_half_stored(api: Api):
    answer = create(api.http, *[a_memory("x", namespace=api.namespace) for _ in range(1001)])
    assert problems(answer)[0]["loc"] == ["body", "memories"]
    assert api.search()["total"] == 0


# -- deduplication ---------------------------------------------------------------------------------------------------


def test_the_same_id_in_the_same_scope_is_replaced(api: Api):
    memory = a_memory("User likes tea", user_id="u")
    api.create(memory)
    assert api.create({**memory, "text": "User likes coffee"})["results"][0]["status"] == "replaced"
    assert api.texts() == ["User likes coffee"]


def test_the_same_fact_under_another_id_is_refused_and_the_known_id_is_told(api: Api):
    first, second = a_memory("User likes tea", user_id="u"), a_memory("user  likes TEA.", user_id="u", session_id="s2")
    api.create(first)
    answer = api.create(second)["results"][0]
    assert answer == {"id": second["id"], "status": "same", "memory_id": first["id"]}
    assert api.ids() == [first["id"]]


def test_the_same_fact_of_another_user_or_another_date_or_type_is_another_fact(api: Api):
    api.create(
        a_memory("User ran a marathon", user_id="a"),
        a_memory("User ran a marathon", user_id="b"),
        a_memory("User ran a marathon", user_id="a", event_date="2024-05-06"),
        a_memory("User ran a marathon", user_id="a", event_date="2025-05-06"),
        a_memory("User ran a marathon", user_id="a", memory_type="episodic"),
    )
    assert api.search()["total"] == 5


def test_without_deduplication_every_record_is_kept(api: Api):
    api.create(a_memory("User likes tea"), a_memory("User likes tea"), deduplicate=False)
    assert api.search()["total"] == 2


def test_row_37_messages_are_never_folded(api: Api):
    api.create(a_memory("yes", memory_type="message"), a_memory("yes", memory_type="message"))
    assert api.search()["total"] == 2


def test_row_15_pinned_dates_metadata_and_ids_survive_a_second_copy(api: Api):
    first = a_memory("User likes tea", pinned=True, metadata={"why": "said so"}, event_date="2024-05-06T00:00:00Z")
    api.create(first)
    api.create(a_memory("User likes tea", event_date="2024-05-06T00:00:00Z"))
    stored = api.http.get(path(first["id"])).json()
    assert (stored["pinned"], stored["event_date"]) == (True, "2024-05-06T00:00:00Z")
    assert stored["metadata"]["why"] == "said so"


def test_row_16_a_new_copy_with_a_known_id_never_loses_the_fact(api: Api):
    one, two = a_memory("User likes tea"), a_memory("User likes coffee")
    api.create(one, two)
    # Under the id of the first comes the fact of the second: neither may take both away.
    api.create({**one, "text": "User likes coffee"})
    assert "User likes coffee" in api.texts()
    assert len(api.texts()) >= 1
    assert api.http.get(path(two["id"])).status_code == 200


def test_a_deleted_fact_can_be_learnt_again(api: Api):
    first, again = a_memory("User likes tea"), a_memory("User likes tea")
    api.create(first)
    api.http.delete("/v1/long-term-memory", params={"memory_ids": first["id"]})
    api.create(again)
    assert api.ids() == [again["id"]]


def test_a_fact_that_was_edited_away_can_be_learnt_again(api: Api):
    first, again = a_memory("User likes tea"), a_memory("User likes tea")
    api.create(first)
    api.http.patch(path(first["id"]), json={"text": "User hates tea"})
    api.create(again)
    assert sorted(api.texts()) == ["User hates tea", "User likes tea"]


def test_concurrent_creators_of_the_same_fact_end_with_one_record(api: Api):
    def create_one(_: int) -> str:
        return api.create(a_memory("User likes tea", user_id="u"))["results"][0]["memory_id"]

    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(create_one, range(8)))
    assert len(ids) == 1
    assert api.ids() == list(ids)


# -- scope -----------------------------------------------------------------------------------------------------------


def test_row_14_the_same_id_in_two_tenants_is_two_records(http):
    memory_id, one, two = unique("mem"), unique("one"), unique("two")
    create(http, {"id": memory_id, "text": "of one", "namespace": one, "user_id": "u"})
    create(http, {"id": memory_id, "text": "of two", "namespace": two, "user_id": "u"})
    for namespace, text in ((one, "of one"), (two, "of two")):
        assert http.get(path(memory_id), params={"namespace": namespace}).json()["text"] == text
    changed = http.patch(path(memory_id), params={"namespace": one}, json={"text": "changed"})
    assert changed.json()["namespace"] == one
    assert http.get(path(memory_id), params={"namespace": two}).json()["text"] == "of two"
    gone = http.delete("/v1/long-term-memory", params={"memory_ids": memory_id, "namespace": one})
    assert gone.json()["status"] == "ok, deleted 1 memories"
    assert http.get(path(memory_id)).json()["text"] == "of two"


def test_row_14_an_id_that_several_tenants_have_is_not_guessed(http):
    memory_id = unique("mem")
    for user in ("a", "b"):
        create(http, {"id": memory_id, "text": f"of {user}", "namespace": unique("ns"), "user_id": user})
    refusal(http.get(path(memory_id)), 409)
    refusal(http.patch(path(memory_id), json={"pinned": True}), 409)
    refusal(http.delete("/v1/long-term-memory", params={"memory_ids": memory_id}), 409)
    for user in ("a", "b"):
        assert http.get(path(memory_id), params={"user_id": user}).json()["text"] == f"of {user}"


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_row_13_any_memory_id_can_be_created_got_patched_found_and_deleted(api: Api, name):
    scope = {"namespace": api.namespace}
    api.create({"id": name, "text": "User likes tea", "user_id": name, "session_id": name})
    stored = api.http.get(path(name), params=scope)
    assert stored.status_code == 200, stored.text
    assert (stored.json()["id"], stored.json()["user_id"], stored.json()["session_id"]) == (name, name, name)
    assert api.http.patch(path(name), params=scope, json={"pinned": True}).json()["pinned"] is True
    assert api.ids(user_id={"eq": name}, session_id={"eq": name}) == [name]
    gone = api.http.delete("/v1/long-term-memory", params={**scope, "memory_ids": name})
    assert gone.json()["status"] == "ok, deleted 1 memories"
    assert api.http.get(path(name), params=scope).status_code == 404


# -- patch -----------------------------------------------------------------------------------------------------------


def test_patch_changes_what_is_given_and_re_embeds(api: Api):
    memory = a_memory("User likes tea", user_id="u", topics=["drinks"])
    api.create(memory, a_memory("User plays the violin", user_id="u"))
    before = api.http.get(path(memory["id"])).json()
    answer = api.http.patch(path(memory["id"]), json={"text": "User is afraid of spiders"})
    assert answer.status_code == 200
    check_record(answer.json())
    assert set(answer.json()) == set(before)
    assert answer.json()["updated_at"] > before["updated_at"]
    assert answer.json()["created_at"] == before["created_at"]
    assert answer.json()["memory_hash"] != before["memory_hash"]
    assert "drinks" in answer.json()["topics"]
    assert api.memories("arachnophobia", recency_boost=False)[0]["id"] == memory["id"]


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"topics": ["a", "b"]}, {"topics": ["a", "b"]}),
        ({"entities": ["Lisbon"]}, {"entities": ["Lisbon"]}),
        ({"topics": []}, {"topics": []}),
        ({"memory_type": "episodic"}, {"memory_type": "episodic"}),
        ({"event_date": "2024-05-06"}, {"event_date": "2024-05-06T00:00:00Z"}),
        ({"pinned": True}, {"pinned": True}),
        ({"pinned": "true"}, {"pinned": True}),
        ({"pinned": False}, {"pinned": False}),
        ({"session_id": "other"}, {"session_id": "other"}),
        ({"user_id": "other"}, {"user_id": "other"}),
        ({"text": "new", "unknown": 5}, {"text": "new"}),
        ({"text": "new", "topics": None}, {"text": "new"}),
    ],
)
def test_each_field_can_be_patched(api: Api, changes, shown):
    memory = a_memory("q", user_id="u")
    api.create(memory)
    answer = api.http.patch(path(memory["id"]), json=changes)
    assert answer.status_code == 200, answer.text
    stored = api.http.get(path(memory["id"])).json()
    for name, value in shown.items():
        assert answer.json()[name] == value
        if name not in ("topics", "entities"):  # enrichment may add to them
            assert stored[name] == value


def test_patch_can_move_a_memory_to_another_scope_and_leaves_none_behind(api: Api):
    memory, target = a_memory("User likes tea", user_id="u"), unique("target")
    api.create(memory)
    before = api.http.get(path(memory["id"])).json()
    moved = api.http.patch(path(memory["id"]), json={"namespace": target, "user_id": "v"}).json()
    assert (moved["namespace"], moved["user_id"]) == (target, "v")
    assert moved["memory_hash"] != before["memory_hash"]
    assert api.search()["total"] == 0
    assert api.http.get(path(memory["id"])).json()["namespace"] == target


def test_patch_refuses_to_move_a_memory_onto_another(api: Api):
    memory_id = unique("mem")
    for user in ("u", "v"):
        api.create({"id": memory_id, "text": f"of {user}", "user_id": user})
    refusal(api.http.patch(path(memory_id), params={"user_id": "u"}, json={"user_id": "v"}), 409)
    assert sorted(api.texts()) == ["of u", "of v"]


@pytest.mark.parametrize("body", [{}, {"unknown": 1}, {"text": None}])
def test_a_patch_without_any_known_field_is_400(api: Api, body):
    memory = a_memory("x")
    api.create(memory)
    assert refusal(api.http.patch(path(memory["id"]), json=body), 400) == "No fields provided for update"


@pytest.mark.parametrize(
    "body",
    [{"text": ""}, {"topics": ["a,b"]}, {"memory_type": "x"}, {"pinned": "maybe"}, {"event_date": "soon"}, {"text": 5},
     [], "x"],
)  # fmt: skip
def test_row_33_wrong_changes_are_422_and_change_nothing(api: Api, body):
    memory = a_memory("unchanged")
    api.create(memory)
    problems(api.http.patch(path(memory["id"]), json=body))
    assert api.http.get(path(memory["id"])).json()["text"] == "unchanged"


def test_row_33_the_hash_follows_the_scope_and_the_text(api: Api):
    memory = a_memory("User likes tea", user_id="u")
    api.create(memory)
    hashes = [api.http.get(path(memory["id"])).json()["memory_hash"]]
    for change in ({"session_id": "s"}, {"user_id": "v"}, {"memory_type": "episodic"}, {"text": "User likes milk"}):
        hashes.append(api.http.patch(path(memory["id"]), json=change).json()["memory_hash"])
    assert len(set(hashes)) == 5


def test_concurrent_patches_of_different_fields_are_all_kept(api: Api):
    memory = a_memory("x", user_id="u")
    api.create(memory)
    changes = [{"pinned": True}, {"session_id": "s"}, {"event_date": "2024-05-06"}, {"memory_type": "episodic"}]
    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(lambda c: api.http.patch(path(memory["id"]), json=c).status_code, changes))
    assert statuses == [200] * 4
    stored = api.http.get(path(memory["id"])).json()
    assert (stored["pinned"], stored["session_id"], stored["memory_type"]) == (True, "s", "episodic")
    assert stored["event_date"] == "2024-05-06T00:00:00Z"


@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_an_unknown_memory_is_404_with_a_detail(http, method):
    memory_id = unique("nothing")
    answer = http.request(method, path(memory_id), json={"pinned": True} if method == "PATCH" else None)
    assert refusal(answer, 404) == f"Memory with ID {memory_id} not found"


# -- delete ----------------------------------------------------------------------------------------------------------


def test_delete_counts_what_was_there_and_ignores_the_rest(api: Api):
    memories = [a_memory(f"number {i}") for i in range(3)]
    api.create(*memories)
    ids = [m["id"] for m in memories]
    wanted = {"memory_ids": [ids[0], ids[1], ids[1], unique("nothing")]}
    assert api.http.delete("/v1/long-term-memory", params=wanted).json() == {"status": "ok, deleted 2 memories"}
    assert api.http.delete("/v1/long-term-memory", params=wanted).json() == {"status": "ok, deleted 0 memories"}
    assert api.ids() == [ids[2]]


def test_delete_without_ids_deletes_nothing(api: Api):
    api.create("x")
    for query in ({}, {"namespace": api.namespace}, {"memory_ids": ""}):
        answer = api.http.delete("/v1/long-term-memory", params=query)
        assert answer.json() == {"status": "ok, deleted 0 memories"}
    assert api.search()["total"] == 1


def test_row_23_structured_memories_are_not_extracted_a_second_time(api: Api):
    session = (
        a_session()
        .of(api.namespace, "u")
        .with_memories(
            a_memory("User lives in Lisbon and works as a nurse", memory_type="semantic", discrete_memory_extracted="f")
        )
    )
    session.put(api.http)
    api.create(a_memory("User likes hiking and cheese", discrete_memory_extracted="f", user_id="u"))
    api.wait_until_promoted(session.session_id, **session.scope)
    assert sorted(api.texts()) == ["User likes hiking and cheese", "User lives in Lisbon and works as a nurse"]
    assert {m["user_id"] for m in api.memories()} == {"u"}


def test_a_memory_created_long_ago_keeps_its_times(api: Api):
    created, accessed = ago(days=400), ago(days=40)
    memory = a_memory("old", created_at=created, last_accessed=accessed)
    api.create(memory)
    stored = api.http.get(path(memory["id"])).json()
    assert (stored["created_at"], stored["last_accessed"]) == (created, accessed)
