"""Lists under "About me:": "42, divorced, two sons" and "project manager at a builder's", which have no verb at all."""

from __future__ import annotations

import re

from app.memory.grounding.nouns import ANIMALS, PERSONS
from app.word_sets import word_set

_HEADING = re.compile(
    r"^[^\w\n]{0,9}(?:(?:some |a few )?(?:facts|things|notes|info|information|details|background)? ?"
    r"(?:about|on) (?:me|myself)|"
    r"my (?:profile|details|background|bio|situation|info)|who i am|bio|profile|me)\b[^\n:]{0,30}:\**\s*$",
    re.IGNORECASE | re.MULTILINE,
)
_ITEM = re.compile(r"^[ \t]{0,9}(?:[-*•–]|\d{1,2}[.)])\s+(?P<text>\S[^\n]{0,300}?)[.;,]?[ \t]*$", re.MULTILINE)
_ROLE = re.compile(
    r"^(?:(?:freelance|senior|junior|retired|former|part-time|self-employed|lead|head|chief|assistant|stay-at-home)\s+)*"
    r"[\w -]{0,30}?\b(?:\w+(?:er|or|ist|ian|eer|ant|man|woman|yst)|nurse|chef|cook|coach|student|mom|dad|parent|judge|"
    r"head|surgeon|clerk|pilot|scientist|intern|founder|owner)\b(?=$| (?:at|in|for|of|from|with|on)\b)",
    re.IGNORECASE,
)
_STATES = word_set(
    "married divorced single widowed engaged retired vegan vegetarian pescatarian left-handed pregnant unemployed "
    "diabetic dyslexic colorblind colourblind deaf blind gluten-free bilingual self-employed"
)
_COUNT = r"(?:an?|one|two|three|four|five|six|\d+)"


def listed(content: str) -> list[tuple[str, tuple[int, int]]]:
    """First-person statements for the verbless items of such a list, each with where it stands in the message."""
    heading = _HEADING.search(content)
    if heading is None:
        return []
    found = []
    for item in _ITEM.finditer(content, heading.end()):
        whole = _statement(item["text"])
        if whole:
            found.append((whole, item.span("text")))
            continue
        for part in re.finditer(r"[^,;]+", item["text"]):
            if said := _statement(part.group().strip().removeprefix("and ")):
                start = item.start("text") + part.start()
                found.append((said, (start, start + len(part.group().rstrip()))))
    return found


def _statement(text: str) -> str | None:
    words = text.lower().split()
    if not words or "," in text:
        return None
    if re.fullmatch(r"(?:age[d:]? )?\d{1,2}(?: years old| yo|yo)?", text, re.IGNORECASE):
        return f"I am {re.sub(r'[^0-9]', '', text)} years old"
    if len(words) == 1 and words[0] in _STATES:
        return f"I am {words[0]}"
    lowered = text[0].lower() + text[1:] if not text.split()[0].isupper() else text
    if words[0].endswith("ing") and len(words) > 2:
        return f"I am {lowered}"
    if re.match(rf"{_COUNT} ", lowered) and _kin_in(words):
        return f"I have {lowered}"
    if _ROLE.match(text):
        article = "" if re.match(r"(?:an?|the) ", lowered) else "an " if lowered[0] in "aeiou" else "a "
        return f"I am {article}{lowered}"
    return None


def _kin_in(words: list[str]) -> bool:
    known = PERSONS | ANIMALS
    return any(
        word in known or word.rstrip("s") in known or word in ("children", "kids", "twins") for word in words[:5]
    )
