"""Stretches of the calendar, and how a memory names them so that a stranger understands."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

from app.word_sets import word_set

Tense = Literal["past", "future"]

MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
SEASON_STARTS = {"spring": 3, "summer": 6, "fall": 9, "autumn": 9, "winter": 12}
HOLIDAYS = {
    "christmas": (12, 25), "christmas eve": (12, 24), "thanksgiving": (11, 26), "halloween": (10, 31),
    "easter": (4, 5), "new year's eve": (12, 31), "new year's day": (1, 1), "valentine's day": (2, 14),
}  # fmt: skip
DAY_PARTS = {"morning": time(9), "afternoon": time(15), "evening": time(19), "night": time(21)}

# Prepositions that keep their meaning in front of an absolute date; others give way to "on" or "in".
_MEANINGFUL = word_set(
    """
    by since until till from before after to between of through for around about starting
    """
)  # fmt: skip


class Unit(enum.Enum):
    """How long a period is."""

    DAY = "day"
    WEEKEND = "weekend"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    SEASON = "season"
    YEAR = "year"
    HOLIDAY = "holiday"


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of the calendar that starts on `start`; `name` is set for seasons and holidays."""

    unit: Unit
    start: date
    name: str = ""
    part: str = ""
    """Part of the day: morning, afternoon, evening, night."""
    clock: time | None = None
    approximate: bool = False

    @property
    def label(self) -> str:
        """The period's absolute name, to stand behind a preposition: "2026-03-14", "March 2026"."""
        day = self.start.isoformat()
        if self.unit is Unit.DAY:
            return f"the {self.part} of {day}" if self.part else day
        if self.unit in (Unit.WEEK, Unit.WEEKEND):
            return f"the {self.unit.value} of {day}"
        if self.unit is Unit.MONTH:
            return f"{MONTHS[self.start.month - 1].capitalize()} {self.start.year}"
        if self.unit is Unit.QUARTER:
            return f"Q{(self.start.month + 2) // 3} {self.start.year}"
        if self.unit is Unit.YEAR:
            return str(self.start.year)
        return f"{self.name} {self.start.year}"

    def phrase(self, preposition: str = "") -> str:
        """The period with a preposition that fits: "on 2026-03-14", "in March 2026", "by 2026"."""
        if preposition in _MEANINGFUL:
            return f"{preposition} {self.label}"
        if self.approximate:
            return f"around {self.label}"
        if self.unit in (Unit.DAY, Unit.WEEKEND):
            return f"on {self.label}"
        return f"{'at' if self.unit is Unit.HOLIDAY else 'in'} {self.label}"

    def moment(self, tz: datetime) -> datetime:
        """When the period starts, in UTC.

        With a time of day, that moment in the time zone of `tz`. Without one the calendar date alone is meant, and
        it is given as midnight UTC so that no time zone shifts it to the day before.
        """
        clock = self.clock or DAY_PARTS.get(self.part)
        if clock is None or self.unit is not Unit.DAY:
            return datetime.combine(self.start, time(), tzinfo=UTC)
        return datetime.combine(self.start, clock, tzinfo=tz.tzinfo).astimezone(UTC)

    def last_day(self) -> datetime:
        """The period's last day, as `moment` gives a date without a time."""
        after = {
            Unit.WEEK: self.start + timedelta(days=7), Unit.MONTH: month_of(self.start, 1).start,
            Unit.QUARTER: month_of(self.start, 3).start, Unit.YEAR: year_of(self.start, 1).start,
        }.get(self.unit, self.start + timedelta(days=1))  # fmt: skip
        return datetime.combine(after - timedelta(days=1), time(), tzinfo=UTC)

    def at(self, clock: time | None) -> Period:
        """The same day with a time of day."""
        return replace(self, clock=clock) if clock else self


def day(start: date, **extra: object) -> Period:
    """A single day."""
    return Period(Unit.DAY, start, **extra)  # type: ignore[arg-type]


def week_of(when: date, shift: int = 0) -> Period:
    """The week (from Monday) that holds `when`, shifted by whole weeks."""
    return Period(Unit.WEEK, when - timedelta(days=when.weekday()) + timedelta(weeks=shift))


def weekend_of(when: date, shift: int = 0) -> Period:
    """The weekend (from Saturday) of the week that holds `when`, shifted by whole weeks."""
    return Period(Unit.WEEKEND, week_of(when, shift).start + timedelta(days=5))


def month_of(when: date, shift: int = 0) -> Period:
    """The month that holds `when`, shifted by whole months."""
    months = when.year * 12 + when.month - 1 + shift
    return Period(Unit.MONTH, date(months // 12, months % 12 + 1, 1))


def quarter_of(when: date, shift: int = 0) -> Period:
    """The quarter that holds `when`, shifted by whole quarters."""
    first = when.month - (when.month - 1) % 3
    return Period(Unit.QUARTER, month_of(date(when.year, first, 1), 3 * shift).start)


def year_of(when: date, shift: int = 0) -> Period:
    """The year that holds `when`, shifted by whole years."""
    return Period(Unit.YEAR, date(when.year + shift, 1, 1))


def relative_unit(unit: str, when: date, shift: int) -> Period:
    """Such as "last", "this" or "next" (`shift` -1, 0, 1) week, weekend, month, quarter or year."""
    makers = {
        "week": week_of, "weekend": weekend_of, "month": month_of, "quarter": quarter_of, "year": year_of
    }  # fmt: skip
    return makers[unit](when, shift)


def weekday(name: str, when: date, direction: Tense, relation: str = "") -> Period:
    """The day meant by a weekday's name, said on `when`.

    "next Friday" is the Friday of next week and "last Friday" the most recent one; a plain "Friday" is the nearest one
    in the direction of the tense, never today.
    """
    index = WEEKDAYS.index(name)
    if relation == "next":
        return day(week_of(when, 1).start + timedelta(days=index))
    if relation == "last" or (direction == "past" and relation != "coming"):
        return day(when - timedelta(days=(when.weekday() - index) % 7 or 7))
    return day(when + timedelta(days=(index - when.weekday()) % 7 or 7))


def named_month(month: int, when: date, direction: Tense, relation: str = "") -> Period:
    """The month meant by its name: the nearest in the direction of the tense, this month included."""
    this = date(when.year, month, 1)
    if relation == "this":
        return Period(Unit.MONTH, this)
    if relation == "last" or (direction == "past" and relation != "next"):
        passed = month < when.month or (month == when.month and relation != "last")
        return Period(Unit.MONTH, this if passed else this.replace(year=when.year - 1))
    ahead = month > when.month or (month == when.month and relation != "next")
    return Period(Unit.MONTH, this if ahead else this.replace(year=when.year + 1))


def month_day(month: int, number: int, when: date, direction: Tense) -> Period | None:
    """The day meant by "March 5": the nearest in the direction of the tense; None if there is no such day."""
    try:
        this = date(when.year, month, number)
        if direction == "past":
            return day(this if this <= when else this.replace(year=when.year - 1))
        return day(this if this >= when else this.replace(year=when.year + 1))
    except ValueError:
        return None


def season(name: str, when: date, direction: Tense, relation: str = "") -> Period:
    """The season meant by "last summer" or "this winter" (a winter belongs to the year in which it starts)."""
    start = date(when.year, SEASON_STARTS[name], 1)
    running = start <= when < month_of(start, 3).start
    wanted = "past" if relation == "last" else "future" if relation in ("next", "coming", "this") else direction
    if wanted == "past":
        over = month_of(start, 3).start <= when or (running and relation != "last")
        year = when.year if over else when.year - 1
    else:
        ahead = start > when or (running and relation != "next")
        year = when.year if ahead else when.year + 1
    return Period(Unit.SEASON, start.replace(year=year), name="fall" if name == "fall" else name)


def holiday(name: str, when: date, direction: Tense, relation: str = "") -> Period:
    """The holiday meant by "last Christmas" (movable feasts by their usual month)."""
    month, number = HOLIDAYS[name]
    wanted: Tense = "past" if relation == "last" else "future" if relation in ("next", "this", "coming") else direction
    found = month_day(month, number, when, wanted)
    start = found.start if found else date(when.year, month, 1)
    return Period(Unit.HOLIDAY, start, name=name.title().replace("'S", "'s"))


def shifted(when: datetime, count: int, unit: str) -> Period:
    """`count` units from `when` (negative: ago), as exactly as people mean it: "two years ago" is a year."""
    today = when.date()
    if unit in ("minute", "hour"):
        exact = when + timedelta(**{f"{unit}s": count})
        return day(exact.date(), clock=exact.time().replace(second=0, microsecond=0))
    if unit == "day":
        return day(today + timedelta(days=count))
    if unit in ("week", "fortnight"):
        return day(today + timedelta(weeks=count * (2 if unit == "fortnight" else 1)), approximate=True)
    if unit == "month":
        return month_of(today, count)
    return year_of(today, count * (10 if unit == "decade" else 1))
