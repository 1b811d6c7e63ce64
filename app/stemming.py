"""English stems. snowballstemmer's objects keep the word at hand in themselves: one for each thread."""

from __future__ import annotations

import threading
from functools import lru_cache

import snowballstemmer

_stemmers = threading.local()


@lru_cache(maxsize=20_000)
def stem_word(word: str) -> str:
    """The Porter2 stem of a lower-case word. Safe to call from any thread."""
    stemmer = getattr(_stemmers, "english", None)
    if stemmer is None:
        stemmer = _stemmers.english = snowballstemmer.stemmer("english")
    return str(stemmer.stemWord(word))
