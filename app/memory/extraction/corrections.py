"""Corrections: "actually it's Friday, not Thursday" says something only together with what it corrects.

The corrected statement is the earlier one with the new value in the place of the old one; the earlier candidate is
taken back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.memory.extraction.dialogue import Turn
from app.memory.extraction.statements import Statement, statements, tidy
from app.memory.models import Candidate

if TYPE_CHECKING:
    from spacy.tokens import Doc

_VALUE = r"(?:the |on |in |at |to |for |a |an )?(?P<new>[^,.;!]{2,40}?)"
_OLD = r"(?:the |on |in |at |to |for |a |an )?(?P<old>[^,.;!]{2,40}?)"
_SORRY = (
    r"(?:(?:actually|sorry|oops|wait|no|no wait|hold on|hmm|ah|oh|correction|scratch that|my bad|i mean|"
    r"my mistake|well|"
    r"not quite|small correction|i was wrong|i misspoke|i got that wrong|edit|nope|update)[,.!:;\s–—-]+)*"
)
_IS = (
    r"(?:it's|it is|it was|that's|that should be|it should be|they're|make that|make it|it will be|"
    r"it'll be|it's now|he's|she's)"
)
_PATTERNS = tuple(
    re.compile(rf"^{_SORRY}{pattern}[\s.!]*$", re.IGNORECASE)
    for pattern in (
        rf"(?:{_IS} )?(?:actually |really )?{_VALUE},? (?:and )?(?:not|instead of|rather than) {_OLD}",
        rf"(?:{_IS} )?not {_OLD}[,;]? (?:but |it's |it is )?{_VALUE}",
        rf"(?:i|we) (?:meant|mean)(?: to say)? {_VALUE}(?:,? not {_OLD})?",
        rf"(?:it|that) (?:got |was |has been |is )?(?:moved|changed|pushed|postponed|rescheduled|shifted)(?: back| forward)? to {_VALUE}",  # noqa: E501
        rf"(?:make that|make it|{_IS} actually|correction:?|scratch that,?) {_VALUE}",
    )
)
_FLAGGED = re.compile(
    rf"^(?:actually|sorry|oops|wait|no|no wait|hold on|correction|scratch that|my bad|"
    rf"my mistake)[,.!:;\s–—-]+(?:{_IS} )?(?:actually )?{_VALUE}[\s.!]*$",
    re.IGNORECASE,
)
_DAY = re.compile(
    r"\b(?:(?:this |next |last )?(?:mon|tues|wednes|thurs|fri|satur|sun)day|tomorrow|today|tonight)\b", re.IGNORECASE
)
_MONTH = re.compile(r"\b(?:january|february|march|april|may|june|july|august|september|october|november|december)\b(?: \d{1,2}(?:st|nd|rd|th)?)?", re.IGNORECASE)  # noqa: E501  # fmt: skip
_CLOCK = re.compile(r"\b\d{1,2}(?::\d\d)?\s?(?:[ap]\.?m\.?)\b|\b\d{1,2}:\d\d\b|\bnoon\b|\bmidnight\b", re.IGNORECASE)
_NUMBER = re.compile(r"\b(?:\d[\d,.]*|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b", re.IGNORECASE)
_NAME = re.compile(r"\b(?!I\b|I'm\b|My\b|The\b|We\b|Our\b)[A-Z][\w+#.-]*(?: [A-Z][\w+#.-]*)*")


_ORDINAL = re.compile(r"\b\d{1,2}(?:st|nd|rd|th)\b")
_NOT_THE_OLD = re.compile(r",? (?:and )?not (?:the |on |in |at |on the )?(?P<old>[\w:'. -]{2,30})$")
_FLAG = re.compile(
    r"^(?:no|actually|sorry|wait|oops|correction|scratch that|my bad|my mistake|hold on)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Correction:
    """A corrected statement (empty: the correction could not be applied), and the candidate it replaces."""

    text: str
    sources: tuple[str, ...] = ()
    corrected_quote: str = ""
    replaced: Candidate | None = None


def correct(statement: Statement, turn: Turn, earlier: Sequence[Turn], found: Sequence[Candidate]) -> Correction | None:
    """The correction that a statement makes, or None if it makes none.

    A correction whose target cannot be found is not stored either: on its own it would be a fragment.
    """
    sentence = statement.sentence.text.strip()
    old, new = _values(sentence)
    if new is None:
        return None
    for candidate in reversed(found):
        text = _replaced(candidate.text, old, new)
        if text is not None and candidate.metadata.get("speaker", turn.speaker) == turn.speaker:
            return Correction(text, candidate.extracted_from, candidate.quote, candidate)
    for said in reversed([before for before in earlier if before.human and before.speaker == turn.speaker]):
        for passage, doc in zip(reversed(said.passages), reversed(said.docs), strict=True):
            text, span = _in_context(doc, old, new)
            if text is not None:
                start, end = passage.span(*span)
                quoted = said.message.content[start:end].strip()
                return Correction(text, (said.message.id,), quoted)
    return Correction("")


def replaced_value(text: str, sentence: str) -> tuple[str, str] | None:
    """A whole statement that ends in ", not X": the statement without that, and X. Only where it corrects something."""
    match = _NOT_THE_OLD.search(text)
    if match is None or not (_FLAG.match(sentence) or _like(match["old"]) in (_DAY, _CLOCK, _MONTH, _ORDINAL)):
        return None
    return text[: match.start()], match["old"]


def _values(sentence: str) -> tuple[str | None, str | None]:
    """The old value (if it is said) and the new one; (None, None) for a sentence that corrects nothing."""
    bare = tidy(sentence)
    for said, pattern in ((said, pattern) for said in (sentence, bare) for pattern in _PATTERNS):
        match = pattern.match(said)
        if (
            match
            and len(match["new"].split()) <= 5
            and not re.search(r"\b(?:i|i'm|my|we|sure|really)\b", match["new"], re.IGNORECASE)
        ):
            return match.groupdict().get("old"), match["new"]
    match = _FLAGGED.match(sentence)
    if (
        match
        and len(match["new"].split()) <= 4
        and _like(match["new"]) is not None
        and not re.search(r"\b(?:i|i'm|i've|my|we|you)\b", match["new"], re.IGNORECASE)
    ):
        return None, match["new"]
    return None, None


def _like(value: str) -> re.Pattern[str] | None:
    """What a value of the same kind looks like."""
    return next((kind for kind in (_DAY, _CLOCK, _MONTH, _ORDINAL, _NAME, _NUMBER) if kind.search(value)), None)


def _replaced(text: str, old: str | None, new: str) -> str | None:
    """`text` with the new value in the place of the old one; None if there is no such place, or more than one."""
    if old is not None:
        pattern = re.compile(rf"(?:next |this )?\b{re.escape(old)}\b", re.IGNORECASE)
        return pattern.sub(lambda _: new, text, count=1) if pattern.search(text) else None
    kind = _like(new)
    if kind is None:
        return None
    places = [match for match in kind.finditer(text) if match.start() > 0]
    if len(places) != 1:
        return None
    value = kind.search(new)
    return text[: places[0].start()] + (value.group() if value else new) + text[places[0].end() :]


def _in_context(doc: Doc, old: str | None, new: str) -> tuple[str | None, tuple[int, int]]:
    """The same for a statement that was extracted in an earlier run, with its place in the passage."""
    for statement in reversed(list(statements(doc))):
        text = _replaced(statement.text, old, new)
        if text is not None and statement.subject is not None:
            return text, (statement.start, statement.end)
    return None, (0, 0)
