"""Filters as RediSearch query text (dialect 2).

No value is ever pasted into a query: tags are encoded to `[A-Za-z0-9_]` (see `keys`), words of a text query to
letters and digits, times to numbers.
"""

from __future__ import annotations

import math
import re
from datetime import datetime

from app.memory.filters import MemoryFilter, TagFilter, TimeFilter
from app.store import keys

_TAG_FIELDS = {
    "session_id": "sess",
    "namespace": "ns",
    "user_id": "user",
    "topics": "topics",
    "entities": "ents",
    "memory_type": "type",
    "extraction_strategy": "strat",
}
_TIME_FIELDS = {"created_at": "created", "last_accessed": "accessed", "event_date": "event"}
_FOLDED = ("topics", "ents")
_WORD = re.compile(r"[^\W_]+", re.UNICODE)
_QUOTED = re.compile(r'["\u201c\u201d]([^"\u201c\u201d]+)["\u201c\u201d]')
CURRENT = "-@old:{1}"

# RediSearch drops its own stop words when it indexes; one of them in a query would cut the union short. The others
# are words of questions: they say nothing about what is asked (dropping them measured +5 recall points).
_INDEX_STOP_WORDS = frozenset(
    "a is the an and are as at be but by for if in into it no not of on or such that their then there these they "
    "this to was will with".split()
)
_QUESTION_WORDS = frozenset(
    "about after again all also am any because been before being between both can could did do does doing done down "
    "each few from further had has have having he her here hers him his how i its just me more most my now only other "
    "our out over own same she should so some than them themselves through too under until up very we were what when "
    "where which while who whom whose why would you your yours s t d ll m re ve".split()
)


def compile_filter(condition: MemoryFilter) -> str:
    """The query text for a filter."""
    parts: list[str] = []
    if condition.ids is not None:
        parts.append(_one_of("id", condition.ids) if condition.ids else "@id:{__none__}")
    for name, filters in condition.tags.items():
        for tag_filter in filters:
            parts += _tag(_TAG_FIELDS[name], tag_filter)
    for name, time_filter in condition.times.items():
        parts += _time(_TIME_FIELDS[name], time_filter)
    return " ".join([*parts, _validity(condition.as_of)])


def _validity(as_of: datetime | None) -> str:
    """What is true now, or what was at a moment."""
    if as_of is None:
        return CURRENT
    return f"@from:[-inf {_seconds(as_of)}] -@to:[-inf {_seconds(as_of)}]"


def _value(field: str, value: str) -> str:
    encoded = keys.fold(value) if field in _FOLDED else keys.encode(value or None)
    return encoded.replace("-", "\\-") or "__none__"


def _one_of(field: str, values: tuple[str, ...], suffix: str = "") -> str:
    wanted = "|".join(_value(field, v) + suffix for v in values)
    if field == "topics":  # a topic is also found by its id and by the labels that it had before a refit
        return f"(@topics:{{{wanted}}}|@tals:{{{wanted}}})"
    return f"@{field}:{{{wanted}}}"


def _tag(field: str, f: TagFilter) -> list[str]:
    parts = []
    if f.eq is not None:
        parts.append(_one_of(field, (f.eq,)))
    if f.any is not None:
        parts.append(_one_of(field, f.any))
    if f.all is not None:
        parts += [_one_of(field, (value,)) for value in f.all]
    if f.startswith is not None:
        parts.append(_one_of(field, (f.startswith,), "*"))
    if f.ne is not None:
        parts.append(f"-{_one_of(field, (f.ne,))}")
    if f.none is not None:
        parts.append(f"-{_one_of(field, f.none)}")
    return parts


def _time(field: str, f: TimeFilter) -> list[str]:
    parts = []
    for value, low, high in (
        (f.gte, "{}", "+inf"),
        (f.gt, "({}", "+inf"),
        (f.lte, "-inf", "{}"),
        (f.lt, "-inf", "({}"),
    ):
        if value is not None:
            parts.append(f"@{field}:[{low} {high}]".replace("{}", _seconds(value)))
    if f.between is not None:
        low = "" if f.inclusive in ("both", "left") else "("
        high = "" if f.inclusive in ("both", "right") else "("
        parts.append(f"@{field}:[{low}{_seconds(f.between[0])} {high}{_seconds(f.between[1])}]")
    for value, sign in ((f.eq, ""), (f.ne, "-")):
        if value is not None:
            second = math.floor(value.timestamp())
            parts.append(f"{sign}@{field}:[{second} ({second + 1}]")
    return parts


def _seconds(value: datetime) -> str:
    return repr(value.timestamp())


def words(text: str) -> list[str]:
    """The words of a query text: letters and digits only, lower-case."""
    return [word.lower() for word in _WORD.findall(text)]


def compile_text(text: str) -> str | None:
    """A text query on the `text` field: words OR-ed, quoted phrases as phrases; None when no word is left."""
    phrases = [[w for w in words(phrase) if w not in _INDEX_STOP_WORDS] for phrase in _QUOTED.findall(text)]
    singles = [w for w in words(_QUOTED.sub(" ", text)) if w not in _INDEX_STOP_WORDS]
    telling = [w for w in singles if w not in _QUESTION_WORDS]
    clauses = [f'"{" ".join(phrase)}"' for phrase in phrases if phrase]
    clauses += dict.fromkeys(telling or ([] if clauses else singles))
    return f"@text:({'|'.join(clauses)})" if clauses else None
