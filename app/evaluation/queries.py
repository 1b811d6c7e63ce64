"""Query sets from a tenant's own memories, without a language model: known items asked for in other words."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from app.memory.models import Memory
from app.store.analysis import INDEX_STOP_WORDS, QUESTION_WORDS, digest, stem, words

TELLING_WORDS = 4
MIN_WORDS = 4


@dataclass(frozen=True, slots=True)
class Query:
    """A query, how it was made, and the ids that it should find."""

    text: str
    kind: str
    wanted: tuple[str, ...]


def queries_of(memories: Sequence[Memory], count: int, *, seed: int = 0) -> list[Query]:
    """About `count` queries, the same for the same memories and seed.

    Of each chosen memory, in turn: `keywords` (its rarest words, in their order: what a search box gets), `part` (the
    second half of its words: what somebody remembers), `blurred` (every third word missing). Memories that say the
    same are wanted together.
    """
    told = [m for m in memories if len(set(words(m.text))) >= MIN_WORDS]
    chosen = sorted(told, key=lambda m: hashlib.blake2b(f"{seed}\0{m.id}".encode(), digest_size=8).digest())[:count]
    documents = Counter(term for m in told for term in set(map(stem, words(m.text))))
    same: dict[str, list[str]] = {}
    for memory in memories:
        same.setdefault(digest(memory.text), []).append(memory.id)
    makers = (_keywords, _part, _blurred)
    queries = []
    for number, memory in enumerate(chosen):
        make = makers[number % len(makers)]
        text = make(words(memory.text), documents, len(told))
        queries.append(Query(text, make.__name__.removeprefix("_"), tuple(same[digest(memory.text)])))
    return queries


def _keywords(said: list[str], documents: Counter[str], size: int) -> str:
    telling = [w for w in dict.fromkeys(said) if w not in INDEX_STOP_WORDS and w not in QUESTION_WORDS] or said
    rarest = sorted(telling, key=lambda w: -math.log(size / max(1, documents[stem(w)])))[:TELLING_WORDS]
    return " ".join(word for word in telling if word in rarest)


def _part(said: list[str], _documents: Counter[str], _size: int) -> str:
    return " ".join(said[len(said) // 2 :])


def _blurred(said: list[str], _documents: Counter[str], _size: int) -> str:
    return " ".join(word for place, word in enumerate(said) if place % 3)
