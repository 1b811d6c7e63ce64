"""From a PUT to searchable memories, through the real broker, worker and models."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.api import Api
from tests.support.builders import a_memory, a_message, a_session, ago, unique
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif("AGENT_MEMORY_BASE_URL" in os.environ, reason="needs the short debounce of its own stack"),
]

LISBON = "I work as a nurse in Lisbon."
PEANUTS = "I'm allergic to peanuts."
VIOLIN = "I play the violin."


def settle(api: Api) -> None:
    """Wait until a later session of the tenant is through: what was to happen before has happened."""
    probe = a_session().of(api.namespace, unique("probe")).with_memories("Probe is a probe")
    probe.put(api.http)
    api.wait_until_promoted(probe.session_id, **probe.scope)


def test_what_was_said_becomes_searchable_with_its_source_entities_and_topics(api: Api):
    session = a_session().of(api.namespace, "u").with_messages(LISBON, a_message("Nice!", "assistant"), "How are you?")
    session.put(api.http)
    memory = api.wait_for_memories(1)[0]
    assert "nurse" in memory["text"]
    assert memory["text"].startswith("User")
    assert "Lisbon" in memory["entities"]
    assert memory["topics"]
    assert memory["extracted_from"] == [session.body["messages"][0]["id"]]
    assert (memory["user_id"], memory["session_id"]) == ("u", session.session_id)
    assert memory["discrete_memory_extracted"] == "t"
    assert memory["persisted_at"]
    assert api.memories("what is User's profession?")[0]["id"] == memory["id"]
    api.wait_until_promoted(session.session_id, **session.scope)
    assert api.search()["total"] == 1, "small talk and questions are not memories"


def test_structured_memories_of_a_session_become_long_term_memories(api: Api):
    memory = a_memory("User likes tea", memory_type="semantic", topics=["drinks"], metadata={"k": 1})
    session = a_session().of(api.namespace, "u").with_memories(memory)
    session.put(api.http)
    found = api.wait_for_memories(1)[0]
    assert found["id"] == memory["id"]
    assert "drinks" in found["topics"]
    assert found["metadata"]["k"] == 1
    promoted = api.wait_until_promoted(session.session_id, **session.scope)
    assert promoted["memories"][0]["persisted_at"]
    assert promoted["memories"][0]["text"] == "User likes tea"


def test_a_second_put_of_the_same_messages_adds_nothing(api: Api):
    session = a_session().of(api.namespace, "u").with_messages(LISBON, PEANUTS).with_memories("User likes tea")
    session.put(api.http)
    api.wait_until_promoted(session.session_id, **session.scope)
    known = sorted(api.ids())
    assert len(known) >= 3
    answer = session.put(api.http)
    assert all(m["discrete_memory_extracted"] == "t" for m in answer["messages"]), "the server remembers"
    settle(api)
    assert sorted(set(api.ids()) - set(api.ids(user_id={"startswith": "probe"}))) == known


def test_messages_without_ids_put_twice_are_extracted_once(api: Api):
    session = a_session().of(api.namespace, "u").having(messages=[{"role": "user", "content": LISBON}])
    first = session.put(api.http)
    second = session.put(api.http)
    assert second["messages"][0]["id"] == first["messages"][0]["id"]
    assert second["messages"][0]["created_at"] == first["messages"][0]["created_at"]
    api.wait_until_promoted(session.session_id, **session.scope)
    third = session.having(messages=[*session.body["messages"], {"role": "user", "content": VIOLIN}]).put(api.http)
    assert third["messages"][0]["discrete_memory_extracted"] == "t"
    api.wait_until_promoted(session.session_id, **session.scope)
    texts = api.texts()
    assert len(texts) == 2
    assert sum("nurse" in t for t in texts) == sum("violin" in t for t in texts) == 1


def test_row_25_extraction_does_not_trust_flags_alone(api: Api):
    """A client that puts a copy read before extraction finished, flags still "f", causes no second extraction."""
    session = a_session().of(api.namespace, "u").with_messages(LISBON)
    stale = session.put(api.http)
    assert stale["messages"][0]["discrete_memory_extracted"] == "f"
    api.wait_until_promoted(session.session_id, **session.scope)
    known = api.ids()
    session.having(messages=stale["messages"]).put(api.http)
    settle(api)
    assert sorted(set(api.ids()) - set(api.ids(user_id={"startswith": "probe"}))) == sorted(known)


def test_a_message_that_changed_is_extracted_anew(api: Api):
    message = a_message(LISBON)
    session = a_session().of(api.namespace, "u").with_messages(message)
    session.put(api.http)
    api.wait_until_promoted(session.session_id, **session.scope)
    session.having(messages=[{**message, "content": VIOLIN}]).put(api.http)
    wait_until(lambda: any("violin" in t for t in api.texts()), 20, "the new words are extracted")


def test_row_24_a_message_that_fell_out_of_the_session_is_still_extracted(api: Api):
    session = a_session().of(api.namespace, "u").with_messages(LISBON)
    session.put(api.http)
    session.having(messages=[a_message(VIOLIN)]).put(api.http)
    texts = [m["text"] for m in api.wait_for_memories(2)]
    assert any("nurse" in t for t in texts)
    assert any("violin" in t for t in texts)


def test_a_busy_session_is_extracted_though_it_is_never_quiet_for_long(api: Api):
    """The debounce has a trailing edge: what arrives during a run is extracted by the next one."""
    session = a_session().of(api.namespace, "u")
    facts = ["I work as a nurse.", "I play the violin.", "I live in Lisbon.", "I like green tea.", "I own a boat."]
    for fact in facts:
        session = session.with_messages(fact)
        session.put(api.http)
    api.wait_until_promoted(session.session_id, **session.scope)
    assert len(api.texts()) == len(facts), api.texts()


def test_delete_drops_what_awaited_extraction(api: Api):
    dropped = a_session().of(api.namespace, "u").with_messages(LISBON)
    kept = a_session().of(api.namespace, "u").with_messages(VIOLIN)
    dropped.put(api.http)
    api.http.delete(f"/v1/working-memory/{dropped.session_id}", params=dropped.scope)
    kept.put(api.http)
    api.wait_until_promoted(kept.session_id, **kept.scope)
    settle(api)
    assert not any("nurse" in t for t in api.texts())


def test_delete_leaves_what_was_promoted(api: Api):
    session = a_session().of(api.namespace, "u").with_messages(LISBON)
    session.put(api.http)
    api.wait_until_promoted(session.session_id, **session.scope)
    api.http.delete(f"/v1/working-memory/{session.session_id}", params=session.scope)
    assert api.search()["total"] == 1


OTHERS = {LISBON: "User has two cats", VIOLIN: "User drives an old van"}


def test_row_24_two_tenants_with_the_same_session_and_message_ids_are_both_extracted(http):
    session_id, message_id, memory_id = unique("s"), unique("m"), unique("mem")
    tenants = {Api(http, unique("ns")): fact for fact in OTHERS}
    for api, fact in tenants.items():
        message = a_message(fact, id=message_id)
        memory = a_memory(OTHERS[fact], id=memory_id, memory_type="semantic")
        a_session(session_id).of(api.namespace, "u").with_messages(message).with_memories(memory).put(http)
    for api, fact in tenants.items():
        found = api.wait_for_memories(2)
        assert {m["namespace"] for m in found} == {api.namespace}
        assert OTHERS[fact] in [m["text"] for m in found]
        assert len(found) == 2


def test_the_same_fact_in_two_sessions_of_one_user_is_one_memory(api: Api):
    for _ in range(2):
        session = a_session().of(api.namespace, "u").with_messages(LISBON)
        session.put(api.http)
        api.wait_until_promoted(session.session_id, **session.scope)
    assert len(api.texts()) == 1


def test_the_same_fact_of_two_users_is_two_memories(api: Api):
    for user in ("ann", "bob"):
        session = a_session().of(api.namespace, user).with_messages(LISBON)
        session.put(api.http)
        api.wait_until_promoted(session.session_id, **session.scope)
    assert {m["user_id"] for m in api.memories()} == {"ann", "bob"}
    assert api.search()["total"] == 2


def test_relative_dates_are_counted_from_the_message(api: Api):
    message = a_message("I ran a marathon yesterday.", created_at="2024-05-07T10:00:00Z")
    a_session().of(api.namespace, "u").with_messages(message).put(api.http)
    memory = api.wait_for_memories(1)[0]
    assert "yesterday" not in memory["text"]
    assert memory["event_date"].startswith("2024-05-06")


def test_a_large_create_becomes_a_task_that_ends_in_success(api: Api):
    answer = api.create(*[a_memory(f"User owns book number {i} about topic {i * 3}") for i in range(60)])
    assert answer["status"] == "ok"
    task = api.wait_for_task(answer["task_id"])
    assert task["status"] == "success"
    assert task["type"] == "create_memories"
    assert task["started_at"]
    assert task["completed_at"]
    assert api.search(limit=1)["total"] == 60


def test_a_large_create_folds_copies_within_itself_and_with_what_is_known(api: Api):
    api.create("User likes tea")
    texts = [f"User owns book number {i % 15}" for i in range(30)]
    answer = api.create(*[a_memory(t) for t in texts], "User likes tea")
    assert api.wait_for_task(answer["task_id"])["status"] == "success"
    assert api.search(limit=1)["total"] == 16


def test_created_memories_are_enriched_in_the_background(api: Api):
    memory = a_memory("User met Marie Curie in Paris", topics=["physics"])
    api.create(memory)
    path = f"/v1/long-term-memory/{memory['id']}"
    wait_until(lambda: "Paris" in api.http.get(path).json()["entities"], 20, "entities are added")
    stored = api.http.get(path).json()
    assert stored["topics"][0] == "physics"
    assert api.ids(entities={"any": ["paris"]}) == [memory["id"]]


def test_an_edit_is_not_undone_by_enrichment(api: Api):
    memory = a_memory("User met Marie Curie in Paris")
    api.create(memory)
    path = f"/v1/long-term-memory/{memory['id']}"
    api.http.patch(path, json={"text": "User met Ada Lovelace in London", "pinned": True})
    settle(api)
    stored = api.http.get(path).json()
    assert (stored["text"], stored["pinned"]) == ("User met Ada Lovelace in London", True)
    assert "Paris" not in stored["entities"]


def test_row_20_background_work_never_overwrites_a_concurrent_put(api: Api):
    session = a_session().of(api.namespace, "u")
    for number in range(30):
        session = session.with_messages(f"I own boat number {number}.")
        session.put(api.http)
        stored = api.session(session.session_id, **session.scope)
        assert len(stored["messages"]) == number + 1
    final = api.wait_until_promoted(session.session_id, 60, **session.scope)
    assert [m["content"] for m in final["messages"]] == [f"I own boat number {n}." for n in range(30)]


def test_eight_concurrent_sessions_with_the_same_fact_end_with_one_memory(api: Api):
    sessions = [
        a_session().of(api.namespace, "u").with_memories("User likes tea").with_messages(LISBON) for _ in range(8)
    ]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda s: s.put(api.http), sessions))
    for session in sessions:
        api.wait_until_promoted(session.session_id, 60, **session.scope)
    assert len(api.texts()) == 2, api.texts()


def test_fifty_concurrent_writers_append_a_thousand_messages_and_none_is_lost(api: Api):
    session_id = unique("s")
    path = f"/v1/working-memory/{session_id}/messages"
    created = ago(minutes=1)

    def write(writer: int) -> None:
        for number in range(20):
            # "f" would start a thousand extractions: this test is about the session.
            message = a_message(f"{writer}:{number}", created_at=created, discrete_memory_extracted="t")
            body = {"namespace": api.namespace, "user_id": "u", "messages": [message]}
            answer = api.http.post(path, json=body)
            assert answer.status_code == 200, answer.text

    with ThreadPoolExecutor(50) as pool:
        list(pool.map(write, range(50)))
    messages = api.session(session_id, namespace=api.namespace, user_id="u")["messages"]
    said = [m["content"].split(":") for m in messages]
    assert len(said) == 1000
    for writer in range(50):
        assert [int(n) for w, n in said if int(w) == writer] == list(range(20))


def test_appended_messages_are_extracted(api: Api):
    session_id = unique("s")
    for fact in (LISBON, VIOLIN):
        body = {"namespace": api.namespace, "user_id": "u", "messages": [a_message(fact)]}
        api.http.post(f"/v1/working-memory/{session_id}/messages", json=body)
    api.wait_for_memories(2)
    api.wait_until_promoted(session_id, namespace=api.namespace, user_id="u")
    assert len(api.texts()) == 2
