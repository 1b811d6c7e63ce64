"""Two texts that are one sentence with another thing in it: "the tap in the hall leaks", "the tap in the attic leaks".

Their vectors are near and most of their words are shared, as those of paraphrases are; but who says something again
in other words seldom keeps all the others, in their order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile

from app.memory.dedup.claim import LIGHT, stem
from app.word_sets import word_set

_WORD = re.compile(r"[\w'’&+#-]+")
# In English a thing follows one of these. A verb hardly ever does, and another word for a deed is no other deed.
_BEFORE_THINGS = word_set(
    "the a an this that his her its their my our your in on at of for from with without during by about into onto "
    "over under near through between against and or"
)
_BEFORE_TIMES = word_set("this last next every each in on during before after since until")
_LONGEST = 3


def other_thing(old: str, new: str) -> tuple[str, str] | None:
    """What stands in the place of what, where two texts are alike word by word but for one thing; None if not so."""
    first, second = _WORD.findall(old), _WORD.findall(new)
    start = _alike(first, second)
    end = _alike(first[start:][::-1], second[start:][::-1])
    before, after = first[start : len(first) - end], second[start : len(second) - end]
    if not (0 < len(before) <= _LONGEST and 0 < len(after) <= _LONGEST):
        return None
    if any(character.isdigit() for word in before + after for character in word):
        return None  # one number or day is written in many ways
    if not (_follows_lead(first, start) or {before[0].lower(), after[0].lower()} <= _BEFORE_TIMES):
        return None
    one, other = _told(before), _told(after)
    if not one or not other or one <= other or other <= one:
        return None
    return " ".join(before), " ".join(after)


def _alike(first: Sequence[str], second: Sequence[str]) -> int:
    """How many words two texts begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0].lower() == pair[1].lower(), zip(first, second, strict=False)))


def _follows_lead(words: list[str], start: int) -> bool:
    """Whether a thing is to be expected at a place; at the head of a sentence it is."""
    lead = words[start - 1].lower() if start else "the"
    return lead in _BEFORE_THINGS or lead.endswith(("'s", "’s"))


def _told(words: list[str]) -> set[str]:
    return {stem(word.lower()) for word in words if word.lower() not in _BEFORE_THINGS | _BEFORE_TIMES} - LIGHT
