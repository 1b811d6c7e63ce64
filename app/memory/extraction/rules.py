"""The extraction backend that needs no language model: grammar and word lists over a spaCy parse.

It finds fewer memories than a good model and invents none: every one is a clause that a person said, rewritten so
that it stands on its own.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from app.memory.extraction.answers import answered
from app.memory.extraction.corrections import Correction, correct, replaced_value
from app.memory.extraction.dialogue import APPLICATION_USER, Turn, read_dialogue
from app.memory.extraction.ellipsis import completed
from app.memory.extraction.profile_lists import listed
from app.memory.extraction.selection import is_one_off, speaks_of_the_past, worth_remembering
from app.memory.extraction.statements import Statement, statements
from app.memory.extraction.support import is_echo, recalled_lines
from app.memory.grounding.rules import ground_candidates
from app.memory.grounding.verify import verify
from app.memory.models import Candidate, ExtractionWindow, MemoryType
from app.memory.safety import is_injected
from app.providers.spacy_models import DEFAULT_MODEL, spacy_model

# "Explain fractions to my 8-year-old daughter": said beside the point, and true.
_MY_YOUNG = re.compile(
    r"\bmy ((?P<age>\d{1,2}|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"
    r"[- ](?:year|month|week)s?[- ]old "
    r"(?:son|daughter|child|kid|boy|girl|baby|toddler|nephew|niece|grandson|granddaughter|brother|sister|dog|cat|puppy|"
    r"kitten|horse))\b",
    re.IGNORECASE,
)
# From "let's role-play" on, "I" is somebody else.
_PLAY = re.compile(
    r"\b(?:let's|let us|can we|shall we|wanna|want to) (?:role-?play|pretend|play pretend|act out)\b|"
    r"\b(?:role-?play|pretend) (?:that )?(?:you|we|i)\b|"
    r"\byou(?:'re| are) (?:an?|the) [\w -]{2,30} and (?:i'm|i am) (?:an?|the) ",
    re.IGNORECASE,
)
_PLAY_ENDS = re.compile(
    r"\b(?:end of|stop|quit|leave|out of|back to) (?:the )?(?:role-?play|game|character|story|reality)\b", re.IGNORECASE
)
_WORD = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True, slots=True)
class _Read:
    window: ExtractionWindow
    turns: tuple[Turn, ...]


class RulesExtractor:
    """Extraction and grounding by rules (an `Extractor`). Holds no state but the last window's parse, per thread."""

    backend = "rules"

    def __init__(self, model: str = DEFAULT_MODEL) -> None:
        self.model_id = f"rules/{model}"
        self._model = model
        self._last = threading.local()

    def extract(self, window: ExtractionWindow, instructions: str = "") -> list[Candidate]:
        """What the people in `window.new` said that is worth remembering, still in their own words."""
        turns = self._read(window)
        echoes = recalled_lines(window)
        found: list[Candidate] = []
        playing = False
        for index, turn in enumerate(turns):
            if not turn.human:
                continue
            playing = bool(_PLAY.search(turn.message.content)) or (
                playing and not _PLAY_ENDS.search(turn.message.content)
            )
            if playing or not turn.new:
                continue
            for candidate in self._of_turn(turn, turns[:index], found):
                if not is_echo(candidate.text, echoes, turn.speaker):
                    found.append(candidate)
        return found

    def summarize(self, window: ExtractionWindow, *, max_words: int) -> str:
        """The previous summary and what the new messages say, the oldest sentences left out where it gets too long."""
        found = self.repair(window, self.extract(window))
        new = [c.text for c in found if not verify(c.text)]
        sentences = re.findall(r"[^.!?\s][^.!?]*(?:[.!?](?!\s|$)[^.!?]*)*[.!?]?", window.summary or "")
        known = [s.strip().rstrip(".") for s in sentences]
        kept: list[str] = []
        words = 0
        for sentence in reversed(list(dict.fromkeys([*known, *new]))):
            words += len(sentence.split())
            if words > max_words and kept:
                break
            kept.insert(0, sentence)
        return " ".join(f"{sentence}." for sentence in kept if sentence)

    def repair(self, window: ExtractionWindow, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The candidates rewritten, one for one: all of them, since they still speak in the first person."""
        if not candidates:
            return []
        return ground_candidates(self._read(window), candidates, self._model)

    def ground(self, window: ExtractionWindow, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The candidates that can be made to stand on their own; the others are left out."""
        standing: dict[str, Candidate] = {}
        for candidate in self.repair(window, candidates):
            if not verify(candidate.text):
                standing.setdefault(candidate.text, candidate)
        return list(standing.values())

    def _read(self, window: ExtractionWindow) -> tuple[Turn, ...]:
        """The window's turns; grounding right after extraction reuses the parse."""
        last: _Read | None = getattr(self._last, "read", None)
        if last is None or (last.window is not window and last.window != window):
            last = self._last.read = _Read(window, read_dialogue(window, spacy_model(self._model)))
        return last.turns

    def _of_turn(self, turn: Turn, earlier: Sequence[Turn], found: list[Candidate]) -> list[Candidate]:
        answer = answered(turn, earlier)
        if answer is not None:
            return [_candidate(turn, answer, turn.message.content.strip(), MemoryType.SEMANTIC)]
        candidates = [
            _candidate(turn, f"I have {_article(match['age'])} {match[1]}", match.group(), MemoryType.SEMANTIC)
            for match in _MY_YOUNG.finditer(turn.message.content)
            if not is_injected(turn.message.content, *match.span())
        ]
        candidates += [
            _candidate(turn, said, turn.message.content[start:end], MemoryType.SEMANTIC)
            for said, (start, end) in listed(turn.message.content)
            if not is_injected(turn.message.content, start, end)
        ]
        for passage, doc in zip(turn.passages, turn.docs, strict=True):
            for statement in statements(doc):
                start, end = passage.span(statement.start, statement.end)
                if is_injected(turn.message.content, start, end):
                    continue
                quote = turn.message.content[start:end].strip()
                correction = correct(statement, turn, earlier, [*found, *candidates])
                if correction is not None:
                    _apply(correction, found, candidates)
                    if correction.text:
                        candidates.append(_corrected(turn, correction, quote))
                    continue
                text = completed(statement, to_the_assistant=turn.speaker == APPLICATION_USER)
                if text is None and not worth_remembering(statement):
                    continue
                text = _taken_back(text or statement.text, statement.sentence.text, found, candidates)
                candidates.append(_candidate(turn, text, quote, _kind(statement)))
        return candidates


def _article(number: str) -> str:
    return "an" if re.match(r"8|11\b|18|eight|eleven", number) else "a"


def _candidate(turn: Turn, text: str, quote: str, kind: MemoryType) -> Candidate:
    return Candidate(
        text=text,
        extracted_from=(turn.message.id,),
        quote=quote,
        memory_type=kind,
        created_at=turn.message.created_at,
    )


def _corrected(turn: Turn, correction: Correction, quote: str) -> Candidate:
    """The corrected statement: quoted where it was first made, with the correction's own words beside it."""
    return Candidate(
        text=correction.text,
        extracted_from=tuple(dict.fromkeys((*correction.sources, turn.message.id))),
        quote=correction.corrected_quote,
        memory_type=MemoryType.SEMANTIC,
        created_at=turn.message.created_at,
        metadata={"corrected_by": quote},
    )


def _apply(correction: Correction, *lists: list[Candidate]) -> None:
    """Take back the candidate that a correction replaces."""
    for candidates in lists:
        if correction.replaced in candidates:
            candidates.remove(correction.replaced)


def _taken_back(text: str, sentence: str, *lists: list[Candidate]) -> str:
    """Such as "No, my flight is on the 21st, not the 20th": says the new value, and takes the old statement back."""
    match = replaced_value(text, sentence)
    if match is None:
        return text
    remaining, old = match
    words = set(_WORD.findall(remaining.lower()))
    for candidates in lists:
        for candidate in list(candidates):
            said = set(_WORD.findall(candidate.text.lower()))
            if set(_WORD.findall(old.lower())) <= said and len(words & said) >= 3:
                candidates.remove(candidate)
    return remaining


def _kind(statement: Statement) -> MemoryType:
    past = speaks_of_the_past(statement.head)
    return MemoryType.EPISODIC if is_one_off(past, statement.head) else MemoryType.SEMANTIC
