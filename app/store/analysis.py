"""Words as the text index sees them: the same analysis for what is stored and for what is asked.

The index gets stems, not texts. The search module's own stemming expands each query word into a union of the word
and its stem and adds both scores up; counting a stem once finds clearly more (measured: docs/retrieval.md).
"""

from __future__ import annotations

import hashlib
import re

from app.stemming import stem_word

_WORD = re.compile(r"[^\W_]+", re.UNICODE)

# The search module drops these when it indexes; one of them in a query would cut the union short.
INDEX_STOP_WORDS = frozenset(
    "a is the an and are as at be but by for if in into it no not of on or such that their then there these they "
    "this to was will with".split()
)
# Words of questions: they say nothing about what is asked (dropping them measured +5 recall points).
QUESTION_WORDS = frozenset(
    "about after again all also am any because been before being between both can could did do does doing done down "
    "each few from further had has have having he her here hers him his how i its just me more most my now only other "
    "our out over own same she should so some than them themselves through too under until up very we were what when "
    "where which while who whom whose why would you your yours s t d ll m re ve".split()
)


def words(text: str) -> list[str]:
    """The words of a text: letters and digits only, lower-case."""
    return [word.lower() for word in _WORD.findall(text)]


def stem(word: str) -> str:
    """The stem of a lower-case word; one that would read as a stop word keeps its ending."""
    stemmed = stem_word(word)
    return word if stemmed in INDEX_STOP_WORDS else stemmed


def stems(text: str) -> list[str]:
    """The stems of a text's words, in order, without the index's stop words."""
    return [stem(word) for word in words(text) if word not in INDEX_STOP_WORDS]


def digest(text: str) -> str:
    """Eight hex digits that two texts share when they have the same words in the same order."""
    return hashlib.blake2b(" ".join(words(text)).encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
