"""Topics without a fitted model: the telling noun phrases of a text.

BERTopic names what a deployment talks about once there is enough of it; until then, and for deployments that want
none of it, a memory's topics are its noun phrases: "peanut allergy", "job", "half marathon".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.providers.entities import given_names, technology_spans
from app.providers.spacy_models import DEFAULT_MODEL, parsed
from app.word_sets import word_set

if TYPE_CHECKING:
    from spacy.tokens import Doc, Span, Token

# Words that head a noun phrase without saying what it is about.
_EMPTY_NOUNS = word_set(
    """
    user thing things stuff lot lots bit kind sort way ways time times day days week weeks month months year
    years hour hours minute minutes morning afternoon evening night weekend today tomorrow yesterday one ones
    something anything everything nothing someone everyone people person man woman guy part piece number couple
    few end start beginning name names example fact case reason idea problem issue question answer point place
    places area side half spring summer autumn fall winter quarter daily weekly noon midnight everybody anyone
    others other use
    """
)
# Words that say which one, not what: dropped in front of a noun.
_EMPTY_MODIFIERS = word_set(
    """
    new old first last next other same different good great best better big small little own many much more most
    few several certain whole entire current previous favorite favourite usual recent sure able certain various
    nice late early local lovely huge main major
    """
)
# Verbs and adjectives that are a topic by themselves, when the text has them.
_TELLING = {
    "allergic": "allergy", "vegetarian": "diet", "vegan": "diet", "work": "work", "live": "home", "travel": "travel",
    "fly": "travel", "visit": "travel", "move": "moving", "study": "education", "learn": "learning", "marry": "family",
    "diagnose": "health", "run": "running", "swim": "swimming", "hike": "hiking", "cycle": "cycling", "cook": "cooking",
    "sing": "singing", "paint": "painting", "retire": "work", "graduate": "education", "migrate": "migration",
    "deploy": "deployment", "eat": "food", "drink": "drinks", "prefer": "preference", "like": "preference",
    "love": "preference", "enjoy": "preference", "hate": "preference", "read": "reading",
}  # fmt: skip
_FAMILY = word_set(
    """
    sister brother mother father mom mum dad wife husband son daughter parent kid child aunt uncle cousin niece
    nephew grandmother grandfather grandma grandpa partner fiance fiancee sibling twin
    """
)
_WORD = re.compile(r"^[^\W\d_][\w+#.'-]*$")


@dataclass(frozen=True, slots=True)
class _Phrase:
    text: str
    words: int
    position: int
    weight: float


class KeywordTopicModel:
    """Topics from noun phrases (a `TopicModel`); deterministic, no training."""

    def __init__(self, model: str = DEFAULT_MODEL) -> None:
        self.model_id = f"keywords/{model}"
        self._model = model

    def assign(self, texts: Sequence[str], *, top_k: int) -> list[list[str]]:
        """At most `top_k` lower-case topics per text, best first.

        Ranked by how much they say (two words before one), by how common they are in the batch, then by position.
        """
        if top_k <= 0:
            return [[] for _ in texts]
        phrases = [self._phrases(doc) for doc in parsed(texts, self._model)]
        common = Counter(text for found in phrases for text in {phrase.text for phrase in found})
        topics: list[list[str]] = []
        for found in phrases:
            ranked = sorted(found, key=lambda p: (-(p.weight + 0.1 * min(common[p.text] - 1, 5)), p.position))
            topics.append(_distinct([phrase.text for phrase in ranked])[:top_k])
        return topics

    def _phrases(self, doc: Doc) -> list[_Phrase]:
        skipped = {
            token.i
            for ent in doc.ents
            if ent.label_ in ("PERSON", "DATE", "TIME", "CARDINAL", "ORDINAL", "MONEY", "PERCENT", "QUANTITY")
            for token in ent
        }
        found: list[_Phrase] = []
        for span in technology_spans(doc, self._model):
            skipped.update(range(span.start, span.end))
            found.append(_Phrase(span.label_.lower(), 1, span.start, 1.1))
        for chunk in doc.noun_chunks:
            phrase = _topic(chunk, skipped)
            if phrase is not None:
                found.append(phrase)
        for token in doc:
            lemma = token.lemma_.lower()
            if token.pos_ in ("VERB", "ADJ") and lemma in _TELLING:
                found.append(_Phrase(_TELLING[lemma], 1, token.i, 0.55))
            elif token.pos_ == "NOUN" and lemma in _FAMILY:
                found.append(_Phrase("family", 1, token.i, 0.8))
            if lemma == "allergic":
                found.extend(_allergies(token))
        return found


def _topic(chunk: Span, skipped: set[int]) -> _Phrase | None:
    """The topic a noun chunk stands for: its noun with the words that narrow it down."""
    head = chunk.root
    if head.pos_ == "PRON" or head.i in skipped or head.lemma_.lower() in _EMPTY_NOUNS:
        return None
    if head.pos_ == "PROPN" and (head.ent_type_ == "PERSON" or head.lower_ in given_names()):
        return None
    words = [token for token in chunk if token.i <= head.i and _narrows(token, head, skipped)]
    words = words[-2:] if len(words) > 2 else words
    text = " ".join(token.lemma_.lower() if token.pos_ == "NOUN" else token.lower_ for token in words)
    text = text.replace(",", " ").strip()
    if len(text) < 2 or head.lemma_.lower() in _FAMILY:
        return None
    weight = {1: 0.9, 2: 1.2}[len(words)]
    if head.pos_ == "PROPN":
        weight -= 0.3
    return _Phrase(text, len(words), head.i, weight)


def _narrows(token: Token, head: Token, skipped: set[int]) -> bool:
    if token.i in skipped or not _WORD.match(token.text) or token.lower_ in _EMPTY_MODIFIERS:
        return False
    if token.i == head.i:
        return True
    if token.is_stop or token.ent_type_ == "PERSON":
        return False
    return token.dep_ in ("compound", "amod", "nmod") and token.head.i == head.i and token.pos_ != "PRON"


def _allergies(token: Token) -> list[_Phrase]:
    """Such as "allergic to peanuts" is the topic "peanut allergy"."""
    return [
        _Phrase(f"{obj.lemma_.lower()} allergy", 2, token.i, 1.5)
        for prep in token.children
        if prep.dep_ == "prep"
        for obj in prep.subtree
        if obj.dep_ in ("pobj", "conj") and obj.pos_ == "NOUN"
    ]


def _distinct(topics: list[str]) -> list[str]:
    """Without repeats and without topics that are a word of a better one ("peanut" beside "peanut allergy")."""
    kept: list[str] = []
    for topic in topics:
        if all(topic != other and topic not in other.split() for other in kept):
            kept.append(topic)
    return kept
