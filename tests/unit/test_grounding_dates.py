"""Relative dates made absolute, said on Tuesday 2026-03-10 at noon in Berlin."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from app.memory.grounding.dates import _GRAMMAR, clock_in, make_dates_absolute, may_tell_a_time

AT = datetime(2026, 3, 10, 12, tzinfo=ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize(
    ("said", "tense", "absolute"),
    [
        ("I ran a race yesterday", "past", "I ran a race on 2026-03-09"),
        ("I'm off the day after tomorrow", "future", "I'm off on 2026-03-12"),
        ("I finished it this morning", "past", "I finished it on the morning of 2026-03-10"),
        ("I slept badly last night", "past", "I slept badly on the night of 2026-03-09"),
        ("we meet tomorrow at 5pm", "future", "we meet on 2026-03-11 at 5pm"),
        ("we meet on Friday", "future", "we meet on 2026-03-13"),
        ("we met on Friday", "past", "we met on 2026-03-06"),
        ("we meet on Tuesday", "future", "we meet on 2026-03-17"),
        ("we meet next Friday", "future", "we meet on 2026-03-20"),
        ("we meet this Friday evening", "future", "we meet on the evening of 2026-03-13"),
        ("we met last Friday", "past", "we met on 2026-03-06"),
        ("it is due by Friday", "future", "it is due by 2026-03-13"),
        ("I moved last week", "past", "I moved in the week of 2026-03-02"),
        ("I move next weekend", "future", "I move on the weekend of 2026-03-21"),
        ("I moved last month", "past", "I moved in February 2026"),
        ("I moved last year", "past", "I moved in 2025"),
        ("we ship next quarter", "future", "we ship in Q2 2026"),
        ("I moved in October", "past", "I moved in October 2025"),
        ("I move in October", "future", "I move in October 2026"),
        ("it broke last March", "past", "it broke in March 2025"),
        ("I travel next summer", "future", "I travel in summer 2026"),
        ("I travelled last winter", "past", "I travelled in winter 2025"),
        ("we met last Christmas", "past", "we met at Christmas 2025"),
        ("I start on April 1st", "future", "I start on 2026-04-01"),
        ("I started on 1 February", "past", "I started on 2026-02-01"),
        ("it is on March 14, 2027", "future", "it is on 2027-03-14"),
        ("it is on the 15th", "future", "it is on 2026-03-15"),
        ("it is on the 3rd", "future", "it is on 2026-04-03"),
        ("I leave in three days", "future", "I leave on 2026-03-13"),
        ("I leave in two weeks", "future", "I leave around 2026-03-24"),
        ("I leave in two months", "future", "I leave in May 2026"),
        ("I met her two years ago", "past", "I met her in 2024"),
        ("I met her a few weeks ago", "past", "I met her around 2026-02-17"),
        ("I leave at the end of the month", "future", "I leave at the end of March 2026"),
        ("I have worked there for the past three years", "past", "I have worked there since 2023"),
        ("I have worked there since Monday", "past", "I have worked there since 2026-03-09"),
        ("yesterday's demo went well", "past", "the 2026-03-09 demo went well"),
        ("Tomorrow is my day off", "future", "2026-03-11 is my day off"),
        ("I am moving soon", "future", "I am moving soon after 2026-03-10"),
        ("I am currently reading Dune", "future", "I am reading Dune"),
        ("the week after next", "future", "In the week of 2026-03-23"),
    ],
)
def test_relative_times_become_absolute(said: str, tense: str, absolute: str) -> None:
    assert make_dates_absolute(said, AT, tense).text == absolute  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "said",
    [
        "I swim every Monday",
        "I swim on Mondays and every other Friday",
        "My birthday is March 5th",
        "I usually work on Friday",
        "I may go",
        "I ran it in two hours",
        "I have two kids",
        "I am 34 years old",
        "I like the Friday stand-up",
        "I read 1984",
    ],
)
def test_what_repeats_or_is_no_date_stays(said: str) -> None:
    assert make_dates_absolute(said, AT, "past").text == said


@pytest.mark.parametrize(
    ("said", "moment"),
    [
        ("we meet tomorrow at 5pm", datetime(2026, 3, 11, 16, tzinfo=UTC)),
        ("we meet tomorrow at 17:30", datetime(2026, 3, 11, 16, 30, tzinfo=UTC)),
        ("we meet tomorrow", datetime(2026, 3, 11, tzinfo=UTC)),
        ("we meet next month", datetime(2026, 4, 1, tzinfo=UTC)),
        ("I leave at the end of the month", datetime(2026, 3, 31, tzinfo=UTC)),
        ("I leave in 30 minutes", datetime(2026, 3, 10, 11, 30, tzinfo=UTC)),
        ("I leave on 2026-05-01", datetime(2026, 5, 1, tzinfo=UTC)),
    ],
)
def test_the_event_date_is_the_moment_in_utc(said: str, moment: datetime) -> None:
    assert make_dates_absolute(said, AT).event_date == moment


def test_summer_time_between_the_message_and_the_event_is_counted() -> None:
    assert make_dates_absolute("we meet on April 1st at 5pm", AT).event_date == datetime(2026, 4, 1, 15, tzinfo=UTC)


def test_a_state_that_lasts_has_no_event_date() -> None:
    dated = make_dates_absolute("I have lived here since 2019", AT, "past")
    assert (dated.event_date, dated.open_ended) == (None, True)


def test_impossible_dates_do_no_harm() -> None:
    for said in (
        "on February 30",
        "on the 99th",
        "2026-13-45",
        "on April 31st, 2026",
        "in 999 years",
        "999 decades ago",
    ):
        make_dates_absolute(said, AT)


@pytest.mark.parametrize(
    ("text", "hour"), [("at noon", 12), ("at 9am", 9), ("at 12am", 0), ("at 3", 15), ("at 25", None)]
)
def test_times_of_day_are_read(text: str, hour: int | None) -> None:
    found = clock_in(text)
    assert (found.hour if found else None) == hour


@pytest.mark.parametrize(
    "said", ["I know Anna", "I love snow", "My unknown friend paints", "I live in a snowy town", "I call it nowism"]
)
def test_a_time_inside_another_word_is_none(said: str) -> None:
    assert make_dates_absolute(f"{said} since May 2020", AT).text == f"{said} since May 2020"


def test_no_phrase_of_the_grammar_is_passed_over() -> None:
    gold = json.loads((Path(__file__).parents[1] / "quality" / "extraction_gold.json").read_text(encoding="utf-8"))
    texts = {text for one in gold for text in (*one["expected"], *(m["content"] for m in one["messages"]))}
    timed = {text for text in texts if any(pattern.search(text) for pattern, _reading in _GRAMMAR)}
    assert len(timed) > 150
    assert not [text for text in timed if not may_tell_a_time(text)]
    assert sum(map(may_tell_a_time, texts - timed)) < len(texts - timed) / 4
