"""Evaluation: query sets, figures, verdicts, readers of public files."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from app.evaluation.compare import Outcome, judge, run
from app.evaluation.configurations import Configuration, parse_configuration
from app.evaluation.datasets import UnknownFormat, load_conversations
from app.evaluation.metrics import mean_figures, ranking_figures
from app.evaluation.queries import Query, queries_of
from app.memory.errors import InvalidRequest
from app.memory.models import Memory


def test_the_figures_of_a_ranking():
    figures = ranking_figures(["x", "a", "y", "b"], ["a", "b", "c"])
    assert figures["rec@1"] == 0
    assert figures["rec@5"] == pytest.approx(2 / 3)
    assert (figures["any@10"], figures["all@10"], figures["mrr"]) == (1.0, 0.0, 0.5)
    # gains 1/log2(3) + 1/log2(5) over the ideal 1 + 1/log2(3) + 1/2
    assert figures["ndcg@10"] == pytest.approx((0.63093 + 0.43068) / (1 + 0.63093 + 0.5), abs=1e-4)
    assert ranking_figures(["a"], ["a"])["ndcg@10"] == 1.0
    assert mean_figures([]) == dict.fromkeys(mean_figures([]), 0.0)


MEMORIES = [Memory(id=f"m{i}", text=f"Anna bought {thing} number {i} at the market of Oslo in spring")
            for i, thing in enumerate(["apples", "pears", "violins", "boats", "chairs", "lamps"] * 4)]  # fmt: skip


def test_a_query_set_is_the_same_for_the_same_memories_and_asks_for_known_items():
    queries = queries_of(MEMORIES, 12)
    assert queries == queries_of(MEMORIES[::-1], 12)
    assert queries != queries_of(MEMORIES, 12, seed=1)
    assert {q.kind for q in queries} == {"keywords", "part", "blurred"}
    texts = {m.id: m.text.lower() for m in MEMORIES}
    for query in queries:
        assert query.text
        assert query.text != texts[query.wanted[0]]
        assert set(query.text.split()) <= set(texts[query.wanted[0]].split())


def test_memories_that_say_the_same_are_wanted_together_and_short_ones_make_no_query():
    twins = [Memory(id="a", text="Anna lives in Oslo now"), Memory(id="b", text="anna lives in oslo, now!")]
    assert [q.wanted for q in queries_of([*twins, Memory(id="c", text="Hi there")], 10)] == [("a", "b")] * 2


def outcome(name: str, *values: float) -> Outcome:
    return Outcome(name, tuple({"ndcg@10": v} for v in values), (1.0,) * len(values))


def test_a_clear_winner_is_named_and_noise_is_not():
    good, bad = outcome("good", *[0.9, 0.8, 1.0, 0.7] * 10), outcome("bad", *[0.5, 0.4, 0.9, 0.6] * 10)
    assert judge(bad, good).better == "good"
    assert judge(good, bad).better == "good"
    assert judge(good, good).better is None
    noise = outcome("noise", *[0.9, 0.8, 1.0, 0.7] * 9, 0.6, 1.0, 0.8, 0.9)
    assert judge(good, noise).better is None
    assert "good is better (ndcg@10 +25.0 points" in judge(bad, good).sentence()
    assert judge(good, bad).sentence() == judge(bad, good).sentence()
    assert judge(bad, good) == judge(bad, good)


def test_a_run_asks_every_query():
    found = run("x", lambda text: [text], [Query("a", "k", ("a",)), Query("b", "k", ("c",))])
    assert [f["mrr"] for f in found.figures] == [1.0, 0.0]
    assert found.summary()["mrr"] == 0.5
    assert len(found.milliseconds) == 2


def test_configurations_are_read_and_wrong_ones_refused():
    assert parse_configuration("") == Configuration()
    assert parse_configuration("mode=keyword, boosts=false,alpha=0.25") == Configuration("keyword", 0.25, boosts=False)
    for wrong in ("mode", "mode=clever", "alpha=x", "alpha=2", "boosts=1", "depth=3"):
        with pytest.raises(InvalidRequest):
            parse_configuration(wrong)


LOCOMO = [{"sample_id": "c1", "conversation": {
    "session_1": [{"speaker": "Ann", "dia_id": "D1:1", "text": "Hi!"},
                  {"speaker": "Bob", "dia_id": "D1:2", "text": "Look", "blip_caption": "a boat"}],
    "session_1_date_time": "1:56 pm on 8 May, 2023", "session_2_date_time": "1:00 am on 9 May, 2023"},
    "qa": [{"question": "Who?", "answer": "Bob", "evidence": ["D1:2"], "category": 4},
           {"question": "Trick?", "evidence": ["D1:1"], "category": 5},
           {"question": "None?", "evidence": [], "category": 1}]}]  # fmt: skip
RESHAPED = [{"id": "c1", "sessions": [{"session": 1, "date": "1:56 pm on 8 May, 2023", "turns": [
    {"id": "D1:1", "speaker": "Ann", "text": "Hi!"},
    {"id": "D1:2", "speaker": "Bob", "text": "Look", "image_caption": "a boat"}]}],
    "questions": [{"question": "Who?", "category": "single-hop", "evidence": ["D1:2", "D1:2"]},
                  {"question": "Trick?", "category": "adversarial", "evidence": ["D1:1"]}]}]  # fmt: skip
_TALK = [
    {"role": "user", "content": "Hi!", "has_answer": False},
    {"role": "user", "content": "Bob", "has_answer": True},
]
_FILLER = [{"role": "user", "content": "Lunch?"}, {"role": "assistant", "content": "Soup."}]
LONGMEMEVAL = [
    {"question_id": name, "question_type": "single-session-user", "question": "Who?", "answer": "Bob",
     "question_date": "2023/06/01 (Thu) 10:00", "answer_session_ids": ["answer_1"],
     "haystack_session_ids": ["f1", "answer_1", "f1"],
     "haystack_dates": ["2023/05/19 (Fri) 09:00", "2023/05/20 (Sat) 02:21", "2023/05/21 (Sun) 09:00"],
     "haystack_sessions": [_FILLER, _TALK, _FILLER]}
    for name in ("q1", "q2_abs")
]  # fmt: skip


@pytest.mark.parametrize("data", [LOCOMO, RESHAPED], ids=["published", "reshaped"])
def test_locomo_files_are_read(tmp_path, data):
    path = tmp_path / "data.json"
    path.write_text(json.dumps(data))
    (conversation,) = load_conversations(path)
    assert [(t.id, t.session, t.text) for t in conversation.turns] == [
        ("D1:1", "1", "Ann: Hi!"),
        ("D1:2", "1", "Bob: Look [a boat]"),
    ]
    assert conversation.turns[0].date == datetime(2023, 5, 8, 13, 56, tzinfo=UTC)
    assert [(q.text, q.category, q.evidence) for q in conversation.questions] == [("Who?", "single-hop", ("D1:2",))]


def test_longmemeval_files_are_read_without_their_abstention_questions(tmp_path):
    path = tmp_path / "data.json"
    path.write_text(json.dumps(LONGMEMEVAL))
    (conversation,) = load_conversations(path)
    texts = [turn.text for turn in conversation.turns]
    assert texts == ["user: Lunch?", "assistant: Soup.", "user: Hi!", "user: Bob", "user: Lunch?", "assistant: Soup."]
    assert len({turn.id for turn in conversation.turns}) == 6
    assert [turn.session for turn in conversation.turns[1::2]] == ["0:f1", "1:answer_1", "2:f1"]
    assert conversation.turns[2].date == datetime(2023, 5, 20, 2, 21, tzinfo=UTC)
    assert [(q.category, q.evidence) for q in conversation.questions] == [
        ("single-session-user", (conversation.turns[3].id,))
    ]


@pytest.mark.parametrize("data", [{}, [], [{"x": 1}], ["x"]])
def test_other_files_are_refused(tmp_path, data):
    path = tmp_path / "data.json"
    path.write_text(json.dumps(data))
    with pytest.raises(UnknownFormat):
        load_conversations(path)
