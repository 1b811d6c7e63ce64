"""Filters as RediSearch query text (dialect 2).

No value is ever pasted into a query: tags are encoded to `[A-Za-z0-9_]` (see `keys`), words of a text query to
letters and digits (see `analysis`), times to numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime

from app.memory.filters import MemoryFilter, TagFilter, TimeFilter
from app.store import keys
from app.store.analysis import INDEX_STOP_WORDS, QUESTION_WORDS, stem, stems, words

_TAG_FIELDS = {
    "session_id": "sess",
    "namespace": "ns",
    "user_id": "user",
    "topics": "topics",
    "entities": "ents",
    "memory_type": "type",
    "extraction_strategy": "strat",
}
# What a record leaves out where it is this (earlier ones say it), and the times that are `created` where left out.
UNSAID = {"sess": keys.NONE, "type": "semantic", "strat": "discrete"}
_AS_CREATED = ("accessed", "from")
_TIME_FIELDS = {"created_at": "created", "last_accessed": "accessed", "event_date": "event"}
_FOLDED = ("topics", "ents")
_QUOTED = re.compile(r'["\u201c\u201d]([^"\u201c\u201d]+)["\u201c\u201d]')
CURRENT = "-@old:{1}"
WORDS_WEIGHT = 1_000.0


def compile_filter(condition: MemoryFilter) -> str:
    """The query text for a filter."""
    parts: list[str] = []
    if condition.ids is not None:
        parts.append(f"({' | '.join(map(has_id, condition.ids))})" if condition.ids else "@id:{__none__}")
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
    moment = _seconds(as_of)
    return f"{_within('from', f'-inf {moment}')} -@to:[-inf {moment}]"


def has_id(memory_id: str) -> str:
    """A query for the memories with an id; records of 0.1 have it as a tag."""
    number = keys.number(memory_id)
    return f"(@idn:[{number} {number}] | @id:{{{keys.encode(memory_id) or '__none__'}}})"


def folded_from(memory_id: str) -> str:
    """A query for the memories into which one with that id was folded."""
    return f"@aka:{{{keys.encode(memory_id) or '__none__'}}}"


def has_slot(slots: Sequence[str]) -> str:
    """A query for the memories with one of these attributes: one is stored as a number, several are as a tag."""
    numbers = (f"@slotn:[{number} {number}]" for number in map(keys.number, slots))
    return f"({' | '.join(numbers)} | @slot:{{{'|'.join(slots)}}})"


def states(fingerprint: str) -> str:
    """A query for the memories with a fingerprint; records of 0.1 have it as a tag."""
    number = keys.number(fingerprint)
    return f"(@markn:[{number} {number}] | @fp:{{{fingerprint}}})"


def _encoded(value: str) -> str:
    return keys.encode(value or None)


def _value(field: str, value: str) -> str:
    encoded = keys.fold(value) if field in _FOLDED else _encoded(value)
    return encoded.replace("-", "\\-") or "__none__"


def _one_of(field: str, values: Sequence[str], prefixes: Sequence[str] = ()) -> str:
    wanted = "|".join([_value(field, v) for v in values] + [f"{_value(field, v)}*" for v in prefixes])
    if field == "topics":  # a topic is also found by its id and by the labels that it had before a refit
        return f"(@topics:{{{wanted}}}|@tals:{{{wanted}}})"
    unsaid = UNSAID.get(field)
    if unsaid and (unsaid in map(_encoded, values) or unsaid.startswith(tuple(map(_encoded, prefixes)))):
        return f"(@{field}:{{{wanted}}}|ismissing(@{field}))"
    return f"@{field}:{{{wanted}}}"


def _tag(field: str, f: TagFilter) -> list[str]:
    parts = []
    if f.eq is not None:
        parts.append(_one_of(field, (f.eq,)))
    if f.or_startswith is not None:
        parts.append(_one_of(field, f.any or (), f.or_startswith))
    elif f.any is not None:
        parts.append(_one_of(field, f.any))
    if f.all is not None:
        parts += [_one_of(field, (value,)) for value in f.all]
    if f.startswith is not None:
        parts.append(_one_of(field, (), (f.startswith,)))
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
            parts.append(_within(field, f"{low} {high}".replace("{}", _seconds(value))))
    if f.between is not None:
        low = "" if f.inclusive in ("both", "left") else "("
        high = "" if f.inclusive in ("both", "right") else "("
        parts.append(_within(field, f"{low}{_seconds(f.between[0])} {high}{_seconds(f.between[1])}"))
    for value, sign in ((f.eq, ""), (f.ne, "-")):
        if value is not None:
            second = math.floor(value.timestamp())
            parts.append(sign + _within(field, f"{second} ({second + 1}"))
    return parts


def _within(field: str, span: str) -> str:
    if field in _AS_CREATED:
        return f"(@{field}:[{span}] | (@created:[{span}] -@{field}:[-inf +inf]))"
    return f"@{field}:[{span}]"


def _seconds(value: datetime) -> str:
    return repr(value.timestamp())


def compile_text(text: str) -> list[str]:
    """The clauses of a text query, each one a stem or a quoted phrase of a memory's own words; empty: no word left."""
    phrases = [stems(phrase) for phrase in _QUOTED.findall(text)]
    singles = [word for word in words(_QUOTED.sub(" ", text)) if word not in INDEX_STOP_WORDS]
    telling = [word for word in singles if word not in QUESTION_WORDS]
    clauses = [f'@own:"{" ".join(phrase)}"' for phrase in phrases if phrase]
    chosen = telling or ([] if clauses else singles)
    return clauses + [f"@own|all:{term}" for term in dict.fromkeys(stem(word) for word in chosen)]


def any_clause(filter_query: str, clauses: list[str]) -> str:
    """A query for what matches the filter and at least one clause, scored by the clauses.

    The filter stands in each alternative: beside a union, the search module (2.10) leaves out some of the words that
    a memory has (measured: -7 recall points). And a scorer counts the tags of the filter as words, rare ones as
    telling words: the name of a small tenant would drown what is asked, by other amounts for long and short memories.
    A tag takes no weight, so the words get a large one (`WORDS_WEIGHT`).
    """
    weighted = (f"({clause} => {{ $weight: {WORDS_WEIGHT}; }})" for clause in clauses)
    return " | ".join(f"({filter_query} {clause})" for clause in weighted)
