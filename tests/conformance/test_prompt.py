"""Hydration over HTTP (contract 4)."""

from __future__ import annotations

import pytest

from tests.support.api import Api
from tests.support.builders import Json, a_memory, a_message, a_session, unique
from tests.support.shapes import check_hit, problems, refusal

PROMPT = "/v1/memory/prompt"


def prompt(api: Api, **body: object) -> Json:
    answer = api.http.post(PROMPT, json={"query": "What does User drink?", **body})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert set(found) == {"messages", "long_term_memories"}
    for message in found["messages"]:
        assert set(message) == {"role", "content"}
        assert set(message["content"]) == {"type", "text", "annotations", "_meta"}
        assert message["content"]["type"] == "text"
        assert message["content"]["annotations"] is message["content"]["_meta"] is None
    for hit in found["long_term_memories"] or []:
        check_hit(hit)
    return found


def said(found: Json) -> list[tuple[str, str]]:
    return [(m["role"], m["content"]["text"]) for m in found["messages"]]


@pytest.fixture
def session(api: Api) -> Json:
    """A stored session with a summary and messages of several roles."""
    builder = (
        a_session()
        .of(api.namespace, "u")
        .with_messages(
            a_message("one"), a_message("two", "assistant"), a_message("three", "tool"), a_message("four", "system")
        )
        .having(context="They talked about tea.")
    )
    builder.put(api.http)
    return {"session_id": builder.session_id, **builder.scope}


def test_the_summary_comes_first_then_the_messages_then_the_query(api: Api, session):
    found = prompt(api, session=session)
    (role, summary), *rest = said(found)
    assert role == "system"
    assert summary.startswith("## ")
    assert summary.endswith("\nThey talked about tea.")
    assert rest == [
        ("user", "one"), ("assistant", "two"), ("assistant", "three"), ("assistant", "four"),
        ("user", "What does User drink?"),
    ]  # fmt: skip
    assert found["long_term_memories"] is None


def test_memories_come_before_the_query_with_their_ids(api: Api, session):
    memory = a_memory("User drinks green tea", user_id="u")
    api.create(memory)
    found = prompt(api, session=session, long_term_search={"namespace": {"eq": api.namespace}})
    role, text = said(found)[-2]
    assert role == "system"
    assert f"- User drinks green tea (ID: {memory['id']})" in text
    assert text.startswith("## ")
    assert said(found)[-1] == ("user", "What does User drink?")
    assert [m["id"] for m in found["long_term_memories"]] == [memory["id"]]


def test_no_hits_are_said_and_memories_are_null(api: Api):
    found = prompt(api, long_term_search={"namespace": {"eq": api.namespace}})
    assert found["long_term_memories"] is None
    assert len(found["messages"]) == 2
    assert found["messages"][0]["role"] == "system"
    assert "No relevant" in found["messages"][0]["content"]["text"]


@pytest.mark.parametrize("body", [{}, {"session": None}, {"long_term_search": None}, {"long_term_search": False}])
def test_neither_session_nor_search_is_400(http, body):
    refusal(http.post(PROMPT, json={"query": "q", **body}), 400)


def test_an_unknown_session_counts_as_empty_and_is_not_created(api: Api):
    session_id = unique("nobody")
    found = prompt(api, session={"session_id": session_id, "namespace": api.namespace})
    assert said(found) == [("user", "What does User drink?")]
    assert api.http.get(f"/v1/working-memory/{session_id}").status_code == 404


def test_an_empty_query_is_allowed(api: Api, session):
    assert said(prompt(api, query="", session=session))[-1] == ("user", "")


@pytest.mark.parametrize("window", [{"context_window_max": 1}, {"context_window_max": "1"}])
def test_messages_are_cut_to_the_window_but_the_last_stays(api: Api, session, window):
    found = said(prompt(api, session={**session, **window}))
    assert [text for _role, text in found[-2:]] == ["four", "What does User drink?"]


def test_a_prompt_with_everything_in_it_stays_within_the_window(api: Api):
    session = (
        a_session()
        .of(api.namespace, "u")
        .with_messages(*(f"Message {i} tells of the day and the weather in some detail." for i in range(40)))
        .having(context=" ".join(f"In year {1950 + i} they moved to town number {i}." for i in range(40)))
    )
    session.put(api.http)
    api.create(*(a_memory(f"User drinks tea number {i} with milk and sugar", user_id="u") for i in range(20)))
    body = {"session_id": session.session_id, **session.scope, "context_window_max": 600}
    search = {"namespace": {"eq": api.namespace}, "limit": 20}
    found = prompt(api, session=body, long_term_search=search)
    parts = said(found)
    assert sum(len(text.split()) for _role, text in parts) < 600, "a word is a token at least"
    summary, memories = parts[0][1], parts[-2][1]
    assert "they moved to town" in summary
    assert parts[1:-2][-1] == ("user", "Message 39 tells of the day and the weather in some detail.")
    shown = found["long_term_memories"]
    assert 0 < len(shown) < 20
    everything = prompt(api, session={**body, "context_window_max": None}, long_term_search=search)
    assert [m["id"] for m in shown] == [m["id"] for m in everything["long_term_memories"]][: len(shown)]
    assert memories.count("(ID: ") == len(shown)


def test_any_model_name_is_accepted(api: Api, session):
    assert len(said(prompt(api, session={**session, "model_name": "gpt-5"}))) == 6


def test_the_text_of_the_search_is_replaced_by_the_query(api: Api):
    api.create("User drinks green tea", "User plays the violin")
    found = prompt(api, long_term_search={"text": "violin", "namespace": {"eq": api.namespace}, "limit": 1})
    assert found["long_term_memories"][0]["text"] == "User drinks green tea"


def test_the_user_of_the_session_limits_the_search_unless_a_filter_names_one(api: Api, session):
    api.create(a_memory("User drinks tea", user_id="u"), a_memory("User drinks milk", user_id="v"))
    search = {"namespace": {"eq": api.namespace}}
    mine = prompt(api, session=session, long_term_search=search)["long_term_memories"]
    assert [m["text"] for m in mine] == ["User drinks tea"]
    named = prompt(api, session=session, long_term_search={**search, "user_id": {"eq": "v"}})["long_term_memories"]
    assert [m["text"] for m in named] == ["User drinks milk"]


def test_row_19_a_bare_true_searches_with_the_query_in_the_sessions_scope(api: Api, session):
    other = Api(api.http, unique("other"))
    other.create(a_memory("User drinks cocoa", user_id="u"))
    api.create(
        *[a_memory(f"User owns the book number {i}", user_id="u") for i in range(18)],
        a_memory("User drinks milk", user_id="v"),
        a_memory("User drinks juice", user_id="u", session_id=session["session_id"]),
    )
    api.create(a_memory("User drinks green tea", user_id="u"), a_memory("User has a dog", user_id="u"))
    found = prompt(api, session=session, long_term_search=True)["long_term_memories"]
    assert found[0]["text"] == "User drinks green tea"
    assert {(m["namespace"], m["user_id"]) for m in found} == {(api.namespace, "u")}
    assert session["session_id"] not in {m["session_id"] for m in found}
    assert len(found) == 20


def test_a_distance_threshold_outside_semantic_mode_is_400(http):
    body = {"query": "q", "long_term_search": {"search_mode": "keyword", "distance_threshold": 0.5}}
    refusal(http.post(PROMPT, json=body), 400)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, ["body", "query"]),
        ({"query": 5}, ["body", "query"]),
        ({"query": "q", "session": {}}, ["body", "session", "session_id"]),
        ({"query": "q", "session": {"session_id": ""}}, ["body", "session", "session_id"]),
        ({"query": "q", "session": "s"}, ["body", "session"]),
        (
            {"query": "q", "session": {"session_id": "s", "context_window_max": "x"}},
            ["body", "session", "context_window_max"],
        ),
        ({"query": "q", "long_term_search": "yes"}, ["body", "long_term_search"]),
        ({"query": "q", "long_term_search": {"limit": 1000}}, ["body", "long_term_search", "limit"]),
        ({"query": "q", "long_term_search": {"userid": {"eq": "x"}}}, ["body", "long_term_search", "userid"]),
        ({"query": "q", "long_term_search": {"user_id": "x"}}, ["body", "long_term_search", "user_id"]),
    ],
)
def test_wrong_bodies_are_422_and_say_where(http, body, where):
    assert problems(http.post(PROMPT, json=body))[0]["loc"] == where


def test_hits_of_a_prompt_are_of_its_scope_only(api: Api):
    other = Api(api.http, unique("other"))
    other.create(a_memory("User drinks cocoa", user_id="u"))
    found = prompt(api, session={"session_id": "s", "namespace": api.namespace, "user_id": "u"}, long_term_search=True)
    assert found["long_term_memories"] is None
