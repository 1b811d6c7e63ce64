"""English verbs put into the third person singular, for "I am" becoming "User is"."""

from __future__ import annotations

from app.word_sets import word_set

_IRREGULAR = {
    "am": "is", "'m": "is", "are": "is", "'re": "is", "be": "is", "have": "has", "'ve": "has", "do": "does",
    "were": "was", "go": "goes", "ai": "is",
}  # fmt: skip
_UNCHANGED = word_set(
    """
    is was has does had did can could will would shall should may might must ought 'd 'll ca wo sha used
    """
)


def third_person(verb: str) -> str:
    """The third person singular of a finite verb; past forms and modals stay."""
    lower = verb.lower()
    if lower in _IRREGULAR:
        return _IRREGULAR[lower]
    if lower in _UNCHANGED:
        return verb
    if lower.endswith(("s", "sh", "ch", "x", "z", "o")):
        return verb + "es"
    if lower.endswith("y") and lower[-2:-1] not in "aeiou":
        return verb[:-1] + "ies"
    return verb + "s"


def spelled_out(clitic: str, *, perfect: bool) -> str:
    """A contracted verb written out: "'ll" is "will"; "'s" and "'d" depend on whether a participle follows."""
    return {
        "'m": "am", "'re": "are", "'ve": "have", "'ll": "will", "'s": "has" if perfect else "is",
        "'d": "had" if perfect else "would",
    }[clitic.lower()]  # fmt: skip
