"""Is a candidate said in the conversation at all? The proof that every memory carries, and what has none.

A pure check, the same for all backends: the quoted span must stand in a message of someone who is heard; names and
numbers of the memory must occur in the window; its words must overlap with what it rests on; and it must be neither an
instruction nor a memory that was recalled into the conversation.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice

from app.memory.extraction.dialogue import ASSISTANT_ROLES, SYSTEM_ROLES, heard, speaker_of
from app.memory.models import Candidate, ExtractionWindow, Message
from app.memory.safety import injected_spans, is_injected, unsafe_memory
from app.stemming import stem_word
from app.word_sets import word_set

# Share of a memory's words that must occur in what it rests on; less when its quote is literal (paraphrase), more
# when there is none.
OVERLAP_WITHOUT_QUOTE = 0.5
SHORT_ANSWER_WORDS = 6
# What memories are surrounded with when they are put into a prompt: their ids, dates, bullets.
_RECALL_MARKS = re.compile(
    r"\((?:memory )?id:[^)\n]*\)|^[ \t]{0,9}(?:[-*•]|\d{1,3}[.)])\s|\[[\d:T Z+-]+\]", re.IGNORECASE | re.MULTILINE
)
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_NUMBER = re.compile(r"(?<![\w.,-])\d+(?:[.,]\d+)*(?![\w-])")
_MONTHS = r"january|february|march|april|may|june|july|august|september|october|november|december"
# Dates and clock times are computed from time stamps: their digits need not have been said.
_DATE = re.compile(
    rf"\b\d{{4}}-\d\d(?:-\d\d)?\b|\b(?:\d{{1,2}}(?:st|nd|rd|th)?\s+)?(?:{_MONTHS})\b(?:\s+\d{{1,2}}(?:st|nd|rd|th)?\b)?(?:,?\s+\d{{4}})?|"
    r"\bQ[1-4]\b|\b(?:19|20)\d\ds?\b|\b\d{1,2}:\d\d(?::\d\d)?\b|\b\d{1,2}\s*[ap]\.?m\b\.?|"
    r"\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b|\b(?:spring|summer|autumn|fall|winter)\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?<=[^.!?\s]\s)[\"'“(]?([A-Z][\w&.+#-]*[\w+#])")
_STOP_WORDS = word_set(
    """
    user the a an is are was were be been being am has have had do does did will would can could should may might
    must shall and or but of in on at to for from by with about as into over after before between than that this
    these those it its their his her they them he she who which what when where how not no nor so too very also there
    own s t ve re ll d m i me my we our us you your one's 's person people someone states said says mentioned
    """
)
_NUMBER_WORDS = dict(
    zip(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand half "
        "quarter dozen couple once twice first second third fourth fifth".split(),
        "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 30 40 50 60 70 80 90 100 1000 0.5 0.25 12 2 "
        "1 2 1 2 3 4 5".split(),
        strict=True,
    )
)


@dataclass
class Screened:
    """What passed, with its proof filled in, and why the rest was held back."""

    candidates: list[Candidate] = field(default_factory=list)
    held_back: Counter[str] = field(default_factory=Counter)


def screen(window: ExtractionWindow, candidates: Iterable[Candidate]) -> Screened:
    """Hold back what the conversation does not support; fill in sources and literal quotes of the rest."""
    ground = _Ground(window)
    result = Screened()
    for candidate in candidates:
        proven = ground.prove(candidate)
        if isinstance(proven, Candidate):
            result.candidates.append(proven)
        else:
            result.held_back[proven] += 1
    return result


def screen_passage(window: ExtractionWindow, text: str) -> tuple[str, Counter[str]]:
    """The same for a summary, sentence by sentence: what may stay of it, and why the rest may not."""
    ground = _Ground(window)
    kept: list[str] = []
    held_back: Counter[str] = Counter()
    for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z\"'“(])", text.strip()):
        if reason := ground.objection(sentence):
            held_back[reason] += 1
        else:
            kept.append(sentence)
    return " ".join(kept), held_back


class _Ground:
    """What a window's memories may rest on."""

    def __init__(self, window: ExtractionWindow) -> None:
        self._messages = [m for m in window.new if heard(m, window)]
        spoken = [m for m in (*window.context, *window.new) if heard(m, window) or m.role.lower() in ASSISTANT_ROLES]
        self._everything = spoken
        self._summary = window.summary or ""
        self._before = {m.id: before for before, m in zip([None, *spoken], spoken, strict=False)}
        self._all = "\n".join([window.summary or "", *(f"{speaker_of(m)}: {m.content}" for m in spoken)])
        self._names = _names_in(self._all)
        self._numbers = _numbers_in(self._all)
        self._recalled = recalled_lines(window)

    def prove(self, candidate: Candidate) -> Candidate | str:
        """The candidate with sources and quote, or why it is held back."""
        if reason := unsafe_memory(candidate.text):
            return reason
        cited = [m for m in self._messages if m.id in candidate.extracted_from]
        message, span = self._quoted(candidate.quote, cited)
        literal = span is not None
        if message is None or span is None:
            message, span = self._nearest(candidate.text, cited)
        if message is None or span is None:
            return "unsupported"
        if is_injected(message.content, *span):
            return "injected"
        quote = message.content[span[0] : span[1]].strip()
        sources = tuple(dict.fromkeys((*(m.id for m in cited), message.id)))
        if not self._overlaps(candidate.text, sources, literal=literal):
            return "unsupported"
        if self._unknown_names(candidate.text):
            return "unknown name"
        if self._unknown_numbers(candidate.text):
            return "unknown number"
        if is_echo(candidate.text, self._recalled, speaker_of(message)):
            return "echo"
        return replace(candidate, quote=quote, extracted_from=_in_order(sources, self._messages))

    def objection(self, sentence: str) -> str | None:
        """Why a sentence of a summary must go."""
        wanted = stems(sentence)
        ordered, plain = set(), set(stems(self._summary))
        for message in self._everything:
            spans = injected_spans(message.content)
            ordered |= {stem for a, b in spans for stem in stems(message.content[a:b])}
            start = 0
            for a, b in [*spans, (len(message.content), len(message.content))]:
                plain |= stems(message.content[start:a])
                start = max(start, b)
        if wanted and len(wanted & ordered - plain) * 2 >= len(wanted):
            return "injected"
        if reason := unsafe_memory(sentence):
            return reason
        if self._unknown_names(sentence):
            return "unknown name"
        return "unknown number" if self._unknown_numbers(sentence) else None

    def _quoted(self, quote: str, cited: Sequence[Message]) -> tuple[Message | None, tuple[int, int] | None]:
        """The message in which the quote stands, cited ones first, and where."""
        words = list(islice(_WORD.finditer(quote), 60))
        if not words:
            return None, None
        exact = quote[words[0].start() : words[-1].end()]
        pattern: re.Pattern[str] | None = None
        for message in dict.fromkeys((*cited, *self._messages)):
            if (start := message.content.find(exact)) >= 0:
                return message, (start, start + len(exact))
            if pattern is None:  # made only for quotes that were copied with other signs or in another case
                pattern = re.compile(r"[\W_]+".join(re.escape(word.group()) for word in words), re.IGNORECASE)
            if match := pattern.search(message.content):
                return message, match.span()
        return None, None

    def _nearest(self, text: str, cited: Sequence[Message]) -> tuple[Message | None, tuple[int, int] | None]:
        """The sentence that shares most with a text, for candidates without a literal quote."""
        wanted = stems(text)
        best: tuple[float, Message, tuple[int, int]] | None = None
        for message in cited or self._messages:
            asked = self._question_before(message)
            for match in re.finditer(r"[^.!?\n]+[.!?]*", message.content):
                shared = len(wanted & stems(match.group())) or 0.5 * len(wanted & asked)
                if shared and (best is None or shared > best[0]):
                    best = (shared, message, match.span())
        return (best[1], best[2]) if best else (None, None)

    def _question_before(self, message: Message) -> frozenset[str]:
        """What a short answer ("No.", "Three.") is about: the words of the question just before it."""
        before = self._before.get(message.id)
        short = len(message.content.split()) <= SHORT_ANSWER_WORDS
        return stems(before.content) if short and before and before.content.rstrip().endswith("?") else frozenset()

    def _overlaps(self, text: str, sources: Sequence[str], *, literal: bool) -> bool:
        wanted = stems(_DATE.sub(" ", text))
        if not wanted:
            return True
        own: set[str] = set()
        leading_to_it: set[str] = set()
        last = max((i for i, m in enumerate(self._everything) if m.id in sources), default=-1)
        for message in self._everything[: last + 1]:
            leading_to_it |= stems(message.content)
            if message.id in sources:
                own |= stems(message.content) | self._question_before(message)
        if literal:
            return bool(wanted & leading_to_it) or len(wanted) < 4
        return bool(wanted & own) and len(wanted & leading_to_it) >= OVERLAP_WITHOUT_QUOTE * len(wanted)

    def _unknown_names(self, text: str) -> bool:
        """Whether the memory names someone or something that nobody mentioned."""
        names = [m.group(1) for m in _NAME.finditer(_DATE.sub(" ", text))]
        unknown = [n for n in names if not self._mentioned(n)]
        # "New York City" for "NYC": known by its initials.
        initials = "".join(n[0] for n in unknown).lower()
        return bool(unknown) and initials not in self._names and initials[:-1] not in self._names

    def _mentioned(self, name: str) -> bool:
        parts = [p for p in re.split(r"[\W_]+", name.lower().removesuffix("'s")) if p]
        return name == "User" or all(p in self._names or p.rstrip("s") in self._names for p in parts)

    def _unknown_numbers(self, text: str) -> bool:
        return not _numbers_in(_DATE.sub(" ", text), digits_only=True) <= self._numbers


def _in_order(ids: Sequence[str], messages: Sequence[Message]) -> tuple[str, ...]:
    return tuple(m.id for m in messages if m.id in ids)


@lru_cache(maxsize=1_024)
def stems(text: str) -> frozenset[str]:
    """Stems of the content words of a text."""
    words = [w.replace("’", "'").removesuffix("'s") for w in _WORD.findall(text.lower())]
    return frozenset(stem_word(_NUMBER_WORDS.get(w, w)) for w in words if w not in _STOP_WORDS)


def _names_in(text: str) -> frozenset[str]:
    lowered = _WORD.findall(text.lower())
    return frozenset(part for word in lowered for part in (word, word.rstrip("s"), word.split("'")[0].split("’")[0]))


def _numbers_in(text: str, *, digits_only: bool = False) -> frozenset[str]:
    found = {n.replace(",", "") for n in _NUMBER.findall(text)}
    if not digits_only:
        found |= {n.replace(",", "") for n in re.findall(r"\d+(?:[.,]\d+)*", text)}
        found |= {_NUMBER_WORDS[w] for w in _WORD.findall(text.lower()) if w in _NUMBER_WORDS}
    return frozenset(found)


# -- memories recalled into the conversation -------------------------------------------------------------------------


def recalled_lines(window: ExtractionWindow) -> list[frozenset[str]]:
    """The lines of the window's system and tool messages, as word sets: recalled memories are there."""
    return [
        frozenset(_WORD.findall(line.lower()))
        for message in (*window.context, *window.new)
        if message.role.lower() in SYSTEM_ROLES and not heard(message, window)
        for line in re.split(r"[\n;]|(?<=[.!?])\s", _RECALL_MARKS.sub(" ", message.content))
        if len(_WORD.findall(line.lower())) >= 3
    ]


def is_echo(text: str, recalled: Sequence[frozenset[str]], speaker: str) -> bool:
    """Whether a statement nearly repeats a recalled memory, the change of person apart."""
    said = frozenset(_unpersoned(_WORD.findall(text.lower()), speaker))
    for line in recalled:
        words = frozenset(_unpersoned(line, speaker))
        if said and len(said & words) >= 0.85 * max(len(said), min(len(words), len(said) + 2)):
            return True
    return False


def _unpersoned(words: Iterable[str], speaker: str) -> list[str]:
    persons = {"i", "user", "the", "my", "s", "a", "an", "am", "is", "m", "are", "has", "have", "ve", speaker.lower()}
    plain = (re.split(r"['’]", word)[0] for word in words)
    return [word.rstrip("s") for word in plain if word not in persons]
