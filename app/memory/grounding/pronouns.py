"""Pronouns looked up: which person, place or thing each one stands for.

The rules are the classic ones (agreement in gender and number, the latest sentence first, subjects before objects)
with one addition that matters more than any of them: where two answers are possible, there is no answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.memory.grounding import nouns
from app.memory.grounding.naming import Namer, possessive
from app.memory.grounding.referents import Discourse, Mention, Referent, only_one
from app.providers.entities import technology_spans

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

_MALE = frozenset({"he", "him", "his"})
_FEMALE = frozenset({"she", "her", "hers"})
_PLURAL = frozenset({"they", "them", "their", "theirs"})
_NEUTER = frozenset({"it", "its"})
_PLACES = frozenset({"there", "here"})
_WEATHER = re.compile(r"^(?:rain|snow|pour|seem|look|sound|depend|matter|turn|take|feel|hurt|suck|help|make)$")


@dataclass(slots=True)
class Resolution:
    """What the words of one text stand for, by token index."""

    referents: dict[int, Referent] = field(default_factory=dict)
    definites: dict[int, tuple[int, Referent]] = field(default_factory=dict)
    """Noun phrases that point back ("the appointment"): first token to (token after the last, referent)."""
    own: dict[int, Referent] = field(default_factory=dict)
    """Every mention of the text: head token to referent."""
    we: str = ""
    """Whom "we" means in this text: a name, or the speaker alone."""
    we_plural: bool = False


def resolve(doc: Doc, speaker: str, discourse: Discourse, turn: int, origin: tuple[int, ...] | int) -> Resolution:
    """Look up every pronoun of `doc`, and add its mentions to `discourse` on the way.

    `origin` gives the position in the message for each character of the text (or one position for all of it).
    """
    resolution = Resolution()
    resolution.we, resolution.we_plural = _we(doc, speaker, discourse)
    namer = Namer(doc, speaker, discourse, resolution.referents)
    chunks = {chunk.root.i: chunk for chunk in doc.noun_chunks}
    for token in doc:  # "my mom's birthday" speaks of the mother, too
        if token.dep_ == "poss" and token.pos_ in ("NOUN", "PROPN"):
            chunks.setdefault(token.i, doc[token.left_edge.i : token.i + 1])
    for sentence in doc.sents:
        for token in sentence:
            position = (turn, origin if isinstance(origin, int) else origin[token.idx])
            referent = _pronoun(token, discourse, speaker)
            if referent is not None:
                resolution.referents[token.i] = referent
            elif token.i in chunks:
                referent = namer.referent(chunks[token.i])
                definite = _points_back(token, chunks[token.i].start, chunks[token.i].end)
                if referent is not None and definite and referent.name and referent.kind != "objects":
                    resolution.definites[chunks[token.i].start] = (token.i + 1, referent)
            if referent is not None:
                resolution.own[token.i] = referent
                subject = _is_subject(token)
                discourse.add(Mention(referent, position, discourse.sentence, subject, speaker, _verb(token)))
                group = _group(token, referent, discourse)
                if group is not None:
                    discourse.add(Mention(group, position, discourse.sentence, subject, speaker, _verb(token)))
        for verb in sentence:
            if verb.lemma_ in ("be", "call", "name"):
                _learn_names(verb, resolution, discourse)
        _learn_companions(sentence.root.doc, sentence.start, sentence.end, speaker, discourse, turn, origin)
        discourse.sentence += 1
    return resolution


def _is_subject(token: Token) -> bool:
    while token.dep_ in ("conj", "appos"):
        token = token.head
    return token.dep_ in ("nsubj", "nsubjpass")


def _group(token: Token, referent: Referent, discourse: Discourse) -> Referent | None:
    """Such as "Sofia and Ben", once the second of them is read."""
    if token.dep_ != "conj" or referent.kind != "person" or not discourse.mentions:
        return None
    mentioned = [mention.referent for mention in discourse.mentions if mention.sentence == discourse.sentence]
    names = [other.name for other in {id(other): other for other in mentioned}.values() if other.kind == "person"]
    if len(names) < 2 or not all(names):
        return None
    joined = f"{', '.join(names[:-1])} and {names[-1]}"
    return Referent(joined, joined, "people")


def _pronoun(token: Token, discourse: Discourse, speaker: str) -> Referent | None:
    lower = token.lower_
    if lower in _MALE | _FEMALE:
        gender = "m" if lower in _MALE else "f"
        return _person(token, discourse, gender)
    if lower in _PLURAL:
        return _several(token, discourse)
    if lower in _NEUTER and not _expletive(token):
        return _thing(token, discourse, speaker)
    if lower == "here" and not _of_the_speaker(token):
        return None  # "my parents live in Porto, they've never been here": where the speaker is, not Porto
    if lower in _PLACES and token.pos_ == "ADV" and token.dep_ != "expl":
        places = discourse.nearest(lambda m: m.referent.kind == "place", within=8)
        if places and all("'s " not in mention.referent.name for mention in places):
            return places[0].referent  # of "from Chile to Madrid", the last
        return only_one(places) if places else _workplace(discourse)
    return None


def _of_the_speaker(token: Token) -> bool:
    """Whether the speaker does what a word belongs to: "I moved here", "I live in Leipzig, moved here in May"."""
    verb = token.head
    while True:
        subject = next((child for child in verb.children if child.dep_ in ("nsubj", "nsubjpass")), None)
        if subject is not None or verb.head.i == verb.i:
            return subject is None or subject.lower_ in ("i", "we")
        verb = verb.head


def _person(token: Token, discourse: Discourse, gender: str) -> Referent | None:
    def plausible(mention: Mention) -> bool:
        referent = mention.referent
        if referent.kind not in ("person", "animal", "unnamed") or referent.gender not in ("", gender):
            return False
        return not _same_arguments(token, mention, discourse)

    found = only_one(discourse.nearest(plausible, within=12))
    if found is None or found.kind == "unnamed":
        return None
    found.gender = found.gender or gender
    return found


def _several(token: Token, discourse: Discourse) -> Referent | None:
    def plausible(mention: Mention) -> bool:
        kinds = ("people", "things", "organisation", *(("objects",) if token.lower_ == "them" else ()))
        return mention.referent.kind in kinds and not _same_arguments(token, mention, discourse)

    def alone(mention: Mention) -> bool:
        referent = mention.referent
        unknown = referent.kind == "person" and not referent.gender
        return unknown and not _same_arguments(token, mention, discourse)

    mentions = discourse.nearest(plausible, within=3)
    people = [mention for mention in mentions if mention.referent.kind == "people"]
    found = only_one(people or mentions)
    if found is None and not mentions:
        found = only_one(discourse.nearest(alone, within=2))
    return found if found is not None and found.name else None


def _thing(token: Token, discourse: Discourse, speaker: str) -> Referent | None:
    """What "it" is: something concrete that the same speaker has just spoken of."""
    if token.dep_ == "dobj" and token.head.lemma_ in nouns.IDIOMS_WITH_IT:
        return None

    def plausible(mention: Mention) -> bool:
        referent = mention.referent
        if mention.speaker != speaker or referent.head in nouns.ABSTRACT:
            return False
        return referent.kind in ("thing", "organisation", "animal", "place") and not _same_arguments(
            token, mention, discourse
        )

    mentions = discourse.nearest(plausible, within=4)
    things = [mention for mention in mentions if mention.referent.kind != "place" or "'s " in mention.referent.name]
    if len({id(mention.referent) for mention in things}) > 1 and not any(mention.subject for mention in things):
        owned = [mention for mention in things if "'s " in mention.referent.name]
        return only_one(owned)
    return only_one(things)


def _workplace(discourse: Discourse) -> Referent | None:
    return only_one(discourse.nearest(lambda m: m.referent.kind == "organisation", within=4))


def _same_arguments(token: Token, mention: Mention, discourse: Discourse) -> bool:
    """Subject and object of one verb are two different persons ("Tom called him")."""
    if mention.sentence != discourse.sentence or token.dep_ == "poss":
        return False
    return mention.verb == _verb(token) and mention.verb >= 0


def _verb(token: Token) -> int:
    current = token.head
    while current.pos_ in ("ADP", "PART") and current.head.i != current.i:
        current = current.head
    return int(current.i) if current.pos_ in ("VERB", "AUX") else -1


def _expletive(token: Token) -> bool:
    """An "it" that stands for nothing: "it's raining", "it takes an hour to get there"."""
    if token.lower_ != "it" or token.dep_ not in ("nsubj", "nsubjpass", "expl"):
        return token.dep_ == "expl"
    verb = token.head
    if _WEATHER.match(verb.lemma_):
        return True
    if verb.lemma_ == "be":
        adjective = next((child for child in verb.children if child.dep_ == "acomp"), None)
        if adjective is not None:
            return True  # "it's great", "it's hard to": an opinion at best
    return any(child.dep_ in ("ccomp", "csubj") for child in verb.children)


def _points_back(head: Token, start: int, end: int) -> bool:
    """A definite phrase of bare noun, without anything that says which one."""
    first = head.doc[start]
    if first.lower_ not in ("the", "this", "that", "these", "those") or end - start > 2 or head.pos_ == "PROPN":
        return False
    return not any(child.dep_ in ("prep", "relcl", "acl", "appos") for child in head.children)


def _we(doc: Doc, speaker: str, discourse: Discourse) -> tuple[str, bool]:
    """Whom "we" means: the companions named before, the team at work, or just the speaker (which then is true too)."""
    inside = _companions_in(doc, 0, len(doc), speaker)
    known = inside or discourse.together(speaker)
    working = bool(technology_spans(doc)) or any(token.lemma_.lower() in nouns.WORKPLACE for token in doc)
    collective = next((token.lower_ for token in doc if token.dep_ == "attr" and token.lower_ in nouns.COLLECTIVES), "")
    if collective and not inside:
        return f"{possessive(speaker)} {collective}", False
    if working and not inside:
        return f"{possessive(speaker)} team", False
    if known:
        return known, True
    return speaker, False


def _companions_in(doc: Doc, start: int, end: int, speaker: str) -> str | None:
    text = doc[start:end].text
    match = re.search(r"\b(my|our) ((?:[a-z-]+ )?[a-z-]+)(?: ([A-Z]\w+))?,? and (?:I|me|myself)\b", text, re.IGNORECASE)
    match = match or re.search(r"\b(?:[Mm]e|I) and (my|our) ((?:[a-z-]+ )?[a-z-]+)()\b", text)
    if match and match[2].split()[-1] in nouns.PERSONS | nouns.PLURAL_PEOPLE:
        name = f" {match[3]}" if match[3] else ""
        return f"{speaker} and {possessive(speaker)} {match[2]}{name}"
    named = re.search(r"\b([A-Z]\w+),? and (?:I|me)\b", text) or re.search(r"\b(?:Me|me) and ([A-Z]\w+)\b", text)
    return f"{speaker} and {named[1]}" if named else None


def _learn_companions(
    doc: Doc, start: int, end: int, speaker: str, discourse: Discourse, turn: int, origin: tuple[int, ...] | int
) -> None:
    name = _companions_in(doc, start, end, speaker)
    if name:
        at = origin if isinstance(origin, int) else origin[doc[start].idx]
        discourse.companions.setdefault(speaker, []).append(((turn, at), name))


def _learn_names(root: Token, resolution: Resolution, discourse: Discourse) -> None:
    """Such as "Anna is my sister", "my sister's name is Anna", "her name is Anna": one person under a fuller name."""
    if root.lemma_ in ("call", "name") and root.tag_ == "VBN":
        _learn_called(root, resolution)
    if root.lemma_ != "be":
        return
    subject = next((child for child in root.children if child.dep_ == "nsubj"), None)
    attribute = next((child for child in root.children if child.dep_ in ("attr", "acomp")), None)
    if subject is None or attribute is None:
        return
    if subject.lemma_ == "name" and attribute.pos_ == "PROPN":
        owner = next((child for child in subject.children if child.dep_ == "poss"), None)
        if owner is None or owner.lower_ == "my":
            return
        person = resolution.referents.get(owner.i) or discourse.find(
            lambda r: r.head == owner.lemma_.lower() and bool(r.name)
        )
        if person is not None and attribute.text not in person.name and not person.plural:
            person.name, person.short = f"{person.name} {attribute.text}", attribute.text
            named = discourse.find(lambda r: r is not person and r.short == attribute.text)
            if named is not None:
                discourse.merge(named, person)
    elif attribute.pos_ == "PROPN" and subject.lemma_.lower() in nouns.PERSONS:
        role = resolution.own.get(subject.i)
        named = discourse.find(lambda r: r.kind == "person" and bool(r.short) and r.short.endswith(attribute.text))
        if named is not None and role is not None and named is not role and not role.plural:
            named.name = f"{role.name} {named.short}"
            named.gender = named.gender or role.gender
            discourse.merge(role, named)
    elif subject.pos_ == "PROPN" and attribute.lemma_.lower() in nouns.PERSONS:
        named = discourse.find(lambda r: r.short == subject.text or r.short.endswith(subject.text))
        role = discourse.find(lambda r: r.head == attribute.lemma_.lower() and "'s " in r.name)
        if named is not None and role is not None and named is not role:
            named.name = role.name if named.short in role.name else f"{role.name} {named.short}"
            named.gender = named.gender or role.gender
            discourse.merge(role, named)


def _learn_called(root: Token, resolution: Resolution) -> None:
    """Such as "my trainer is called Vanessa"."""
    subject = next((child for child in root.children if child.dep_ == "nsubjpass"), None)
    name = next((child for child in root.children if child.dep_ == "oprd" and child.pos_ == "PROPN"), None)
    known = resolution.own.get(subject.i) if subject is not None else None
    if known is not None and name is not None and name.text not in known.name and known.name and not known.plural:
        known.name, known.short = f"{known.name} {name.text}", name.text
