"""Summaries without a language model: the sentences that say most, in their own words and order. Pure.

A sentence is worth more the rarer its words are in this conversation, if it holds numbers and names, if the user
speaks of themselves; less if it is a question or repeats another one. Half of the budget is spent evenly over the
course of the conversation, so that no part of it vanishes; half goes to the best sentences, wherever they are.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.memory.models import Message
from app.providers.tokens import count_tokens

NOTICE = "Earlier messages in their own words, chosen without a language model:"
EVEN_SHARE = 0.5
TOKENS_PER_STRETCH = 80
MAX_STRETCHES = 24
MAX_LINE_TOKENS = 80
REPEATS = 0.7
MANY_WORDS = 5
# A text that came without sources (a client's own context) weighs at least this share of what is new.
CONTEXT_SHARE = 1 / 3

_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"')\]]*\s+|\n+")
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_NAME = re.compile(r"(?<=[\w,;:] )[A-Z][\w'’-]+")
_LASTING = re.compile(
    r"\b(?:remember|important|always|never|allerg\w+|prefer\w*|birthday|anniversary|deadline|decided|agreed|promised|"
    r"favou?rite|name(?:d| is|'s)|called|lives?|moved|works?|married|born|diagnosed|address|appointment|budget|costs?|"
    r"must|code|number|password|meeting)\b",
    re.IGNORECASE,
)
_FIRST_PERSON = frozenset({"i", "my", "me", "mine", "we", "our", "us", "i'm", "i've", "i'd", "i'll", "we're", "we've"})
_COMMON = frozenset(
    "a an and are as at be been but by can could did do does don't for from get go got had has have he her him his how "
    "i if in is it its it's just like me my no not now of ok okay on one or our out really say she so some sure than "
    "thanks thank that that's the their them then there they this to too up us very was we well were what when where "
    "which who will with would yes you your".split()
)


@dataclass(frozen=True, slots=True)
class Passage:
    """A candidate for the summary; `weight` is how many messages it stands for."""

    speaker: str
    text: str
    weight: float = 1.0

    @property
    def line(self) -> str:
        """As it stands in a summary."""
        return f"- {self.speaker}: {self.text}" if self.speaker else f"- {self.text}"


def summarize(previous: str, covered: int, messages: Sequence[Message], budget_tokens: int) -> str:
    """A summary of at most `budget_tokens`: of a previous one, which stands for `covered` messages, and of messages."""
    known = _known(previous, max(float(covered), CONTEXT_SHARE * len(messages)))
    passages = [*known, *_passages(messages)]
    kept = select(passages, budget_tokens - count_tokens(NOTICE) - 1)
    lines = [passages[position].line for position in kept]
    return "\n".join([NOTICE, *lines]) if lines else clip(previous, budget_tokens)


def condense(text: str, budget_tokens: int) -> str:
    """A text as it is if it fits into the budget, else its sentences that say most."""
    if count_tokens(text) <= budget_tokens:
        return text
    passages = [Passage("", sentence) for sentence in sentences(text)]
    kept = select(passages, budget_tokens)
    condensed = "\n".join(passages[position].text for position in kept)
    return condensed if condensed and count_tokens(condensed) <= budget_tokens else clip(text, budget_tokens)


def representative(lines: Sequence[str], count: int) -> list[str]:
    """At most `count` lines that say most, in their order."""
    if len(lines) <= count:
        return list(lines)
    kept = select([Passage("", line) for line in lines], count, sizes=[1] * len(lines))
    return [lines[position] for position in kept]


def clip(text: str, budget_tokens: int) -> str:
    """The beginning of a text, cut after a word, at most `budget_tokens` long."""
    if count_tokens(text) <= budget_tokens:
        return text
    words = text.split()
    low, high = 0, len(words)
    while low < high:
        middle = (low + high + 1) // 2
        if count_tokens(" ".join(words[:middle]) + " …") <= budget_tokens:
            low = middle
        else:
            high = middle - 1
    return " ".join(words[:low]) + " …" if low else ""


def sentences(text: str) -> list[str]:
    """Sentences and lines of a text, very short ones joined to the one before."""
    found: list[str] = []
    for part in _SENTENCE_END.split(text):
        sentence = part.strip()
        if not sentence:
            continue
        if found and len(sentence.split()) < 3 and not sentence.endswith("?"):
            found[-1] = f"{found[-1]} {sentence}"
        else:
            found.append(sentence)
    return found


def select(passages: Sequence[Passage], budget_tokens: int, sizes: Sequence[int] | None = None) -> list[int]:
    """Positions of the passages that say most and fit into the budget, in order."""
    if sizes is None:
        sizes = [count_tokens(passage.line) + 1 for passage in passages]
    bags = [_bag(passage.text) for passage in passages]
    scores = _scores(passages, bags)
    chosen = _Choice(bags, scores, sizes, budget_tokens)
    stretches = list(_stretches(passages, max(3, min(MAX_STRETCHES, budget_tokens // TOKENS_PER_STRETCH))))
    for stretch in stretches:
        chosen.take(stretch, EVEN_SHARE * budget_tokens / len(stretches))
    chosen.take(range(len(passages)), budget_tokens)
    return sorted(chosen.positions)


class _Choice:
    """What has been chosen so far; the best passage that repeats none of the chosen is next."""

    def __init__(
        self, bags: Sequence[frozenset[str]], scores: Sequence[float], sizes: Sequence[int], budget_tokens: int
    ) -> None:
        self.positions: list[int] = []
        self._bags = bags
        self._scores = scores
        self._sizes = sizes
        self._left = budget_tokens
        self._refused: set[int] = set()

    def take(self, positions: Sequence[int], budget: float) -> None:
        """Take the best of these for a budget of their own, as far as the whole budget reaches."""
        for position in sorted(positions, key=lambda p: -self._scores[p]):
            size = self._sizes[position]
            if position in self._refused or size > min(budget, self._left):
                continue
            self._refused.add(position)
            if any(_alike(self._bags[position], self._bags[other]) > REPEATS for other in self.positions):
                continue
            self.positions.append(position)
            self._left -= size
            budget -= size


def _known(previous: str, weight: float) -> list[Passage]:
    lines = [line.strip() for line in previous.splitlines() if line.strip() and line.strip() != NOTICE]
    found = []
    for line in lines:
        if line.startswith("- "):
            speaker, colon, text = line[2:].partition(": ")
            plain = not colon or " " in speaker
            found.append(Passage("", line[2:]) if plain else Passage(speaker, text))
        else:
            found += [Passage("", sentence) for sentence in sentences(line)]
    return [Passage(p.speaker, p.text, weight / len(found)) for p in found]


def _passages(messages: Sequence[Message]) -> Iterator[Passage]:
    asked = ""
    for message in messages:
        said = sentences(message.content)
        if asked and len(said) == 1 and len(said[0].split()) <= 4:
            # "Lisbon." says something only together with "Where do you live?".
            said = [f"{said[0]} (asked: {asked})"]
        for sentence in said:
            yield Passage(message.role, clip(sentence, MAX_LINE_TOKENS), 1 / len(said))
        asked = said[-1] if said and said[-1].endswith("?") and len(said[-1]) < 200 else ""


def _bag(text: str) -> frozenset[str]:
    """The words that tell sentences apart; all numbers count as one word."""
    words = (word.lower().replace("’", "'") for word in _WORD.findall(text))
    return frozenset("#" if word[0].isdigit() else word for word in words if word not in _COMMON)


def _scores(passages: Sequence[Passage], bags: Sequence[frozenset[str]]) -> list[float]:
    spread = Counter(word for bag in bags for word in bag)
    whole = math.log(len(bags) + 1) or 1.0

    def rarity(word: str) -> float:
        return math.log((len(bags) + 1) / (spread[word] or 1)) / whole

    scores = []
    for passage, bag in zip(passages, bags, strict=True):
        text = passage.text
        words = [word.lower() for word in _WORD.findall(text)]
        score = 2.0 * sum(map(rarity, bag)) / max(MANY_WORDS, len(bag))
        if "#" in bag:
            score += rarity("#")
        score += 0.5 * sum(sorted((rarity(name.lower()) for name in _NAME.findall(text)), reverse=True)[:3])
        score += 0.5 * (not _FIRST_PERSON.isdisjoint(words)) + 0.6 * bool(_LASTING.search(text))
        score -= 1.0 * text.endswith("?") + 0.5 * (passage.speaker not in ("user", "")) + 0.5 * (len(words) < 4)
        scores.append(score)
    return scores


def _stretches(passages: Sequence[Passage], count: int) -> Iterator[list[int]]:
    """The positions in `count` runs of about equal weight."""
    whole = sum(passage.weight for passage in passages) or 1.0
    runs: list[list[int]] = [[] for _ in range(count)]
    before = 0.0
    for position, passage in enumerate(passages):
        runs[min(count - 1, int(before / whole * count))].append(position)
        before += passage.weight
    return (run for run in runs if run)


def _alike(one: frozenset[str], other: frozenset[str]) -> float:
    """Share of common words (Jaccard); two sentences without any words of their own are the same."""
    union = len(one | other)
    return len(one & other) / union if union else 1.0
