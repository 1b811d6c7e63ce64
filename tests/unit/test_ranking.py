"""Ranking: pure arithmetic on hits."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.memory import ranking
from app.memory.query_cues import cues_of
from app.memory.ranking import NO_BOOSTS, Boosts, RecencyWeights, recency
from app.store.analysis import digest
from app.store.candidates import Candidates, Hit

NOW = datetime(2026, 5, 20, tzinfo=UTC)
T = NOW.timestamp()
DAY = 86_400.0


def rank(hits, mode, **given) -> list[ranking.Ranked]:
    return ranking.rank(Candidates.of(hits), mode, **given).rows()


def hit(name: str, *, created: float = T, accessed: float = T, **more) -> Hit:
    return Hit(name.encode(), created, accessed, **more)


def order(hits, mode="hybrid", query="x", **more) -> str:
    given = {"alpha": 0.5, "now": T, "weights": None, "cues": cues_of(query, NOW), "boosts": Boosts(), **more}
    return "".join(row.key.decode() for row in rank(hits, mode, **given))


def test_recency_vectors_of_the_contract():
    weights = RecencyWeights()
    assert recency(T - 7 * DAY, T - 30 * DAY, T, weights) == pytest.approx(0.5)
    a = hit("a", distance=0.20, accessed=T - 7 * DAY, created=T - 30 * DAY)
    b = hit("b", distance=0.25)
    rows = rank([a, b], "semantic", alpha=0.7, now=T, weights=weights)
    assert [(r.key, round(r.final, 6)) for r in rows] == [(b"b", 0.80), (b"a", 0.74)]


def test_hybrid_shares_are_of_each_legs_best_and_the_best_sum_scores_one():
    hits = [hit("a", distance=0.2, bm25=3.0), hit("b", distance=0.6, bm25=6.0)]
    rows = rank(hits, "hybrid", alpha=0.5, now=T, weights=None)
    assert [r.key for r in rows] == [b"a", b"b"] or [r.key for r in rows] == [b"b", b"a"]
    scores = {r.key: r.score for r in rows}
    # a: 0.5 * 1 + 0.5 * 0.5 = 0.75; b: 0.5 * 0.5 + 0.5 * 1 = 0.75
    assert scores == {b"a": pytest.approx(1.0), b"b": pytest.approx(1.0)}
    assert all(r.distance == pytest.approx(1 - r.score) for r in rows)


def test_alpha_one_is_the_vector_order_and_alpha_zero_the_keyword_order():
    hits = [hit("a", distance=0.2, bm25=1.0), hit("b", distance=1.3, bm25=6.0), hit("c", distance=1.2)]
    assert order(hits, alpha=1.0) == "acb"
    assert order(hits, alpha=0.0) == "bac"


def test_what_a_full_leg_did_not_return_counts_as_its_last_and_of_a_leg_with_room_as_nothing():
    hits = [hit("a", distance=0.2, vector_place=0), hit("b", distance=0.4, vector_place=1), hit("c", bm25=5.0)]
    full = rank(hits, "hybrid", alpha=0.7, now=T, weights=None, block_edges=(2,))
    room = rank(hits, "hybrid", alpha=0.7, now=T, weights=None, block_edges=(3,))
    # full: c = 0.7 * 0.6 / 0.8 + 0.3 = 0.825 beats a = 0.7; with room: c = 0.3
    assert full[0].key == b"c"
    assert room[-1].key == b"c"


def test_a_named_speaker_a_named_time_and_a_good_conversation_lift_a_hit():
    plain = {"distance": 0.5, "said": T - 900 * DAY}
    assert order([hit("a", **plain, conversation="1", names="ann"), hit("b", **plain, conversation="1", names="nate")],
                 query="What did Nate say?") == "ba"  # fmt: skip
    march = datetime(2023, 3, 5, tzinfo=UTC).timestamp()
    assert order([hit("a", distance=0.5), hit("b", distance=0.5, said=march)], query="in March 2023") == "ba"
    talk = [hit(n, distance=0.5, conversation="good") for n in "bcd"] + [hit("a", distance=0.5, conversation="poor")]
    assert order(talk).endswith("a")
    assert order(talk, boosts=NO_BOOSTS) == "abcd"


def test_a_boost_cannot_lift_what_does_not_fit_over_what_fits_well():
    assert (
        order([hit("a", distance=0.2), hit("b", distance=0.95, conversation="1", names="nate")], query="nate") == "ab"
    )


def test_few_turns_among_many_other_hits_gain_little():
    turns = [hit("t", distance=0.5, conversation="1", names="nate"), hit("u", distance=0.6, conversation="1")]
    assert order([*turns, hit("a", distance=0.45)], query="nate") == "tau"
    others = [hit(f"{chr(97 + n)}", distance=0.45) for n in range(9)]
    assert order([*turns, *others], query="nate")[-2:] == "tu"


def test_without_recency_a_semantic_search_is_ordered_by_distance_whatever_the_query_names():
    hits = [hit("a", distance=0.2), hit("b", distance=0.3, conversation="1", names="nate")]
    assert order(hits, mode="semantic", query="nate") == "ab"


def test_who_asks_with_a_memorys_own_text_gets_it_first_with_its_true_distance():
    hits = [hit("a", distance=0.2, bm25=4.0), hit("b", distance=0.4, bm25=3.0, digest=digest("Yes, twice!"))]
    for mode in ("semantic", "keyword", "hybrid"):
        assert order(hits, mode=mode, query="yes twice") == "ba"
    rows = rank(hits, "semantic", alpha=0.7, now=T, weights=RecencyWeights(), cues=cues_of("Yes, twice!", NOW))
    assert (rows[0].distance, rows[0].score) == (0.4, 0.6)


def test_recency_lifts_among_equals_but_a_memory_years_old_that_fits_stays_before_a_fresh_one_that_does_not():
    old = {"created": T - 1200 * DAY, "accessed": T - 1200 * DAY}
    weights = RecencyWeights()
    equal = [hit("a", distance=0.3, bm25=5.0, **old), hit("b", distance=0.3, bm25=5.0)]
    assert order(equal, weights=weights) == "ba"
    unlike = [hit("a", distance=0.3, bm25=5.0, **old), hit("b", distance=0.7, bm25=1.0)]
    assert order(unlike, weights=weights) == "ab"


def test_deeper_candidates_come_behind_what_earlier_pages_showed():
    hits = [
        hit(chr(97 + i), distance=0.1 + i / 100, vector_place=i, created=T - (10 - i) * 100 * DAY) for i in range(10)
    ]
    weights = replace(RecencyWeights(), novelty=1.0, freshness=0.0)
    shallow = rank(hits[:4], "semantic", alpha=0.7, now=T, weights=weights, block_edges=(4, 10))
    deep = rank(hits, "semantic", alpha=0.7, now=T, weights=weights, block_edges=(4, 10))
    assert deep[:4] == shallow
    assert len(deep) == 10


@pytest.mark.parametrize("mode", ["semantic", "keyword", "hybrid"])
@pytest.mark.parametrize("weights", [None, RecencyWeights()])
@pytest.mark.parametrize("server_side", [False, True])
def test_the_parts_of_a_score_are_told_apart_and_add_up_to_it(mode, weights, server_side):
    hits = [
        hit("a", distance=0.2, bm25=3.0, accessed=T - 7 * DAY, created=T - 30 * DAY),
        hit("b", distance=0.6, bm25=6.0, names="anna"),
        hit("c", distance=0.7, bm25=1.0, digest=digest("anna")),
    ]
    given = {"alpha": 0.7, "now": T, "weights": weights, "server_side": server_side}
    given |= {"cues": cues_of("anna", NOW), "boosts": Boosts()}
    plain, explained = rank(hits, mode, **given), rank(hits, mode, **given, explain=True)
    assert [row._replace(parts=None) for row in explained] == plain
    assert all(row.parts is None for row in plain)
    parts = {row.key.decode(): row.parts for row in explained if row.parts}
    for shown in parts.values():
        added = shown.semantic + shown.keyword + shown.boosts + shown.freshness + shown.novelty + shown.exact_match
        assert added == pytest.approx(shown.final)
    # Only the query's own text has a part that nothing else explains.
    assert parts["c"].exact_match > 0
    assert parts["a"].exact_match == parts["b"].exact_match == 0
    assert parts["a"].boosts == 0
    assert (parts["b"].boosts > 0) == (mode != "semantic" or (weights is not None and not server_side))
    assert (parts["a"].semantic > 0) == (mode != "keyword")
    assert (parts["a"].keyword > 0) == (mode != "semantic")
    if weights is not None:
        assert (parts["a"].freshness, parts["a"].novelty) == (pytest.approx(0.06), pytest.approx(0.04))
    else:
        assert parts["a"].freshness == parts["a"].novelty == 0
