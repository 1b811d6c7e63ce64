"""What a query names: times by the calendar, people and things by their words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.memory.query_cues import cues_of

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)  # a Wednesday


def covered(query: str, day: str) -> bool:
    return cues_of(query, NOW).covers(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("query", "inside", "outside"),
    [
        ("What did Jon do in March?", "2023-03-09", "2023-04-09"),
        ("What happened in March 2023?", "2023-03-31", "2022-03-31"),
        ("Who did Maria meet on 7 May 2023?", "2023-05-08", "2023-06-08"),
        ("Who did Maria meet on May 7, 2023?", "2023-05-07", "2023-05-06"),
        ("dinner on 2023-05-07", "2023-05-07", "2022-05-07"),
        ("the trip of 3rd of July", "2021-07-20", "2021-08-03"),
        ("What did Ann win in 2022?", "2022-12-31", "2023-01-01"),
        ("Where did he go last spring?", "2025-04-15", "2026-04-15"),
        ("Where did he go last winter?", "2026-01-15", "2025-01-15"),
        ("plans for summer 2023", "2023-08-31", "2023-09-01"),
        ("what did I say yesterday", "2026-05-19", "2026-05-20"),
        ("what happened last week", "2026-05-12", "2026-05-21"),
        ("what happened this month", "2026-05-02", "2026-04-30"),
        ("what happened last year", "2025-06-01", "2026-01-01"),
        ("the August party", "2020-08-01", "2020-09-01"),
    ],
)
def test_a_time_that_a_query_names_is_understood(query, inside, outside):
    assert covered(query, inside)
    assert not covered(query, outside)


@pytest.mark.parametrize(
    "query",
    [
        "What may Jon do next?", "Where did they march against the war?", "", "How many of the 31 cats are left?",
        "Did he fall on the stairs?", "version 2023-99-99", "room 2022", "31 February 2023",
    ],
)  # fmt: skip
def test_a_query_without_a_time_names_none(query):
    cues = cues_of(query, NOW)
    days = [datetime(year, 6, 15, tzinfo=UTC).timestamp() for year in range(2015, 2027)]
    assert not any(cues.covers(day) for day in days)


def test_a_name_is_named_when_all_its_words_are_there():
    cues = cues_of("Has Anna been to New York?", NOW)
    assert cues.names("new york")
    assert cues.names("anna")
    assert not cues.names("york minster")
    assert not cues.names("")
