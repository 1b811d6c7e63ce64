"""Does a memory stand on its own? A pure check of a text, the last gate before storage for every backend.

A stranger who reads the memory a year later has neither the conversation nor its date. So a word that points into
either of them is a problem, and the memory that has one is not stored as it is.
"""

from __future__ import annotations

import re

# Pronouns that point at someone or something said before. Reflexives ("himself") point inside the sentence.
_PRONOUNS = re.compile(
    r"\b(?:i|me|my|mine|myself|we|us|our|ours|ourselves|you|your|yours|yourself|he|him|his|she|her|hers|they|them|"
    r"their|theirs|it|its|i'm|i've|i'd|i'll|we're|we've|we'd|we'll|he's|he'll|he'd|she's|she'll|she'd|they're|they've|"
    r"they'll|they'd|it's|it'll|y'all)\b(?![.]\w)",
    re.IGNORECASE,
)
# Words with those letters that are no pronouns.
_NOT_PRONOUNS = re.compile(r"\b(?:US|IT|I/O|ME|Phase I|Part I|World War I|Type I|Class I)\b|\bI(?=\.\w)|\bCS:?GO\b")

_PLACE_WORDS = re.compile(r"\b(?:over there|over here|here|there|back there)\b", re.IGNORECASE)
_EXPLETIVE_THERE = re.compile(
    r"\bthere(?:'s|’s|\s+(?:is|are|was|were|will be|has been|have been|isn't|aren't|wasn't|weren't))\b", re.IGNORECASE
)

_RELATIVE_TIMES = re.compile(
    r"\b(?:yesterday|today|tonight|tomorrow|now|nowadays|currently|recently|lately|soon(?! after \d)|"
    r"later(?! (?:in|on|than)\b)|"
    r"right now|at the moment|these days|those days|just now|the other (?:day|week|night)|last night|"
    r"(?:this|last|next|past|coming|upcoming|previous) (?:morning|afternoon|evening|night|weekend|week|"
    r"month|quarter|year|"
    r"spring|summer|fall|autumn|winter|christmas|easter|(?:mon|tues|wednes|thurs|fri|satur|sun)day|january|february|"
    r"march|april|may|june|july|august|september|october|november|december|time|semester|term|season|sprint)|"
    r"(?:\w+ )?(?:minutes?|hours?|days?|weeks?|months?|years?|decades?) ago|\w+ ago|"
    r"(?:minutes?|hours?|days?|weeks?|months?|years?) (?:from now|later)|(?:end|beginning|start|middle|rest) of the "
    r"(?:day|week|month|quarter|year)|(?:for|in|over) the (?:last|past|next|coming) )\b|\bin (?:a|an|"
    r"one|two|three|four|"
    r"five|six|\d{1,2}|a few|a couple of) (?:minutes|hours|days|weeks|months|years)$",
    re.IGNORECASE,
)
_WEEKDAY = re.compile(
    r"\b(?:on|by|since|until|till|before|after|from|for|is|was) (?:mon|tues|wednes|thurs|fri|satur|sun)day\b(?! \d{4})",
    re.IGNORECASE,
)
_HABITUAL = re.compile(
    r"\b(?:every|each|usually|always|often|normally|typically|generally|most|weekly|\w+days)\b", re.IGNORECASE
)

_COMPLEMENT_TAKERS = (
    r"say|says|said|think|thinks|thought|know|knows|knew|believe|believes|believed|decide|decides|decided|hope|hopes|"
    r"hoped|mention|mentions|mentioned|realize|realizes|realized|realised|find|finds|found|learn|learns|learned|learnt|"
    r"told|tells|tell|feel|feels|felt|sure|so|agree|agrees|agreed|announce|announced|announces|confirm|confirms|"
    r"confirmed|explain|explains|explained|prefer|prefers|worried|afraid|glad|happy|aware|wants?|insists?|insisted|"
    r"noticed?|notices|heard|hears|read|means?|promised|promises|recommends?|recommended|suggests?|suggested|User|"
    r"proud|important|fact|idea|news|way|all|now|given|except|wishes|wished|considers|requires?|ensures?"
)
_RELATIVE_VERB = (
    r"is|are|was|were|has|have|had|can|could|will|would|should|may|might|must|do|does|did|doesn't|don't|didn't|isn't|"
    r"User|[A-Z]\w+|the|a|an|\w+s|\w+ed"
)
_THAT = re.compile(r"\bthat\b(?:'s|’s)?", re.IGNORECASE)
_THIS = re.compile(r"\b(?:this|these|those)\b", re.IGNORECASE)

# Definite nouns that mean "the one we talked about" unless something says which.
_ANAPHORIC = (
    r"thing|things|one|ones|issue|problem|bug|error|meeting|call|event|appointment|party|trip|exam|interview|"
    r"presentation|idea|plan|suggestion|question|answer|message|place|restaurant|book|movie|film|show|song|game|guy|girl|"
    r"woman|man|person|former|latter|same|other|others|rest|above|result|change|file|function|code|script|snippet|app|"
    r"course|class|house|apartment|flat|car|dog|cat|baby|couple|deadline|launch|release|feature|ticket|document|report|draft|article|"
    r"recipe|video|link|project|team|offer|deal|flight|hotel|wedding|ceremony|surgery|operation|test|"
    r"tests|results|photos|pictures|tickets|flights"
)
_DEFINITE = re.compile(
    rf"\b(?:[Tt]he|[Tt]hat|[Tt]his) (?P<noun>{_ANAPHORIC})\b(?! (?:of|for|with|about|at|in|on|from|to|between|"
    rf"called|named|that|which|"
    r"where|User|by|against|near|who|whose|is due|is to|next)\b)(?! [A-Z])(?!['’]s? \w)(?! \w+ed\b)",
)
_NAMED_DEFINITE = re.compile(r"\bthe [A-Z0-9]")
_FRAGMENT_START = re.compile(r"^(?:and|but|or|because|which|who|also|too|then|not|than|so)\b", re.IGNORECASE)
_ELLIPSIS = re.compile(
    r"\b(?:too|either|as well|instead|anymore yet)[.!]?$|\bdo(?:es|ing)? so\b|\bone[.!]?$|\bsame[.!]?$|"
    r"\b(?:before|after|since|until|by|from|back) then\b|\bthen[.!]?$",
    re.IGNORECASE,
)


def verify(text: str) -> list[str]:
    """What keeps `text` from standing on its own, one short phrase per problem; empty if nothing does.

    Needs no model, so that it can judge the memories of any backend. It errs on the strict side: a dropped memory is
    a smaller harm than one that says "she moved there yesterday".
    """
    problems: list[str] = []
    bare = _NOT_PRONOUNS.sub("~", _without_quotations(text)).replace("’", "'")
    problems += [f"pronoun: {match.group()}" for match in _PRONOUNS.finditer(bare)]
    places = _EXPLETIVE_THERE.sub("~", bare)
    problems += [f"place: {match.group()}" for match in _PLACE_WORDS.finditer(places)]
    problems += [f"relative time: {match.group().strip()}" for match in _RELATIVE_TIMES.finditer(bare)]
    if not _HABITUAL.search(bare):
        problems += [f"relative time: {match.group()}" for match in _WEEKDAY.finditer(bare)]
    problems += [f"demonstrative: {match.group()}" for match in _THIS.finditer(bare)]
    problems += [f"demonstrative: {match.group()}" for match in _THAT.finditer(bare) if _points_back(bare, match)]
    problems += [f"reference: {match.group()}" for match in _DEFINITE.finditer(bare)]
    if _FRAGMENT_START.search(bare):
        problems.append("fragment: begins in the middle of a sentence")
    if _ELLIPSIS.search(bare):
        problems.append("reference: leaves out what was said before")
    if len(bare.split()) < 3:
        problems.append("fragment: too short")
    return problems


def verify_passage(text: str) -> list[str]:
    """The same for a text of several sentences, such as a summary: what points inside the text is fine there, so only
    relative times and the first and second person count.
    """
    outside = re.compile(r"(?:i|me|my|mine|we|us|our|ours|you|your|yours)\b", re.IGNORECASE)
    return [
        problem
        for problem in verify(text)
        if problem.startswith("relative time") or outside.match(problem.removeprefix("pronoun: "))
    ]


def _without_quotations(text: str) -> str:
    """Titles and quoted words may hold any pronoun: "This Is Us" is a name."""
    return re.sub(r"[\"“][^\"“”]{1,80}[\"”]", "~", text)


def _points_back(text: str, match: re.Match[str]) -> bool:
    """Whether a "that" is a demonstrative, rather than a conjunction or a relative pronoun."""
    before, after = text[: match.start()].rstrip(), text[match.end() :].lstrip()
    if not before or not after or after[0] in ".,;!?" or match.group().lower() != "that":
        return True
    if re.search(rf"\b(?:{_COMPLEMENT_TAKERS})$", before, re.IGNORECASE):
        return False
    if re.search(r"\b(?:of|about|with|for|to|in|on|at|like|from|by|after|before|since)$", before, re.IGNORECASE):
        return True
    return not re.match(rf"(?:{_RELATIVE_VERB})\b", after)
