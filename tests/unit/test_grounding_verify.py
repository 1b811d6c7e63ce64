"""The last gate: what may not be stored as it is."""

from __future__ import annotations

import pytest

from app.memory.grounding.verify import verify


@pytest.mark.parametrize(
    "text",
    [
        "User lives in Oslo",
        "User's sister Anna said that Anna is fine",
        "User has a car that is red",
        "The kickoff for the Apollo project is on 2026-03-13",
        "User works every Friday",
        "User usually swims on Monday",
        "User lives in the US and works in IT",
        "There are five people in User's team",
        "User decided that the trip to Rome is too long",
        'User\'s favorite show is "This Is Us"',
        "User taught himself Python",
        "User is moving soon after 2026-03-10",
        "User met Tom in the two weeks before 2026-03-10",
    ],
)
def test_a_text_that_stands_on_its_own_has_no_problems(text: str) -> None:
    assert verify(text) == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("She lives in Oslo", "pronoun"),
        ("User told them everything", "pronoun"),
        ("I live in Oslo", "pronoun"),
        ("User's sister visited us in May 2026", "pronoun"),
        ("User likes it a lot", "pronoun"),
        ("User would tell you everything", "pronoun"),
        ("User moved there in 2024", "place"),
        ("User has been here since 2019", "place"),
        ("User ran a marathon yesterday", "relative time"),
        ("User moved last year", "relative time"),
        ("User moved two weeks ago", "relative time"),
        ("User is moving soon", "relative time"),
        ("User has an exam on Friday", "relative time"),
        ("User moves at the end of the month", "relative time"),
        ("User likes that", "demonstrative"),
        ("User likes this book", "demonstrative"),
        ("User heard of that", "demonstrative"),
        ("User fixed the bug", "reference"),
        ("User liked the meeting", "reference"),
        ("User bought another one", "reference"),
        ("User went before then", "reference"),
        ("And User lives in Oslo", "fragment"),
        ("User sleeps", "fragment"),
    ],
)
def test_a_word_that_points_outside_is_a_problem(text: str, kind: str) -> None:
    assert any(problem.startswith(kind) for problem in verify(text)), verify(text)
