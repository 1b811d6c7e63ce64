"""Sentences that leave out the "I": "Just moved to Hamburg", "Allergic to nuts", "Love hiking"."""

from __future__ import annotations

import re

from app.memory.extraction.selection import worth_remembering_of_object
from app.memory.extraction.statements import Statement
from app.memory.extraction.vocabulary import IMPERATIVE_STATIVES, PASSING
from app.word_sets import word_set

_GREETING_PARTICIPLES = word_set("said done got thanked noted understood agreed fixed worked solved sorted")
_CALL_ME = re.compile(r"^(?i:please |you can |just )*(?i:call me) (?P<name>[A-Z][\w'-]+)$")
# "Love cycling along the Elbe!" (but not "love it", nor "love the idea").
_BARE_LIKING = re.compile(
    r"^(?:Love|Hate|Prefer|Adore) (?!it\b|this|that|th[eo]|your?\b|you\b|how|what|when|them|all\b|to\b)[a-z]{4,}"
)
_STANDING_ORDER = re.compile(
    r"^(?P<where>(?:for|when|in|on|with|during) [^,]{3,40}, )?(?:please |pls |from now on,? )*(?P<when>always|never) "
    r"(?P<order>(?!mind|worry|fear)[a-z].{6,})$",
    re.IGNORECASE,
)
# "Keep your answers short".
_MANNER = re.compile(
    r"^(?:please |just )*(?:keep|make) (?:your |all |the )+"
    r"(?P<what>answers?|replies|responses|explanations|messages|code) "
    r"(?P<how>(?!it\b)[a-z]+(?: and [a-z]+)?)$",
    re.IGNORECASE,
)


def completed(statement: Statement, *, to_the_assistant: bool = True) -> str | None:
    """The statement with the subject that it leaves out, or None if it leaves none out (or says nothing).

    "Always answer in German" is a wish to the assistant, unless people talk among themselves.
    """
    text, head = statement.text, statement.head
    called = _CALL_ME.match(text)
    if called:
        return f"I prefer to be called {called['name']}"
    order = _STANDING_ORDER.match(text)
    if (
        order
        and to_the_assistant
        and statement.subject is None
        and not re.search(r"\b(?:it|this|that|these)\b", order["order"])
    ):
        when = order["when"].lower()
        verb = re.sub(r"\b(?:your|you)\b", "the assistant's", order["order"])
        where = (order["where"] or "").strip(" ,")
        return f"I want the assistant to {when} {verb}{' ' + where[0].lower() + where[1:] if where else ''}"
    manner = _MANNER.match(text) if to_the_assistant and statement.subject is None else None
    if manner:
        return f"I want the assistant to keep {manner['what']} {manner['how']}"
    first = statement.subject is not None and text.lower().startswith(statement.subject.lower_)
    if _BARE_LIKING.match(text) and (statement.subject is None or (first and head.tag_ == "VBG")):
        return f"I {text[0].lower()}{text[1:]}"
    if statement.subject is not None or re.search(r"\b(?:you|your|u)\b", text, re.IGNORECASE):
        return None
    if len(text.split()) < 3 or not worth_remembering_of_object(statement):
        return None
    lowered = text[0].lower() + text[1:] if not text.split()[0].isupper() else text
    if head.tag_ == "VBD" and head.lower_ not in _GREETING_PARTICIPLES | {"was", "were"}:
        return f"I {lowered}"
    if head.lower_ == "got" and head.tag_ in ("VBN", "VBD"):
        return f"I {lowered}"
    if head.tag_ in ("VBN", "VBG") and text.split()[0].lower() == "been":
        return f"I have {lowered}"
    if head.tag_ in ("VB", "VBP") and head.lemma_ in IMPERATIVE_STATIVES and text.lower().startswith(head.lower_):
        return f"I {lowered}"
    if head.tag_ == "JJ" and head.lemma_.lower() not in PASSING and text.lower().startswith(("allergic", "vegan")):
        return f"I am {lowered}"
    return None
