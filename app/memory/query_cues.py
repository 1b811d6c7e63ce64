"""What a query names: people and things by their words, times by the calendar. Cheap enough for every request."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from app.store.analysis import digest, words

_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_SEASONS = {"spring": (3, 4, 5), "summer": (6, 7, 8), "autumn": (9, 10, 11), "fall": (9, 10, 11), "winter": (12, 1, 2)}
_MONTH = "|".join(f"{name}|{name[:3]}" if name != "may" else name for name in _MONTHS)
_DAY = r"(\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"((?:19|20)\d\d)"
_ISO = re.compile(rf"\b{_YEAR}-(\d\d)(?:-(\d\d))?\b")
_DAY_MONTH = re.compile(rf"\b{_DAY}\s+(?:of\s+)?({_MONTH})\b\.?(?:,?\s+{_YEAR}\b)?")
_MONTH_DAY = re.compile(rf"\b({_MONTH})\.?\s+{_DAY}\b(?!\d)(?:,?\s+{_YEAR}\b)?")
_MONTH_YEAR = re.compile(rf"\b({_MONTH})\.?,?\s+(?:of\s+)?{_YEAR}\b")
# "may" and "march" are verbs too: alone they count only behind a preposition of time.
_IN_MONTH = re.compile(
    rf"\b(in|during|since|by|of|until|before|after|early|late|mid|last|this)[\s-]+({_MONTH})\b(?!\s+(?:be|have|not)\b)"
)
_BARE_MONTH = re.compile("|".join(rf"\b{name}\b" for name in _MONTHS if name not in ("may", "march")))
_SEASON = re.compile(rf"\b(?:(last|this)\s+)?({'|'.join(_SEASONS)})(?:\s+(?:of\s+)?{_YEAR})?\b")
_IN_YEAR = re.compile(rf"\b(?:in|during|since|of|until|before|after|early|late)\s+{_YEAR}\b")
_RELATIVE = re.compile(r"\b(today|yesterday|(?:last|this|past) (?:week|month|year))\b")
# What happened on a day is often told some days later.
_TOLD_LATER = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class QueryCues:
    """The words of a query, the digest of its text, and the times that it names (spans are half-open, in seconds)."""

    words: frozenset[str] = frozenset()
    digest: str = ""
    months: tuple[tuple[int | None, frozenset[int]], ...] = ()
    spans: tuple[tuple[float, float], ...] = ()

    @property
    def has_time(self) -> bool:
        """Whether the query names a time at all."""
        return bool(self.months or self.spans)

    def names(self, name: str) -> bool:
        """Whether all words of a (lower-case) name are in the query."""
        return bool(name) and all(word in self.words for word in name.split())

    def covers(self, seconds: float) -> bool:
        """Whether the query names the time of this moment."""
        if any(start <= seconds < end for start, end in self.spans):
            return True
        if not self.months:
            return False
        at = datetime.fromtimestamp(seconds, UTC)
        return any(year in (None, at.year) and at.month in months for year, months in self.months)


def cues_of(query: str, now: datetime) -> QueryCues:
    """Read a query; relative times count from `now`."""
    text = query.lower()
    months: set[tuple[int | None, frozenset[int]]] = set()
    spans: list[tuple[float, float]] = []
    for pattern, order in ((_DAY_MONTH, (3, 2, 1)), (_MONTH_DAY, (3, 1, 2)), (_ISO, (1, 2, 3))):
        for match in pattern.finditer(text):
            year, month, day = (match.group(group) for group in order)
            _add_day(months, spans, year, month, day)
        text = pattern.sub(" ", text)
    for match in _MONTH_YEAR.finditer(text):
        months.add((int(match.group(2)), frozenset({_month(match.group(1))})))
    text = _MONTH_YEAR.sub(" ", text)
    for match in _SEASON.finditer(text):
        which, season, year = match.groups()
        if which or year or re.search(rf"\b(in|during|over|the)\s+(the\s+)?{season}\b", text):
            spans_or_months = _season(which, season, int(year) if year else None, now)
            if isinstance(spans_or_months, tuple):
                spans.append(spans_or_months)
            else:
                months.add((None, spans_or_months))
    text = _SEASON.sub(" ", text)
    named = {_month(m.group(2)) for m in _IN_MONTH.finditer(text)} | {
        _month(m.group()) for m in _BARE_MONTH.finditer(text)
    }
    months |= {(None, frozenset({month})) for month in named}
    months |= {(int(m.group(1)), frozenset(range(1, 13))) for m in _IN_YEAR.finditer(text)}
    spans += [_relative(m.group(1), now) for m in _RELATIVE.finditer(text)]
    return QueryCues(frozenset(words(query)), digest(query), tuple(months), tuple(spans))


def _month(name: str) -> int:
    return next(number for number, full in enumerate(_MONTHS, 1) if full.startswith(name))


def _add_day(
    months: set[tuple[int | None, frozenset[int]]],
    spans: list[tuple[float, float]],
    year: str | None,
    month: str,
    day: str | None,
) -> None:
    number = int(month) if month.isdecimal() else _month(month)
    if not 1 <= number <= 12:
        return
    if year is None or day is None:
        months.add((int(year) if year else None, frozenset({number})))
        return
    try:
        start = datetime(int(year), number, int(day), tzinfo=UTC)
    except ValueError:
        return
    spans.append((start.timestamp(), (start + timedelta(days=1) + _TOLD_LATER).timestamp()))


def _season(which: str | None, season: str, year: int | None, now: datetime) -> tuple[float, float] | frozenset[int]:
    """A season of a certain year as a span, of any year as its months."""
    months = _SEASONS[season]
    if which is None and year is None:
        return frozenset(months)
    if year is None:
        begun = datetime(now.year, months[0], 1, tzinfo=UTC)
        year = now.year if begun <= now else now.year - 1
        if which == "last" and now.month in months:
            year -= 1
    start = datetime(year, months[0], 1, tzinfo=UTC)
    end = _first_of_next(_first_of_next(_first_of_next(start)))
    return start.timestamp(), end.timestamp()


def _relative(phrase: str, now: datetime) -> tuple[float, float]:
    midnight = datetime.combine(date(now.year, now.month, now.day), datetime.min.time(), UTC)
    which, _, unit = phrase.partition(" ")
    if phrase == "today":
        start, end = midnight, midnight + timedelta(days=1)
    elif phrase == "yesterday":
        start, end = midnight - timedelta(days=1), midnight
    elif unit == "week":
        monday = midnight - timedelta(days=midnight.weekday())
        start, end = (monday, monday + timedelta(days=7)) if which == "this" else (monday - timedelta(days=7), midnight)
    elif unit == "month":
        first = midnight.replace(day=1)
        start = first if which == "this" else (first - timedelta(days=1)).replace(day=1)
        end = _first_of_next(start)
    else:
        year = now.year if which == "this" else now.year - 1
        start, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    return start.timestamp(), end.timestamp()


def _first_of_next(month: datetime) -> datetime:
    return (month.replace(day=1) + timedelta(days=32)).replace(day=1)
