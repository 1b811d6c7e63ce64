"""Relative dates made absolute: "yesterday" becomes "on 2026-03-09", counted from when it was said.

A small grammar of the phrases people use in conversation, rather than a general date parser: those find single
dates, but not what to write in their place ("on", "in the week of", "since"), and they guess where a guess is
wrong (every "may" a month). What the grammar does not know stays as it is, and `verify` holds the memory back.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from app.memory.grounding import periods
from app.memory.grounding.periods import MONTHS, Period, Tense, Unit
from app.word_sets import word_set

_NUMBERS = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
    "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30,
    "a couple of": 2, "couple of": 2, "a few": 3, "few": 3, "several": 4, "half a": 0,
}  # fmt: skip
_VAGUE_NUMBERS = frozenset(("a couple of", "couple of", "a few", "few", "several"))

_MONTH = r"(?P<month>january|february|march|april|may|june|july|august|september|october|november|december)"
_MONTH_ANY = _MONTH.replace("(?P<month>", "(?P<month>(?:").replace("december)", "december)|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\\.?")  # noqa: E501  # fmt: skip
_WEEKDAY = r"(?P<weekday>monday|tuesday|wednesday|thursday|friday|saturday|sunday)"
_NUMBER = (
    r"(?P<number>\d{1,3}|a couple of|a few|" + "|".join(sorted(set(_NUMBERS) - {"half a"}, key=len, reverse=True)) + ")"
)
_UNIT = r"(?P<unit>minute|hour|day|week|fortnight|month|year|decade)s?"
_RELATION = r"(?P<relation>last|this past|past|this coming|coming|upcoming|this|next)"
_PREP = (
    r"(?:(?P<prep>on|in|at|by|since|until|till|from|before|after|to|of|for|during|over|through|around|about|between|"
    r"starting)\s+(?:the\s+(?=week|month|day|last|next|past|coming|upcoming))?)?"
)
_PART = r"(?:\s+(?P<part>morning|afternoon|evening|night))?"
_SEASON = r"(?P<season>spring|summer|fall|autumn|winter)"
_HOLIDAY = (
    r"(?P<holiday>christmas eve|christmas|thanksgiving|halloween|easter|new year's eve|new year's day|valentine's day)"
)
_ORDINAL = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_CLOCK = re.compile(
    r"\b(?:at|around|from|by)\s+(?:(?P<h>\d{1,2})(?::(?P<m>\d{2}))?\s*(?P<half>[ap]\.?m\.?)?\b|(?P<word>noon|midnight))",
    re.IGNORECASE,
)
_HABITUAL = re.compile(
    r"\b(?:every|each|usually|always|often|normally|typically|generally|sometimes|most|"
    r"(?:mon|tues|wednes|thurs|fri|satur|sun)days|weekdays|weekends|birthday|born|anniversary|annual|annually|yearly)\b",
    re.IGNORECASE,
)
# A weekday that repeats is not a date: "every Monday", "on Mondays", "the Friday stand-up".
_REPEATS = re.compile(r"\b(?:every|each|most|alternate|other)\s+(?:\w+\s+(?:and|or|,)\s+)*$", re.IGNORECASE)
# "the Friday stand-up", "our Monday meetings": which one, not when.
_ATTRIBUTE = re.compile(r"\b(?:the|a|an|my|our|his|her|their)\s+(?:\w+\s+)?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Dated:
    """A text whose relative times are absolute, and the moment it is about (None: undated)."""

    text: str
    event_date: datetime | None = None
    open_ended: bool = False
    """The date only bounds a lasting state ("since 2019"): no event."""


@dataclass(frozen=True, slots=True)
class _Said:
    """When something was said, and in which tense."""

    at: datetime
    tense: Tense

    @property
    def day(self) -> date:
        return self.at.date()


_Reading = Callable[["re.Match[str]", _Said], "Period | str | None"]


def _relation(match: re.Match[str]) -> str:
    found = (match["relation"] or "").lower()
    return {"this past": "last", "past": "last", "this coming": "coming", "upcoming": "coming"}.get(found, found)


def _near_day(match: re.Match[str], said: _Said) -> Period:
    word = match["near"].lower()
    shift = {"yesterday": -1, "tomorrow": 1, "the day before yesterday": -2, "the day after tomorrow": 2}.get(word, 0)
    part = (match["part"] or "").lower()
    if word == "last night":
        shift, part = -1, "night"
    elif word == "tonight":
        part = "evening"
    elif word.startswith("this "):
        part = word.split()[1]
    return periods.day(said.day + timedelta(days=shift), part=part)


def _weekday(match: re.Match[str], said: _Said) -> Period | None:
    if _REPEATS.search(match.string[: match.start()]):
        return None
    if not (match["prep"] or match["relation"]) and _HABITUAL.search(match.string):
        return None
    if match["prep"] in ("on", "from") and not match["relation"] and _HABITUAL.search(match.string):
        return None
    if not (match["prep"] or match["relation"]) and _ATTRIBUTE.search(match.string[: match.start()]):
        return None
    tense: Tense = "past" if (match["prep"] or "").lower() == "since" else said.tense
    found = periods.weekday(match["weekday"].lower(), said.day, tense, _relation(match))
    return periods.day(found.start, part=(match["part"] or "").lower())


def _unit_relation(match: re.Match[str], said: _Said) -> Period:
    shift = {"last": -1, "next": 1, "coming": 1}.get(_relation(match), 0)
    if match["unit_name"].lower() == "weekend" and _relation(match) == "coming":
        shift = 0
    return periods.relative_unit(match["unit_name"].lower(), said.day, shift)


def _of_this(match: re.Match[str], said: _Said) -> Period:
    return periods.relative_unit(match["unit_name"].lower(), said.day, 0)


def _after_next(match: re.Match[str], said: _Said) -> Period:
    return periods.relative_unit(match["unit_name"].lower(), said.day, 2)


def _count(match: re.Match[str]) -> int:
    number = match["number"].lower()
    return int(number) if number.isdecimal() else _NUMBERS[number]


def _approximately(match: re.Match[str], period: Period) -> Period:
    if match["number"].lower() in _VAGUE_NUMBERS or (match.groupdict().get("hedge")):
        return Period(period.unit, period.start, part=period.part, approximate=True)
    return period


def _ago(match: re.Match[str], said: _Said) -> Period:
    return _approximately(match, periods.shifted(said.at, -_count(match), match["unit"].lower()))


def _ahead(match: re.Match[str], said: _Said) -> Period | None:
    if said.tense == "past" and match["prep2"].lower() == "in":
        return None  # "I finished it in two weeks" is a duration
    return _approximately(match, periods.shifted(said.at, _count(match), match["unit"].lower()))


def _within(match: re.Match[str], said: _Said) -> str:
    return f"by {periods.shifted(said.at, _count(match), match['unit'].lower()).label}"


def _lasting(match: re.Match[str], said: _Said) -> str:
    return f"since {periods.shifted(said.at, -(_count(match) if match['number'] else 1), match['unit'].lower()).label}"


def _stretch(match: re.Match[str], said: _Said) -> str:
    side = "after" if match["side"].lower() in ("next", "coming") else "before"
    return f"in the {match['number']} {match['unit']}{'' if _count(match) == 1 else 's'} {side} {said.day.isoformat()}"


def _month_number(name: str) -> int:
    return next(index for index, month in enumerate(MONTHS, 1) if month.startswith(name.lower().rstrip(".")[:3]))


def _month_name(match: re.Match[str], said: _Said) -> Period | None:
    if _HABITUAL.search(match.string) and not match["relation"]:
        return None
    tense: Tense = "past" if (match["prep"] or "").lower() == "since" else said.tense
    return periods.named_month(_month_number(match["month"]), said.day, tense, _relation(match))


def _calendar_day(match: re.Match[str], said: _Said) -> Period | None:
    number = int(match["day"])
    year = match.groupdict().get("year")
    if year:
        try:
            return periods.day(date(int(year), _month_number(match["month"]), number))
        except ValueError:
            return None
    if _HABITUAL.search(match.string):
        return None
    return periods.month_day(_month_number(match["month"]), number, said.day, said.tense)


def _ordinal_day(match: re.Match[str], said: _Said) -> Period | None:
    number = int(match["day"])
    if _HABITUAL.search(match.string) or not 1 <= number <= 31:
        return None
    of_next = (match.groupdict().get("of") or "").lower()
    shift = 1 if of_next == "next" or (not of_next and said.tense == "future" and number < said.day.day) else 0
    shift = -1 if not of_next and said.tense == "past" and number > said.day.day else shift
    try:
        return periods.day(periods.month_of(said.day, shift).start.replace(day=number))
    except ValueError:
        return None


def _season(match: re.Match[str], said: _Said) -> Period | None:
    if _HABITUAL.search(match.string) and not match["relation"]:
        return None
    return periods.season(match["season"].lower(), said.day, said.tense, _relation(match))


def _seasons_ago(match: re.Match[str], said: _Said) -> Period:
    last = periods.season(match["season"].lower(), said.day, "past", "last")
    return Period(last.unit, last.start.replace(year=last.start.year - _count(match) + 1), name=last.name)


def _holiday(match: re.Match[str], said: _Said) -> Period | None:
    if _HABITUAL.search(match.string) and not match["relation"]:
        return None
    return periods.holiday(match["holiday"].lower(), said.day, said.tense, _relation(match))


def _iso(match: re.Match[str], _said: _Said) -> Period | None:
    try:
        return periods.day(date.fromisoformat(match["iso"]))
    except ValueError:
        return None


def _month_year(match: re.Match[str], _said: _Said) -> Period:
    return Period(Unit.MONTH, date(int(match["year"]), _month_number(match["month"]), 1))


def _year(match: re.Match[str], _said: _Said) -> Period:
    return Period(Unit.YEAR, date(int(match["year"]), 1, 1))


def _shortly_before(_match: re.Match[str], said: _Said) -> str:
    return f"shortly before {said.day.isoformat()}"


def _some_time_before(_match: re.Match[str], said: _Said) -> str:
    return f"some time before {said.day.isoformat()}"


def _shortly_after(_match: re.Match[str], said: _Said) -> str:
    return f"soon after {said.day.isoformat()}"


def _turn_of_work(match: re.Match[str], said: _Said) -> str:
    side = {"last": "before", "next": "after"}.get(_relation(match), "of")
    return f"in the {match['turn']} {side} {said.day.isoformat()}"


def _nothing(_match: re.Match[str], _said: _Said) -> str:
    return ""


_YEAR = r"(?P<year>(?:19|20)\d{2})"
_GRAMMAR: tuple[tuple[re.Pattern[str], _Reading], ...] = tuple(
    (re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE), reading)
    for pattern, reading in (
        (rf"{_PREP}(?P<iso>\d{{4}}-\d{{2}}-\d{{2}})", _iso),
        (rf"{_PREP}{_MONTH_ANY} {_ORDINAL},? {_YEAR}", _calendar_day),
        (rf"{_PREP}(?:the )?{_ORDINAL}(?: of)? {_MONTH_ANY},? {_YEAR}", _calendar_day),
        (rf"{_PREP}{_MONTH_ANY} {_YEAR}", _month_year),
        (r"(?:about |around |roughly )?(?P<hedge>)" + _NUMBER + rf"\s+{_UNIT} ago", _ago),
        (rf"{_PREP}(?:the )?(?P<unit_name>week|weekend|month) after next", _after_next),
        (
            r"(?P<prep>on|by|since|until|from|for) the (?P<day>\d{1,2})(?:st|nd|rd|th) of (?P<of>next|this) month",
            _ordinal_day,
        ),
        (rf"(?P<prep>){_NUMBER} {_SEASON}s? ago", _seasons_ago),
        (
            rf"{_PREP}(?P<near>the day before yesterday|the day after tomorrow|day after tomorrow|yesterday|tomorrow|"
            rf"today|tonight|last night|this (?:morning|afternoon|evening)){_PART}",
            _near_day,
        ),
        (rf"for (?:the )?(?:last|past) (?:{_NUMBER} )?{_UNIT}", _lasting),
        (rf"(?:in|over|during|within) the (?P<side>last|past|next|coming) {_NUMBER} {_UNIT}", _stretch),
        (rf"within (?:the next )?{_NUMBER} {_UNIT}", _within),
        (rf"(?P<prep2>in)(?P<hedge> about| around| roughly)? {_NUMBER} {_UNIT}(?:'s? time)?(?! (?:of|per))", _ahead),
        (rf"{_NUMBER} {_UNIT} (?P<prep2>from now|from today)", _ahead),
        (rf"{_PREP}(?:{_RELATION} )?{_WEEKDAY}{_PART}", _weekday),
        (rf"{_PREP}{_RELATION} (?P<unit_name>week|weekend|month|quarter|year)", _unit_relation),
        (rf"{_RELATION} (?P<turn>sprint|semester|term|season|iteration|cycle)", _turn_of_work),
        (r"(?<=end )(?P<prep>of) the (?P<unit_name>week|month|quarter|year)", _of_this),
        (r"(?<=beginning )(?P<prep>of) the (?P<unit_name>week|month|quarter|year)", _of_this),
        (r"(?<=start )(?P<prep>of) the (?P<unit_name>week|month|quarter|year)", _of_this),
        (r"(?<=middle )(?P<prep>of) the (?P<unit_name>week|month|quarter|year)", _of_this),
        (rf"{_PREP}{_MONTH_ANY} {_ORDINAL}", _calendar_day),
        (rf"{_PREP}(?:the )?{_ORDINAL}(?: of)? {_MONTH_ANY}", _calendar_day),
        (r"(?P<prep>on|by|since|until|before|after|from|for) the (?P<day>\d{1,2})(?:st|nd|rd|th)", _ordinal_day),
        (
            r"(?P<prep>in|since|until|till|by|before|after|from|to|for|during|of|early|late|mid|around)\s+"
            rf"(?:{_RELATION} )?{_MONTH}(?! \d)",
            _month_name,
        ),
        (rf"(?P<prep>){_RELATION} {_MONTH}", _month_name),
        (rf"{_PREP}{_RELATION} {_SEASON}", _season),
        (rf"(?P<prep>in|since|until|by|before|after|during|over|for)\s+(?P<relation>)the {_SEASON}", _season),
        (rf"{_PREP}{_RELATION} {_HOLIDAY}", _holiday),
        (rf"(?P<prep>at|for|over|on|by|before|after|since|until)\s+(?P<relation>){_HOLIDAY}", _holiday),
        (rf"(?P<prep>in|since|until|by|before|after|from) {_YEAR}(?! \w+s\b)", _year),
        (r"the other (?:day|week|night|morning|evening)|just now|a (?:short )?while back", _shortly_before),
        (r"a (?:long )?(?:while|time) ago|years ago|ages ago|months ago|weeks ago|days ago", _some_time_before),
        (r"(?:very )?soon(?! after)|shortly(?! (?:before|after))|any day now", _shortly_after),
        (
            r"right now|at the moment|at present|currently|nowadays|these days|as of now|for now|by now|now|presently|"
            r"recently|lately|already|at this point|this time",
            _nothing,
        ),
    )
)

# Every phrase of the grammar has one of these words, a year or an ordinal. Most statements have none: no need to try
# thirty patterns on them.
_TELLING = {*MONTHS, *periods.WEEKDAYS, *periods.SEASON_STARTS} | word_set(
    """
    jan feb mar apr jun jul aug sep sept oct nov dec
    minute hour day week weekend fortnight month quarter year decade christmas thanksgiving halloween easter
    yesterday tomorrow today tonight night morning afternoon evening
    sprint semester term season iteration cycle ago soon shortly now while time moment present presently currently
    nowadays recently lately already point
    """
)
_FIGURES = re.compile(r"\d{4}|\d(?:st|nd|rd|th)\b", re.IGNORECASE)
_WORD = re.compile(r"[a-z]+")


def may_tell_a_time(text: str) -> bool:
    """Whether it is worth looking for relative dates in a text; never false where there is one."""
    words = _WORD.findall(text.lower())
    return any(w in _TELLING or w.rstrip("s") in _TELLING for w in words) or _FIGURES.search(text) is not None


def clock_in(text: str) -> time | None:
    """The time of day given in a text ("at 5pm"), if there is one."""
    for match in _CLOCK.finditer(text):
        if match["word"]:
            return time(12 if match["word"].lower() == "noon" else 0)
        hour, minute, half = int(match["h"]), int(match["m"] or 0), (match["half"] or "").lower()
        if hour > 23 or minute > 59 or (not half and not match["m"] and hour > 12):
            continue
        if half.startswith("p") and hour < 12:
            hour += 12
        elif half.startswith("a") and hour == 12:
            hour = 0
        elif not half and not match["m"] and 1 <= hour <= 7:
            hour += 12  # "at 3" is in the afternoon
        return time(hour, minute)
    return None


def make_dates_absolute(text: str, said_at: datetime, tense: Tense = "future") -> Dated:
    """Rewrite every relative time in `text`, counted from `said_at` (aware, in the speaker's time zone).

    `tense` decides between the last and the next Friday. The event date is the first dated moment that is not the
    start or end of a lasting state ("since March").
    """
    said = _Said(said_at, tense)
    found: list[tuple[int, int, Period | str, str]] = []
    for pattern, reading in _GRAMMAR if may_tell_a_time(text) else ():
        for match in pattern.finditer(text):
            if any(start < match.end() and match.start() < end for start, end, _, _ in found):
                continue
            ahead = (match.groupdict().get("prep") or "").lower() == "for"  # "I booked it for July"
            try:
                meaning = reading(match, _Said(said_at, "future") if ahead else said)
            except (ValueError, OverflowError):
                continue  # no such day: "on April 31st", "999 decades ago"
            if meaning is not None:
                groups = match.groupdict()
                found.append((*match.span(), meaning, (groups.get("prep") or "").lower()))
    found.sort(key=lambda item: item[0])
    clock = clock_in(text)
    pieces: list[str] = []
    position = 0
    event: datetime | None = None
    open_ended = False
    for start, end, meaning, prep in found:
        written, end = _written(text, start, end, meaning, prep)
        pieces += [text[position:start], written]
        position = end
        if isinstance(meaning, Period):
            if prep == "since":
                open_ended = True
            elif event is None:
                event = meaning.at(meaning.clock or clock).moment(said_at)
                if prep == "of" and text[:start].rstrip().lower().endswith("end"):
                    event = meaning.last_day()
        elif meaning.startswith("since"):
            open_ended = True
    rewritten = "".join([*pieces, text[position:]])
    rewritten = re.sub(r"\s+", " ", rewritten)
    rewritten = re.sub(r"\s+([,.;!?])", r"\1", rewritten).strip()
    return Dated(rewritten, event, open_ended and event is None)


def single_date(text: str) -> datetime | None:
    """Midnight UTC of the only ISO day that a text names; None for none, several or an impossible one."""
    days = set(re.findall(r"\b\d{4}-\d{2}-\d{2}\b", text))
    try:
        return datetime.combine(date.fromisoformat(days.pop()), time(), tzinfo=UTC) if len(days) == 1 else None
    except ValueError:
        return None


def _written(text: str, start: int, end: int, meaning: Period | str, prep: str) -> tuple[str, int]:
    """What to write for one phrase, and where the phrase ends (a possessive 's goes with it)."""
    if isinstance(meaning, str):
        return meaning, end
    possessive = re.match(r"[’']s?\s+", text[end:])
    if possessive and not re.match(r"[’']s\s+(?:a|an|the|my|our|gonna|going)\b", text[end:]):
        label = f"the {meaning.label.removeprefix('the ')} "
        return (f"{prep} {label}" if prep else label), end + possessive.end()
    if prep in ("early", "late", "mid"):
        return (f"{prep} {meaning.label}" if prep == "mid" else f"in {prep} {meaning.label}"), end
    before = text[:start].rstrip()
    subject = (not before or re.search(r"(?:\b(?:and|but|is|was|be)|[,;])$", before)) and not prep
    if subject and not before and re.match(r"\s+(?:is|was|will|works?|would|suits?)\b|[’']s\b", text[end:]):
        return meaning.label[0].upper() + meaning.label[1:], end
    written = meaning.phrase(prep)
    if meaning.clock and meaning.unit is Unit.DAY:
        written += f" at {meaning.clock:%H:%M}"
    if not before:
        written = written[0].upper() + written[1:]
    return written, end
