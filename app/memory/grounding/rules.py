"""Grounding without a language model: look pronouns up, make dates absolute."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from app.memory.extraction.dialogue import Turn
from app.memory.grounding.dates import make_dates_absolute
from app.memory.grounding.pronouns import resolve
from app.memory.grounding.referents import Discourse, Mention, Referent
from app.memory.grounding.reread import reread
from app.memory.grounding.rewrite import rewrite
from app.memory.models import Candidate, MemoryType
from app.providers.spacy_models import remember, spacy_model
from app.word_sets import word_set

if TYPE_CHECKING:
    from spacy.tokens import Doc, Span, Token

# "I decided to move in May": the date is that of the plan.
_AHEAD = word_set("decide plan agree arrange promise intend choose commit hope want schedule sign")
# "User's next check-up is on 2026-12-03": which one is said by the date.
_NEXT = re.compile(r"('s) (?:next|upcoming) (?=[a-z])")
# "User's cat Miso's name is Miso": the name was known already.
_NAMED_TWICE = re.compile(r"^(.{3,60}?) (\w+)'s name is \2$")
# "I quit in March": most likely done.
_SAME_IN_THE_PAST = word_set("quit put cut hit set shut split hurt cost broke")
_MONTH = re.compile(
    r"\b(?P<month>january|february|march|april|may|june|july|august|september|october|november|december)\b",
    re.IGNORECASE,
)
_NAMED_DAY = re.compile(rf"{_MONTH.pattern} \d{{1,2}}(?:st|nd|rd|th)?\b[^.!?]*$", re.IGNORECASE)
_BARE_DAY = re.compile(r"\bon the (?P<day>\d{1,2}(?:st|nd|rd|th)?)\b(?! of\b)", re.IGNORECASE)
_PAST = re.compile(r"^(?:VBD|VBN)$")


def ground_candidates(turns: Sequence[Turn], candidates: Sequence[Candidate], model: str) -> list[Candidate]:
    """The candidates rewritten so that they stand on their own, one for one, as far as rules can.

    `model` is the spaCy model that the turns were parsed with.
    """
    discourse = _read(turns)
    by_id = {turn.message.id: index for index, turn in enumerate(turns)}
    sources = [[by_id[source] for source in candidate.extracted_from if source in by_id] for candidate in candidates]
    docs = [
        _read_before(candidate.text, [turns[i] for i in found])
        for candidate, found in zip(candidates, sources, strict=True)
    ]
    grounded = list(zip(candidates, docs, sources, strict=True))
    unread = spacy_model(model).pipe([candidate.text for candidate, doc, found in grounded if found and doc is None])
    return [
        _grounded(candidate, next(unread) if doc is None else doc, turns, found, discourse, model)
        if found
        else candidate
        for candidate, doc, found in grounded
    ]


def _read_before(text: str, turns: Iterable[Turn]) -> Doc | None:
    """The parse of a statement that a message has word for word and as one clause: parsing is what grounding costs."""
    for turn in turns:
        for doc in turn.docs:
            start = doc.text.find(text)
            span = doc.char_span(start, start + len(text)) if start >= 0 else None
            if span is not None and len(_tops(span)) == 1:
                return span.as_doc()
    return None


def _tops(span: Span) -> list[Token]:
    """The words of a span that depend on none of its other words."""
    return [token for token in span if token.head == token or not span.start <= token.head.i < span.end]


def _read(turns: Iterable[Turn]) -> Discourse:
    """Everything mentioned in the conversation, in order."""
    discourse = Discourse()
    for index, turn in enumerate(turns):
        if turn.human and turn.speaker != "User":
            discourse.add(
                Mention(_speaker(turn.speaker, discourse), (index, -1), discourse.sentence, False, turn.speaker)
            )
        for passage, doc in zip(turn.passages, turn.docs, strict=True):
            resolve(doc, turn.speaker if turn.human else "User", discourse, index, passage.origin)
    return discourse


def _speaker(name: str, discourse: Discourse) -> Referent:
    from app.providers.entities import given_names

    known = discourse.find(lambda referent: referent.short == name)
    gender = {"f": "f", "m": "m"}.get(given_names().get(name.split()[0].lower(), ""), "")
    return known or Referent(name, name, "person", gender)


def _grounded(
    candidate: Candidate, doc: Doc, turns: Sequence[Turn], sources: Sequence[int], discourse: Discourse, model: str
) -> Candidate:
    """Pronouns are looked up where the statement was first made, dates counted from its latest source message."""
    index, turn, latest = sources[0], turns[sources[0]], turns[max(sources)]
    offset = max(turn.message.content.find(candidate.quote), 0) if candidate.quote else 0
    known = discourse.until((index, offset))
    resolution = resolve(doc, turn.speaker, known, index, offset)
    rewritten, changed = rewrite(doc, turn.speaker, resolution)
    dated = make_dates_absolute(
        _in_the_same_month(rewritten, turn.message.content[:offset]),
        latest.said_at,
        "past" if _is_past(doc) else "future",
    )
    event = dated.event_date
    kind = candidate.memory_type
    if event is not None:
        kind = MemoryType.EPISODIC
    elif dated.open_ended:
        kind = MemoryType.SEMANTIC
    dated = replace(dated, text=_NEXT.sub(r"\1 ", dated.text))
    text = _NAMED_TWICE.sub(r"\1's name is \2", dated.text[:1].upper() + dated.text[1:])
    again = reread(doc, changed, text)
    if again is not None:
        remember(text, again, model)
    return replace(
        candidate,
        text=text,
        memory_type=kind,
        event_date=candidate.event_date or event,
        created_at=candidate.created_at or turn.message.created_at,
    )


def _in_the_same_month(text: str, before: str) -> str:
    """The month that the same sentence named last holds on: "on July 3rd and coming back on the 10th"."""

    def dated(match: re.Match[str]) -> str:
        named = _NAMED_DAY.search(f"{before} {text[: match.start()]}")
        return f"on {named['month']} {match['day']}" if named else match.group()

    return _BARE_DAY.sub(dated, text)


def _is_past(doc: Doc) -> bool:
    root = next(iter(doc.sents)).root
    auxiliaries = [child for child in root.children if child.dep_ in ("aux", "auxpass")]
    if any(token.tag_ == "MD" for token in auxiliaries):
        return False
    if root.lemma_ in _AHEAD and any(child.dep_ == "xcomp" for child in root.children):
        return False
    if not auxiliaries and root.lower_ in _SAME_IN_THE_PAST and root.tag_ in ("VB", "VBP"):
        return True
    if auxiliaries:
        return any(token.tag_ == "VBD" or token.lemma_ == "have" for token in auxiliaries)
    return bool(_PAST.match(root.tag_))
