"""Searching over HTTP: modes, scores, recency, pages, refusals. Filters have a file of their own."""

from __future__ import annotations

import pytest

from tests.support.api import Api
from tests.support.builders import a_memory, a_message, a_session, ago
from tests.support.shapes import check_results, problems, refusal
from tests.support.waiting import wait_until

SEARCH = "/v1/long-term-memory/search"
MODES = ("semantic", "keyword", "hybrid")


@pytest.fixture
def facts(api: Api) -> Api:
    """A namespace that knows ten things."""
    api.create(
        "User loves hiking in the Alps", "User is allergic to peanuts", "User works as a nurse in Lisbon",
        "User's sister Anna lives in Oslo", "User plays the violin", "User drives an electric car",
        "User's favourite colour is green", "User is learning Japanese", "User has a dog named Rex",
        "User drinks black coffee every morning", user_id="u",
    )  # fmt: skip
    return api


# -- shapes and scores -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [{}, {"text": None}, {"text": ""}, {"text": " \n"}])
def test_without_text_a_search_lists_by_filter(facts: Api, body):
    answer = facts.search(**body)
    check_results(answer)
    assert answer["total"] == 10
    assert {m["dist"] for m in answer["memories"]} == {0.0}
    assert {(m["score"], m["score_type"]) for m in answer["memories"]} == {(None, None)}


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_finds_the_fact_first_with_its_score(facts: Api, mode):
    answer = facts.search("which food gives user an allergic reaction to peanuts", search_mode=mode)
    check_results(answer)
    best = answer["memories"][0]
    assert best["text"] == "User is allergic to peanuts"
    for hit in answer["memories"]:
        assert hit["score_type"] == mode
        assert hit["score"] == pytest.approx(max(0.0, 1.0 - hit["dist"]), abs=1e-9)
    if mode != "semantic":
        assert best["score"] == 1.0


def test_semantic_search_understands_other_words_and_keyword_search_does_not(facts: Api):
    assert facts.memories("mountain walks")[0]["text"] == "User loves hiking in the Alps"
    assert facts.memories("mountain walks", search_mode="keyword") == []


def test_keyword_search_finds_whole_phrases_in_quotes(api: Api):
    api.create("red wine and green tea", "green wine and red tea")
    assert api.texts('"red wine"', search_mode="keyword") == ["red wine and green tea"]
    assert api.texts("“green wine”", search_mode="keyword") == ["green wine and red tea"]


@pytest.mark.parametrize(
    "text", ["!!!", "???", '"', '""', "the", "|", "*", "()", "@text:(x)", "-", "{}", "\\", "\x00", "😀"]
)
@pytest.mark.parametrize("mode", MODES)
def test_texts_without_words_or_full_of_operators_are_only_text(facts: Api, mode, text):
    answer = facts.http.post(
        SEARCH, json={"text": text, "search_mode": mode, "namespace": {"eq": facts.namespace}, "user_id": {"eq": "x"}}
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["memories"] == []


@pytest.mark.parametrize("text", ['") | (*', "hiking) | (@ns:{*}", "* | *", "hiking|*", '"hiking" | @user:{*}', "%%"])
def test_row_07_operators_in_a_keyword_query_never_widen_the_scope(facts: Api, text):
    other = Api(facts.http, facts.namespace + "-other")
    other.create("User goes hiking elsewhere")
    for mode in MODES:
        found = facts.memories(text, search_mode=mode)
        assert {m["namespace"] for m in found} <= {facts.namespace}
    found = facts.memories("hiking", search_mode="keyword", user_id={"eq": "nobody"})
    assert found == []


def test_hybrid_alpha_moves_the_weight_between_the_legs(facts: Api):
    both = {alpha: facts.memories("hiking violin", search_mode="hybrid", hybrid_alpha=alpha) for alpha in (0, 0.5, 1)}
    vector = facts.ids("hiking violin", recency_boost=False)
    assert [
        m["id"] for m in facts.memories("hiking violin", search_mode="hybrid", hybrid_alpha=1, recency_boost=False)
    ] == vector
    assert {m["text"] for m in both[0][:2]} == {"User loves hiking in the Alps", "User plays the violin"}


def test_a_distance_threshold_keeps_only_what_is_near(facts: Api):
    everything = facts.memories("hiking in the mountains", recency_boost=False)
    threshold = (everything[1]["dist"] + everything[2]["dist"]) / 2
    near = facts.search("hiking in the mountains", distance_threshold=threshold, recency_boost=False)
    assert [m["id"] for m in near["memories"]] == [m["id"] for m in everything[:2]]
    assert near["total"] == 2
    assert facts.memories("hiking in the mountains", distance_threshold=0.0) == []


@pytest.mark.parametrize("mode", ["keyword", "hybrid"])
def test_a_distance_threshold_is_for_semantic_mode_only(facts: Api, mode):
    answer = facts.http.post(SEARCH, json={"text": "x", "search_mode": mode, "distance_threshold": 0.5})
    refusal(answer, 400)


# -- recency ---------------------------------------------------------------------------------------------------------


def test_recency_lifts_what_was_used_lately_over_what_is_a_little_nearer(api: Api):
    old = {"created_at": ago(days=300), "last_accessed": ago(days=200)}
    api.create(a_memory("User likes green tea with milk", **old), a_memory("User likes green tea with honey and milk"))
    query = "User likes green tea with milk"
    assert api.texts(query)[0] == "User likes green tea with honey and milk"
    assert api.texts(query, recency_boost=False)[0] == query
    assert api.texts(query, recency_recency_weight=0.0)[0] == query
    assert api.texts(query, server_side_recency=True)[0] == "User likes green tea with honey and milk"


def test_row_18_recency_is_applied_before_paging(api: Api):
    old = {"created_at": ago(days=300), "last_accessed": ago(days=200)}
    texts = [f"User likes green tea with milk {i}" for i in range(6)]
    api.create(*[a_memory(text, **old) for text in texts], a_memory("User prefers green tea having honey in it"))
    whole = api.texts("User likes green tea with milk")
    assert whole[0] == "User prefers green tea having honey in it"
    paged = [api.texts("User likes green tea with milk", limit=1, offset=i)[0] for i in range(7)]
    assert paged == whole


def test_half_lives_and_weights_are_honoured(api: Api):
    api.create(
        a_memory("User likes tea number one", created_at=ago(days=1), last_accessed=ago(days=50)),
        a_memory("User likes tea number two", created_at=ago(days=50), last_accessed=ago(days=1)),
    )
    query = {"recency_semantic_weight": 0.0, "recency_recency_weight": 1.0}
    newest = api.texts("tea", **query, recency_novelty_weight=1.0, recency_freshness_weight=0.0)
    freshest = api.texts("tea", **query, recency_novelty_weight=0.0, recency_freshness_weight=1.0)
    assert newest[0] == "User likes tea number one"
    assert freshest[0] == "User likes tea number two"


def test_row_36_a_hit_is_counted_as_an_access_but_not_more_often_than_every_fifteen_minutes(api: Api):
    memory = a_memory("User likes tea", last_accessed=ago(days=2))
    recent = a_memory("User likes coffee", last_accessed=ago(minutes=5), access_count=7)
    api.create(memory, recent)
    for body in ({"recency_boost": False}, {"server_side_recency": True}, {}):
        assert memory["id"] in api.ids("tea", **body)

    def counted() -> bool:
        return api.http.get(f"/v1/long-term-memory/{memory['id']}").json()["access_count"] == 1

    wait_until(counted, 10, "the access is counted")
    stored = api.http.get(f"/v1/long-term-memory/{memory['id']}").json()
    assert stored["last_accessed"] > ago(minutes=5)
    untouched = api.http.get(f"/v1/long-term-memory/{recent['id']}").json()
    assert (untouched["access_count"], untouched["last_accessed"]) == (7, recent["last_accessed"])


# -- messages that are not promoted yet --------------------------------------------------------------------------------


def test_a_message_is_found_from_its_put_until_the_fact_in_it_is_with_no_gap(api: Api):
    session = a_session().of(api.namespace, "u")
    session.with_messages("My sister Anna lives in Oslo.", "I see.").put(api.http)
    scope = {"session_id": {"eq": session.session_id}, "user_id": {"eq": "u"}}
    pending: list[bool] = []

    def replaced() -> bool:
        hits = api.memories("sister Oslo", search_mode="keyword", include_pending=True, **scope)
        assert hits, f"found nothing after {pending}"
        assert all("Oslo" in hit["text"] for hit in hits)
        pending.append(bool(hits[0]["metadata"].get("pending")))
        return not pending[-1]

    wait_until(replaced, 90, "the message is promoted")
    assert pending[0], "the first search came after promotion"
    assert not any("pending" in hit["metadata"] for hit in api.memories("sister Oslo", **scope))


@pytest.mark.parametrize("mode", MODES)
def test_pending_messages_come_first_and_pages_run_over_both(api: Api, mode):
    session = a_session().of(api.namespace, "u")
    scope = {"session_id": {"eq": session.session_id}, "user_id": {"eq": "u"}, "include_pending": True}
    api.create(*[f"User likes tea number {i}" for i in range(4)], session_id=session.session_id, user_id="u")
    session.with_messages(a_message("Tea, please", id="one"), a_message("Coffee")).put(api.http)
    whole = api.search("tea", search_mode=mode, **scope)
    check_results(whole)
    if not whole["memories"][0]["metadata"].get("pending"):
        pytest.skip("promoted already")
    assert whole["memories"][0]["id"] == "one"
    assert whole["memories"][0]["text"] == "user: Tea, please"
    assert len(whole["memories"]) == 5


def test_pending_messages_need_a_session_and_allow_no_other_filter(api: Api):
    for body in ({}, {"session_id": {"ne": "s"}}, {"session_id": {"eq": "s"}, "topics": {"any": ["x"]}}):
        refusal(api.http.post(SEARCH, json={"text": "tea", "include_pending": True, **body}), 400)


# -- pages -----------------------------------------------------------------------------------------------------------

PAGED = 260  # more than the first block of candidates


@pytest.fixture(scope="module")
def many(http) -> Api:
    """A namespace with many memories about the same things, all used lately: reading them changes nothing."""
    from tests.support.builders import unique

    api = Api(http, unique("many"))
    things = ("tea", "coffee", "milk", "wine", "water", "juice", "cocoa", "beer", "cider", "lemonade")
    records = [
        a_memory(
            f"User bought {things[i % 10]} at shop number {i}",
            created_at=ago(hours=i),
            last_accessed=ago(seconds=i % 50),
        )
        for i in range(PAGED)
    ]
    answer = api.create(*records, user_id="u")
    assert api.wait_for_task(answer["task_id"])["status"] == "success"
    return api


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": "what does user drink"},
        {"text": "what does user drink", "recency_boost": False},
        {"text": "what does user drink", "server_side_recency": True},
        {"text": "user bought tea", "search_mode": "keyword"},
        {"text": "user bought tea at a shop", "search_mode": "hybrid"},
        {"text": "user bought tea at a shop", "search_mode": "hybrid", "recency_boost": False},
    ],
    ids=["listing", "semantic", "no-recency", "server-side", "keyword", "hybrid", "hybrid-no-recency"],
)
@pytest.mark.parametrize("limit", [7, 50, 100])
def test_row_18_pages_have_true_totals_no_gaps_and_no_repetitions(many: Api, body, limit):
    seen: list[str] = []
    offset: int | None = 0
    totals = set()
    while offset is not None:
        page = many.search(**body, limit=limit, offset=offset)
        check_results(page)
        totals.add(page["total"])
        assert len(page["memories"]) == min(limit, PAGED - offset), "a short page before the end"
        seen += [m["id"] for m in page["memories"]]
        assert page["next_offset"] in (None, offset + limit)
        offset = page["next_offset"]
    assert len(seen) == PAGED
    assert len(set(seen)) == PAGED
    assert totals == {PAGED}


def test_listings_are_in_a_stable_order_newest_first(many: Api):
    first, second = many.ids(limit=100), many.ids(limit=100)
    assert first == second
    created = [m["created_at"] for m in many.memories(limit=100)]
    assert created == sorted(created, reverse=True)


@pytest.mark.parametrize(
    "body", [{}, {"text": "tea"}, {"text": "tea", "search_mode": "keyword"}, {"text": "tea", "search_mode": "hybrid"}]
)
@pytest.mark.parametrize("offset", [PAGED, 10_000, 10**6 + 1, 10**9])
def test_a_page_behind_the_end_is_empty_and_the_last(many: Api, body, offset):
    answer = many.search(**body, offset=offset)
    assert answer["memories"] == []
    assert answer["next_offset"] is None


def test_a_keyword_total_counts_what_has_the_words(many: Api):
    assert many.search("cocoa", search_mode="keyword", limit=3)["total"] == PAGED // 10


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"limit": 1.5}, "limit"),
        ({"offset": -1}, "offset"),
        ({"offset": 2**63}, "offset"),
        ({"hybrid_alpha": 2}, "hybrid_alpha"),
        ({"hybrid_alpha": -0.1}, "hybrid_alpha"),
        ({"hybrid_alpha": "NaN"}, "hybrid_alpha"),
        ({"search_mode": "clever"}, "search_mode"),
        ({"text_scorer": "x' | *"}, "text_scorer"),
        ({"distance_threshold": -1}, "distance_threshold"),
        ({"distance_threshold": 3}, "distance_threshold"),
        ({"distance_threshold": "inf"}, "distance_threshold"),
        ({"recency_boost": "maybe"}, "recency_boost"),
        ({"recency_semantic_weight": "x"}, "recency_semantic_weight"),
        ({"recency_semantic_weight": "NaN"}, "recency_semantic_weight"),
        ({"text": 5}, "text"),
        ({"text": "x" * 20_001}, "text"),
    ],
)
def test_wrong_options_are_422(http, body, where):
    assert problems(http.post(SEARCH, json=body))[0]["loc"] == ["body", where]


@pytest.mark.parametrize("body", [[], "x", 5, None])
def test_wrong_search_bodies_are_422(http, body):
    assert problems(http.post(SEARCH, json=body))[0]["loc"] == ["body"]


@pytest.mark.parametrize("name", ["userid", "user", "namespaces", "filter", "userId", "session", "query", "__proto__"])
def test_an_unknown_key_of_a_search_is_refused_and_the_known_ones_are_named(http, name):
    entry = problems(http.post(SEARCH, json={"text": "x", name: {"eq": "u"}}))[0]
    assert entry["loc"] == ["body", name]
    assert "user_id" in entry["msg"]
    assert "namespace" in entry["msg"]


def test_numeric_strings_and_nulls_are_read_leniently(facts: Api):
    body = {
        "text": "tea", "limit": "5", "offset": "0", "hybrid_alpha": "0.5", "recency_boost": "true", "session_id": None,
        "distance_threshold": None, "recency_semantic_weight": None, "server_side_recency": None, "user_id": None,
        "recency_half_life_created_days": 0, "recency_half_life_last_access_days": "-3",
    }  # fmt: skip
    assert len(facts.search(**body)["memories"]) == 5


@pytest.mark.parametrize("scorer", ["BM25STD", "BM25", "TFIDF", "TFIDF.DOCNORM", "DISMAX"])
def test_every_text_scorer_works(facts: Api, scorer):
    for mode in ("keyword", "hybrid"):
        found = facts.memories("peanuts", search_mode=mode, text_scorer=scorer)
        assert found[0]["text"] == "User is allergic to peanuts"


def test_optimize_query_is_accepted(facts: Api):
    answer = facts.http.post(
        SEARCH, json={"text": "hiking", "namespace": {"eq": facts.namespace}}, params={"optimize_query": "true"}
    )
    assert answer.json()["memories"][0]["text"] == "User loves hiking in the Alps"
