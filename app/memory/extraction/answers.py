"""Short answers to the assistant's questions: "What's your dog's name?" "Biscuit." is a fact of three words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.memory.extraction.dialogue import ASSISTANT_ROLES, Turn
from app.memory.extraction.statements import subject_of, tidy

_LAST_QUESTION = re.compile(r"([^.!?\n]+)\?[\s\"')]*$")
_YES = re.compile(r"^(?:yes|yeah|yep|yup|sure|i do|i am|that's right|correct|exactly|indeed)\b[\s,.!]*(?:i (?:do|am|have))?[\s.!]*$", re.IGNORECASE)  # noqa: E501  # fmt: skip
_NO = re.compile(
    r"^(?:no|nope|nah|i don't|i'm not|not really)\b[\s,.!]*(?:i (?:don't|am not|'m not|"
    r"haven't))?[\s.!]*$",
    re.IGNORECASE,
)
# "Do you have any pets?" "Yes, an old greyhound."
_HAVE_ANY = re.compile(
    r"(?:do you|have you) (?:have|got|own) (?:any|an?|some|brothers|children|kids|siblings|pets)\b", re.IGNORECASE
)
_YES_SOME = re.compile(
    r"^(?:yes|yeah|yep|yup|sure)?[\s,.!–—-]*(?:i have |i've got |we have )?"
    r"(?P<x>(?:an?|one|two|three|four|five|six|\d+) (?!bit|little|few)[\w' ,-]+?)[\s.!]*$",
    re.IGNORECASE,
)
_NO_ANSWER = re.compile(
    r"\b(?:no idea|not sure|don't know|dunno|none|nothing|thanks|thank you|hi|hello|hey|ok|okay|sure|"
    r"maybe|idk|what|why|how|"
    r"great|good|cool|nice|fine|lol|haha|yes|yeah|no|nope|please|never mind|nevermind|wow|true|right|hmm|it|that|this|"
    r"all of them|both|neither|either|anything|whatever|depends|the first|the second|you|your)\b",
    re.IGNORECASE,
)

# (question, the fact it asks for). {x} stands for the answer.
_WH: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), fact)
    for pattern, fact in (
        (r"what(?:'s| is) the (?P<a>names?) of your (?P<b>[\w' -]+)$", "The {a} of my {b} is {x}"),
        (r"what(?:'s| is| was) your (?P<a>[\w' -]+)$", "My {a} is {x}"),
        (r"what are your (?P<a>[\w' -]+)$", "My {a} are {x}"),
        (r"which (?:city|town|country|place|state|part of [\w ]+) (?:do|are) you (?:live|living|"
         r"based)(?: in)?$", "I live in {x}"),
        (r"where (?:do you live|are you (?:based|living|located))(?: now| currently)?$", "I live in {x}"),
        (r"where are you (?:originally )?from$", "I am from {x}"),
        (r"where do you work$", "I work at {x}"),
        (r"where (?:did|do) you (?P<a>study|go to (?:school|university|college))$", "I studied at {x}"),
        (r"what do you do(?: for (?:work|a living))?$", "I work as {x}"),
        (r"(?:when is|when's) your (?P<a>[\w' -]+)$", "My {a} is on {x}"),
        (r"who(?:'s| is) your (?P<a>[\w' -]+)$", "My {a} is {x}"),
        (r"how old are you$", "I am {x} years old"),
        (r"how old (?:is|are) your (?P<a>[\w' -]+)$", "My {a} is {x} years old"),
        (
            r"(?:what|which)(?: (?:kind|kinds|sort|type|types) of)?(?: [\w -]+?)? (?:do|are) you "
            r"(?P<a>use|using|play|drive|prefer|speak|like(?: best| most)?|work with|study|own|follow|"
            r"teach|run)(?: most| best)?$",
            "I {a} {x}",
        ),
        (r"what are you allergic to$", "I am allergic to {x}"),
        (r"how often do you (?P<a>[\w' -]+)$", "I {a} {x}"),
    )
)  # fmt: skip
_YES_NO: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), yes, no)
    for pattern, yes, no in (
        (r"do you (?P<a>(?:have|own|like|play|speak|smoke|drink|eat|use|work|live|drive|enjoy|"
         r"prefer)\b[\w' -]*)$", "I {a}", "I don't {a}"),
        (r"are you (?P<a>(?:a |an )?(?:vegetarian|vegan|married|single|allergic|retired|left-handed|pregnant|student|lactose|gluten)[\w' -]*)$", "I am {a}", "I am not {a}"),  # noqa: E501
        (r"have you ever (?P<a>been to [\w' -]+)$", "I have {a}", "I have never {a}"),
    )
)  # fmt: skip


def answered(turn: Turn, earlier: Sequence[Turn]) -> str | None:
    """The fact in a short answer, as a first-person sentence; None if the turn is no short answer."""
    if not earlier or earlier[-1].message.role.lower() not in ASSISTANT_ROLES or len(turn.docs) != 1:
        return None
    asked = _LAST_QUESTION.search(earlier[-1].message.content.replace("’", "'").strip())
    said = turn.passages[0].text.strip()
    if asked is None or len(said.split()) > 8 or said.endswith("?"):
        return None
    question = re.sub(r"^(?:.*[,:;] )?(?:and |so |by the way |also )?", "", asked[1].strip(), flags=re.IGNORECASE)
    for pattern, yes, no in _YES_NO:
        match = pattern.match(question)
        if match and (_YES.match(said) or _NO.match(said)):
            verb = re.sub(r"\bany\b ?", "" if _YES.match(said) else "any ", match["a"]).replace("your", "my")
            return (yes if _YES.match(said) else no).format(a=verb)
    some = _YES_SOME.match(said)
    if some and _HAVE_ANY.match(question):
        return f"I have {some['x']}"
    root = next(iter(turn.docs[0].sents)).root
    if subject_of(root) is not None or _NO_ANSWER.search(said):
        return None
    answer = re.sub(
        r"^(?:it's|it is|they're|at|in|from|as|on|about|maybe|mostly|called|named)\s+",
        "",
        tidy(said),
        flags=re.IGNORECASE,
    )
    if answer and answer[0].lower() + answer[1:] in said:
        answer = answer[0].lower() + answer[1:]  # tidying began a sentence with it
    for pattern, fact in _WH:
        match = pattern.match(question)
        if match and fact and answer:
            return _filled(fact, match, answer)
    return None


def _filled(fact: str, match: re.Match[str], answer: str) -> str | None:
    groups = {key: value.strip() for key, value in match.groupdict().items() if value}
    if " on " in fact and not re.search(r"\d|day\b", answer):
        return None
    if fact.startswith("I {a}"):
        verb = re.sub(r" (?:best|most)$", "", groups["a"])
        groups["a"] = {"using": "use"}.get(verb, verb)
    if "years old" in fact and not re.fullmatch(r"\w+(?:-\w+)?", answer):
        return None
    if fact.startswith("I work as") and not re.match(r"(?:a|an|the)\b", answer, re.IGNORECASE):
        answer = f"{'an' if answer[0].lower() in 'aeiou' else 'a'} {answer}"
    common = answer[:1].lower() + answer[1:] if re.match(r"(?:A|An|The|My)\b", answer) else answer
    return fact.format(x=common, **groups)
