"""What is indexed of a memory: turns get their speaker, date and what was said before; facts stay bare."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.memory.indexing_text import (
    PREVIOUS_CHARS,
    as_previous,
    context_text,
    embedded_texts,
    is_turn,
    names_of,
    speaker_of,
)
from app.memory.models import Memory, MemoryType

SAID = datetime(2023, 5, 8, 13, 56, tzinfo=UTC)


def turn(text: str = "Nate: Yes, twice!", **more) -> Memory:
    return Memory(id="1", text=text, memory_type=MemoryType.EPISODIC, session_id="s", event_date=SAID, **more)


def test_a_turn_is_embedded_with_its_speaker_date_and_what_was_said_before():
    memory = turn(previous="Ann: Have you been to Oslo?")
    assert embedded_texts(memory) == [
        "Nate (8 May 2023): Yes, twice!",
        "Ann: Have you been to Oslo? Nate: Yes, twice!",
    ]
    assert context_text(memory) == "8 May 2023 Have you been to Oslo?"


def test_the_first_turn_of_a_session_has_one_vector():
    assert embedded_texts(turn()) == ["Nate (8 May 2023): Yes, twice!"]


@pytest.mark.parametrize(
    "memory",
    [
        Memory(id="1", text="Nate: likes tea", memory_type=MemoryType.SEMANTIC, session_id="s", event_date=SAID),
        Memory(id="1", text="Nate visited Oslo twice", memory_type=MemoryType.EPISODIC, event_date=SAID),
        turn("Nate: visited Oslo", extracted_from=("m1",)),
        turn("Nate: visited Oslo", extraction_strategy="summary"),
    ],
    ids=["semantic", "no speaker", "distilled", "summary"],
)
def test_a_fact_is_indexed_as_it_is(memory):
    assert not is_turn(memory)
    assert embedded_texts(memory) == [memory.text]
    assert context_text(memory) == ""


@pytest.mark.parametrize(
    "text",
    ["Ann: How was Oslo?\nNate: Cold.", "user: How was Oslo?\nassistant: Cold.", "Ann: How was Oslo? Nate: Cold."],
)
def test_a_piece_of_a_transcript_is_nobodys_turn_and_stands_on_its_own(text):
    memory = turn(text, previous="Ann: Back again?")
    assert embedded_texts(memory) == [text]
    assert context_text(memory) == ""
    assert names_of(memory) == ()


@pytest.mark.parametrize("text", ["Nate: Yes, at 10: twice!", "Nate: Yes.\nNate: Twice!", "Nate: I said: twice!"])
def test_a_colon_alone_makes_no_second_speaker(text):
    assert len(embedded_texts(turn(text, previous="Ann: Have you been to Oslo?"))) == 2


def test_a_long_turn_stands_on_its_own():
    memory = turn("Nate: " + "a long story " * 50, previous="Ann: Tell me!")
    assert embedded_texts(memory) == [memory.text]
    assert context_text(memory) == ""
    assert names_of(memory) == ()
    assert names_of(turn()) == ("Nate",)


def test_a_message_is_a_turn_even_without_a_speaker():
    memory = Memory(id="1", text="Yes, twice!", memory_type=MemoryType.MESSAGE, session_id="s", created_at=SAID)
    assert embedded_texts(memory) == ["(8 May 2023) Yes, twice!"]


@pytest.mark.parametrize(
    ("text", "speaker"),
    [
        ("Nate: hi", "Nate"), ("Dr. Mary-Ann O'Neil: hi", "Dr. Mary-Ann O'Neil"), ("user: hi", "user"),
        ("Zoë: ça va", "Zoë"), ("at 10:30 we met", None), ("http://x.org is down", None),
        ("one two three four five: six", None), (": x", None),
    ],
)  # fmt: skip
def test_the_speaker_is_what_stands_before_the_colon(text, speaker):
    assert speaker_of(turn(text)) == speaker


def test_of_a_long_previous_turn_the_end_is_kept_at_a_word():
    kept = as_previous("word " * 200 + "what do you think?")
    assert kept.endswith("what do you think?")
    assert len(kept) <= PREVIOUS_CHARS
    assert kept.startswith("word ")
