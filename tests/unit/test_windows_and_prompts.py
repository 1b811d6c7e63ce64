"""Windows, budgets, extractive summaries and hydration: pure, so checked with random input too."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from app.config import Settings
from app.memory.models import Memory, Message
from app.memory.prompt import Parts, compose, prompt_tokens, within
from app.memory.search import FoundMemory
from app.memory.summarization.extractive import clip, condense, representative, sentences, summarize
from app.memory.summarization.folding import older_messages
from app.memory.windows import fit, message_tokens, model_window, prompt_budget, window_of
from app.providers.tokens import count_tokens, counting_method

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
TEXTS = st.one_of(
    st.text(max_size=300),
    st.lists(
        st.sampled_from("tea coffee 4711 Rotterdam allergic\n . ? ünï 漢字 <|im_end|> -".split(" ")), max_size=80
    ).map(" ".join),
)


def messages(*contents: str) -> tuple[Message, ...]:
    return tuple(
        Message(f"m{i}", "user" if i % 2 == 0 else "assistant", text, NOON + timedelta(minutes=i))
        for i, text in enumerate(contents)
    )


def found(*texts: str) -> tuple[FoundMemory, ...]:
    return tuple(FoundMemory(Memory(f"id{i}", text), 0.1, 0.9, "semantic") for i, text in enumerate(texts))


# -- windows -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "window"),
    [
        ("gpt-3.5-turbo", 4096), ("gpt-3.5-turbo-16k", 16384), ("gpt-4", 8192), ("gpt-4-32k", 32768),
        ("gpt-4o", 128_000), ("gpt-4o-2024-08-06", 128_000), ("openai/gpt-4o", 128_000), ("GPT-4o", 128_000),
        ("gpt-4.1-mini", 128_000), ("gpt-5", 128_000), ("gpt-5-mini", 400_000), ("gpt-5-nano", 400_000),
        ("gpt-5.1-chat-latest", 128_000), ("o1", 200_000), ("o1-mini", 128_000), ("o3-mini", 200_000),
        ("claude-3-7-sonnet-latest", 200_000), ("claude-3-opus-20240229", 200_000),
        ("claude-haiku-4-5-20251001", 200_000), ("claude-opus-4-5", 200_000), ("text-embedding-3-small", 8191),
        ("claude-sonnet-4-5-20250929", 200_000), ("anthropic/claude-opus-5", 1_000_000), ("llama3.1:8b", 131_072),
        ("gpt-55", 12_345), ("nobody-knows-it", 12_345), ("", 12_345), ("/", 12_345),
    ],
)  # fmt: skip
def test_a_model_has_its_window_its_versions_too_and_unknown_ones_the_default(name, window):
    assert model_window(name, 12_345) == window


def test_an_explicit_window_wins_and_no_window_is_none():
    assert window_of("gpt-4", 1000, 5) == 1000
    assert window_of(None, None, 5) is None
    assert window_of(None, 0, 5) is None


@pytest.mark.parametrize("window", [100, 512, 4096, 8192, 16_384, 128_000, 1_000_000])
def test_a_prompt_leaves_room_for_the_answer(window):
    assert window // 4 <= prompt_budget(window) < window


def test_tokens_are_counted_with_the_vocabulary_that_the_wheel_ships():
    assert counting_method() == "cl100k_base"
    assert count_tokens("user: hello world") == 4
    assert count_tokens("<|im_end|> is text") > 3


def test_the_newest_messages_that_fit_stay_and_the_last_always():
    said = messages("one two three", "four five six", "seven eight nine")
    size = message_tokens(said[0])
    assert fit(said, 2 * size + 1) == said[1:]
    assert fit(said, 2 * size + 1, taken=size) == said[2:]
    assert fit(said, 1) == said[2:]


def test_folding_begins_over_the_threshold_and_keeps_four_tenths_and_the_last():
    said = messages(*["just ten tokens in this message of some words"] * 20)
    total = sum(map(message_tokens, said))
    assert older_messages(said, total, 1.0) == ()
    older = older_messages(said, total, 0.7)
    kept = said[len(older) :]
    assert sum(map(message_tokens, kept)) <= total * 0.4 < sum(map(message_tokens, said[len(older) - 1 :]))
    assert older_messages(said, 10, 0.7) == said[:-1]


@pytest.mark.parametrize("prompt", ["{prev_summary}", "{messages_joined}", "neither"])
def test_a_summarization_prompt_without_both_placeholders_fails_at_start(prompt):
    with pytest.raises(ValidationError, match="PROGRESSIVE_SUMMARIZATION_PROMPT must contain"):
        Settings(progressive_summarization_prompt=prompt)


# -- extractive summaries ----------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.lists(TEXTS, max_size=30), TEXTS, st.integers(24, 400), st.integers(0, 500))
def test_a_summary_never_exceeds_its_budget(contents, previous, budget, covered):
    assert count_tokens(summarize(previous, covered, messages(*contents), budget)) <= budget
    assert count_tokens(condense(previous, budget)) <= budget
    assert count_tokens(clip(previous, budget)) <= budget


def test_facts_win_over_small_talk_and_stay_in_order():
    talk = ["Hello there!", "How are you today?", "That sounds nice, tell me more.", "Sure, no problem at all."] * 20
    talk[3], talk[40], talk[75] = (
        "I was born in Ghent in 1987.",
        "My budget is 4,500 euros.",
        "Call my dentist Dr. Okoye.",
    )
    summary = summarize("", 0, messages(*talk), 120)
    places = [summary.find(fact) for fact in (talk[3], talk[40], "Okoye")]
    assert -1 not in places
    assert places == sorted(places)


def test_a_short_answer_is_kept_with_its_question():
    summary = summarize("", 0, messages("Hi.", "Which city do you live in?", "Lisbon."), 100)
    assert "Lisbon. (asked: Which city do you live in?)" in summary


def test_what_says_the_same_is_said_once():
    talk = [f"Message number {i} is about nothing in particular." for i in range(50)]
    assert summarize("", 0, messages(*talk), 400).count("nothing in particular") == 1


def test_sentences_are_split_and_fragments_joined():
    assert sentences("I live in Oslo. Really. It is cold!\nI like it?\n\n") == [
        "I live in Oslo. Really.", "It is cold!", "I like it?",
    ]  # fmt: skip


def test_representative_lines_are_as_many_as_asked_for_in_order():
    lines = [f"- User visited city {chr(65 + i % 26)}{i} in {1950 + i}" for i in range(60)]
    kept = representative(lines, 10)
    assert 0 < len(kept) <= 10
    assert kept == sorted(kept, key=lines.index)
    assert representative(lines[:3], 10) == lines[:3]


# -- hydration ---------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    TEXTS,
    TEXTS,
    st.lists(TEXTS, max_size=12),
    st.one_of(st.none(), st.lists(TEXTS, max_size=12)),
    st.integers(1, 900),
)
def test_a_prompt_never_overflows_its_window(query, context, said, memories, window):
    parts = Parts(query, context, messages(*said), None if memories is None else found(*memories))
    fitting = within(parts, window)
    least = prompt_tokens(compose(Parts(query, messages=parts.messages[-1:])))
    assert prompt_tokens(compose(fitting)) <= max(window, least)
    assert fitting.messages[-1:] == parts.messages[-1:]
    assert fitting.messages == parts.messages[len(parts.messages) - len(fitting.messages) :]
    if prompt_tokens(compose(parts)) <= window:
        assert fitting == parts, "what fits is not touched"


def test_every_part_has_its_share_of_a_full_window():
    chance = random.Random(3)
    words = [f"word{i}" for i in range(500)]
    text = [" ".join(chance.choices(words, k=20)) for _ in range(200)]
    parts = Parts("What now?", "\n".join(text[:60]), messages(*text[60:130]), found(*text[130:]))
    fitting = within(parts, 2000)
    sizes = {
        "summary": count_tokens(fitting.context or ""),
        "messages": sum(count_tokens(m.content) for m in fitting.messages),
        "memories": sum(count_tokens(f.memory.text) for f in fitting.found or ()),
    }
    assert 1800 < prompt_tokens(compose(fitting)) <= 2000
    assert sizes["summary"] > 250
    assert sizes["memories"] > 350
    assert sizes["messages"] > 700
    assert fitting.found == (parts.found or ())[: len(fitting.found or ())], "the most relevant first"


def test_what_one_part_does_not_need_goes_to_the_others():
    many = found(*(f"User owns the book number {i} of a long series" for i in range(300)))
    fitting = within(Parts("q", None, messages("hi"), many), 2000)
    assert 1800 < prompt_tokens(compose(fitting)) <= 2000


def test_where_no_memory_fits_none_is_announced():
    fitting = within(Parts("q", None, messages("hi"), found("word " * 500)), 100)
    assert fitting.found is None
    assert [m.text for m in compose(fitting)] == ["hi", "q"]
