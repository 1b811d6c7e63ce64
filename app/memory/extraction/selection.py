"""Is a statement worth remembering?

Kept: what is true of the speaker, of the people and things in their life, and of their projects, beyond this hour.
Left out: talk about the talk ("I think", "I'll try that"), requests, hypotheses, moods, general knowledge.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from app.memory.extraction import vocabulary as words
from app.memory.extraction.statements import Statement
from app.memory.grounding.nouns import ANIMALS, PERSONS, PLURAL_PEOPLE
from app.providers.entities import given_names

if TYPE_CHECKING:
    from spacy.tokens import Token

_FIRST_PERSON = frozenset({"i", "we", "me", "us"})
_FIRST_PERSON_ANY = frozenset({"i", "we", "me", "us", "my", "our", "mine", "ours"})
_SECOND_PERSON = frozenset({"you", "your", "yours", "yourself", "u", "ur"})
_THIRD_PERSON = frozenset({"he", "she", "they"})
_WHAT_IF = re.compile(
    r"^(?:if|suppose|supposing|imagine|assuming|unless|what if|let's|lets|let me|whether|maybe|perhaps|say)\b|"
    r"\bif (?:i|we|he|she|they|it)\b|\bi wish\b|\bhypothetically\b|\bi wonder\b",
    re.IGNORECASE,
)
_STORY = re.compile(
    r"\b(?:imagine|pretend|suppose|hypothetically|let's say|role-?play|in (?:the|my|this) story)\b", re.IGNORECASE
)
_UNSURE = re.compile(r"\b(?:maybe|perhaps|not sure|no idea|i guess|i don't know|possibly|i suppose)\b", re.IGNORECASE)
_WANTING = frozenset({"need", "want", "like", "love", "look", "prefer", "try"})
_CONTENT_KINDS = frozenset(
    {"PERSON", "ORG", "GPE", "LOC", "FAC", "PRODUCT", "EVENT", "WORK_OF_ART", "NORP", "LANGUAGE"}
)


def worth_remembering(statement: Statement) -> bool:
    """Whether a statement tells something lasting about the speaker's life or work."""
    head, subject = statement.head, statement.subject
    tokens = [token for token in statement.sentence if statement.start <= token.idx < statement.end]
    lowers = {token.lower_ for token in tokens}
    if (
        subject is None
        or sum(not token.is_punct for token in tokens) < 3
        or not (head.pos_ in ("VERB", "AUX") or head.tag_.startswith("VB"))
    ):
        return False
    if "please" in lowers:
        return False
    if lowers & _SECOND_PERSON or _WHAT_IF.search(statement.text) or _is_inverted(head, subject, tokens):
        return False
    if subject.lower_ == "i" and any(child.lower_ == "are" for child in (head, *head.children)):
        return False  # the end of "Ola and I are driving", cut off by the parser
    if tokens[0].tag_ == "JJ" and tokens[0].lower_ in words.PASSING and tokens[0].i < subject.left_edge.i:
        return False  # "glad my code works"
    if _in_a_story(statement) or (tokens[0].tag_ in ("VBD", "VBN") and tokens[0].i < subject.left_edge.i):
        return False
    if _UNSURE.search(statement.text) and not _has_content(tokens, subject):
        return False
    if not _about_the_speakers_life(subject, tokens):
        return False
    verb = _main_verb(head)
    if subject.lower_ in _FIRST_PERSON:
        return _first_person_fact(head, verb, tokens, subject)
    return _third_person_fact(head, verb, tokens, subject)


def is_one_off(statement_tense_past: bool, head: Token) -> bool:
    """Whether a statement tells an event rather than a state: a past action, not "was" or "used to"."""
    return statement_tense_past and head.lemma_ not in (
        "be", "have", "use", "live", "work", "like", "love", "know", "decide", "prefer", "want", "hate", "enjoy",
    )  # fmt: skip


def speaks_of_the_past(head: Token) -> bool:
    """Whether the verb of a clause is in a past tense."""
    auxiliaries = [child for child in head.children if child.dep_ in ("aux", "auxpass")]
    if any(token.tag_ == "MD" for token in auxiliaries):
        return False
    if auxiliaries:
        first = auxiliaries[0]
        return first.tag_ == "VBD" or (first.lemma_ == "have" and head.tag_ == "VBN")
    return head.tag_ in ("VBD", "VBN")


def _in_a_story(statement: Statement) -> bool:
    """Whether the message has said "imagine ..." before: what follows is part of the story."""
    before = statement.sentence.doc.text[: statement.start]
    return bool(_STORY.search(before))


def speaks_of_now(head: Token) -> bool:
    """Whether a passive is in the present tense ("I'm surrounded")."""
    return any(child.dep_ == "auxpass" and child.tag_ in ("VBP", "VBZ") for child in head.children)


def _is_inverted(head: Token, subject: Token, tokens: list[Token]) -> bool:
    """A question without a question mark: "do you know", "what is the"; or half a sentence: "what I needed"."""
    if any(
        token.tag_ in ("WP", "WRB", "WDT") and token.lower_ not in ("when", "while", "whenever") for token in tokens[:2]
    ):
        return True
    auxiliaries = [child for child in head.children if child.dep_ in ("aux", "auxpass") and child.i < head.i]
    return any(token.i < subject.i for token in auxiliaries) or (head.pos_ == "AUX" and head.i < subject.i)


def _about_the_speakers_life(subject: Token, tokens: list[Token]) -> bool:
    if subject.lower_ in _FIRST_PERSON or subject.lower_ in _THIRD_PERSON:
        return True
    if subject.lower_ in ("it", "this", "that"):
        return subject.lower_ == "it" and _has_content(tokens, subject)
    phrase = list(subject.subtree)
    if any(token.lower_ in _FIRST_PERSON_ANY or token.tag_ == "PRP$" for token in phrase):
        return True
    lemma = subject.lemma_.lower()
    if subject.ent_type_ == "PERSON" or subject.lower_ in given_names():
        return subject.tag_ in ("NNP", "NNPS")
    if any(token.dep_ == "poss" and token.tag_ in ("NNP", "NNPS") for token in phrase):
        return True
    if any(token.lower_ in _FIRST_PERSON_ANY for token in tokens):
        return True
    if lemma in PERSONS and any(token.lower_ in ("him", "her", "them") for token in tokens):
        return True  # "the vet gave him some pills"
    dated = any(token.ent_type_ in ("DATE", "TIME") for token in tokens)
    definite = any(token.lower_ in ("the", "both", "all") for token in phrase) or subject.tag_ in ("NNP", "NNPS")
    if lemma in words.EVENT_NOUNS and dated:
        return definite
    return definite and lemma in words.PROJECT_NOUNS and (dated or _has_content(tokens, subject))


def _has_content(tokens: list[Token], subject: Token) -> bool:
    """A name, a date or a number outside the subject."""
    inside = {token.i for token in subject.subtree}
    return any(
        token.i not in inside
        and (token.ent_type_ in _CONTENT_KINDS | {"DATE", "TIME", "MONEY", "QUANTITY"} or token.tag_ in ("NNP", "NNPS"))
        for token in tokens
    )


def _main_verb(head: Token) -> Token:
    """The verb that carries the meaning: "want to visit" is a visit for this purpose, "going to move" a move."""
    verb = head
    while verb.lemma_ in ("go", "have", "get", "need", "use", "start", "begin", "plan") and verb.lemma_ != "be":
        inner = next(
            (child for child in verb.children if child.dep_ == "xcomp" and child.pos_ in ("VERB", "AUX")), None
        )
        if inner is None or inner.lemma_ == verb.lemma_:
            break
        verb = inner
    return verb


def _objects(verb: Token) -> list[Token]:
    found = [child for child in verb.children if child.dep_ in ("dobj", "attr", "acomp", "oprd", "npadvmod", "dative")]
    for child in verb.children:
        if child.dep_ in ("prep", "agent", "prt", "advmod"):
            found += [grand for grand in child.children if grand.dep_ in ("pobj", "pcomp")]
    return found


def _negated(verb: Token) -> bool:
    return any(child.dep_ == "neg" for child in verb.children)


def _modal(head: Token) -> str:
    return next((child.lower_ for child in head.children if child.dep_ == "aux" and child.tag_ == "MD"), "")


def _first_person_fact(head: Token, verb: Token, tokens: list[Token], subject: Token) -> bool:
    if head.tag_ == "VBN" and head.lower_ in words.PASSING and speaks_of_now(head):
        return False
    lemma, content, modal = verb.lemma_.lower(), _has_content(tokens, subject), _modal(head)
    objects = _objects(verb)
    things = [token for token in objects if token.dep_ in ("dobj", "attr", "pobj")]
    complement = [child for child in verb.children if child.dep_ in ("xcomp", "ccomp")]
    if lemma == "think" and any(child.lower_ in ("about", "of") for child in verb.children):
        return any(grand.dep_ == "pcomp" and _objects(grand) for child in verb.children for grand in child.children)
    if lemma in words.TALKING and not (things and content and lemma in ("remember", "expect", "appreciate")):
        return False
    if lemma in ("learn", "hear", "read", "find", "see", "discover") and _is_hearsay(complement):
        return False
    if lemma == "know":
        return any(token.dep_ == "dobj" and token.tag_ in ("NNP", "NNPS") for token in objects)
    if things and all(token.lower_ in ("it", "this", "that", "them", "one", "these", "those") for token in things):
        return content
    if any(token.lemma_.lower() in words.TROUBLE and token.dep_ == "dobj" for token in objects) and lemma != "solve":
        return False
    if any(child.lower_ == "rather" for child in head.children) and modal in ("would", "'d"):
        return bool(objects)
    if modal in ("could", "should", "might", "may", "would") or (modal == "'d" and lemma not in ("rather",)):
        if modal in ("would", "'d") and lemma in ("like", "love", "prefer", "hate", "rather"):
            return _lasting_wish(verb, complement, things, content)
        return content and any(token.ent_type_ in ("DATE", "TIME") for token in tokens)
    if modal == "can" and subject.lower_ == "we" and not content and not _negated(head):
        return False
    if modal in ("can", "ca", "cannot") or (modal == "could" and _negated(head)):
        conversational = lemma in words.FAILING or (not _negated(head) and lemma in words.ERRANDS | words.TALKING)
        return not conversational and (bool(objects) or len(tokens) > 3)
    if modal in ("will", "'ll") or (head.lemma_ in ("go", "have", "need", "got") and head is not verb):
        if lemma in words.ERRANDS:
            return content and bool(objects) and not any(token.lower_ == "it" for token in things)
        return bool(objects or complement) or content
    if lemma in _WANTING and (complement or things):
        return _lasting_wish(verb, complement, things, content)
    if lemma == "be":
        return _lasting_state(verb, objects, content)
    if lemma in ("have", "get", "make", "see", "find", "receive") and things and not content:
        return not all(token.lemma_.lower() in words.EMPTY_OBJECTS for token in things)
    if lemma in ("do", "go", "come", "wake", "sleep", "sit", "stand", "stay", "head") and not objects:
        return content
    return bool(objects or complement or content or _says_more(verb, tokens) or lemma in words.HABITS)


def _says_more(verb: Token, tokens: list[Token]) -> bool:
    """Whether a content word follows the verb, however the parser attached it."""
    return any(
        token.i > verb.i
        and token.pos_ in ("NOUN", "PROPN", "VERB", "NUM")
        and not token.is_stop
        and token.dep_ != "npadvmod"
        for token in tokens
    )


def _is_hearsay(complement: list[Token]) -> bool:
    """Such as "I learned that octopuses have three hearts": of the world, not of the speaker's life."""
    for clause in complement:
        subject = next((child for child in clause.children if child.dep_ in ("nsubj", "nsubjpass")), None)
        if clause.dep_ == "ccomp" and subject is not None:
            return not any(
                token.lower_ in _FIRST_PERSON_ANY or token.tag_ in ("PRP", "PRP$", "NNP") for token in clause.subtree
            )
    return False


def _lasting_wish(verb: Token, complement: list[Token], things: list[Token], content: bool) -> bool:
    """A wish about life, not about this conversation ("I want to visit Japan", not "I want to know how")."""
    if verb.lemma_ in ("need", "want", "look") and any(token.lemma_.lower() in words.ARTIFACTS for token in things):
        return False
    if any(token.lemma_.lower() in words.DRAFT_PARTS and _definite(token) for token in things):
        return False
    if verb.lemma_ in ("look",) and not any(child.lower_ in ("for", "forward") for child in verb.children):
        return False
    for wished in complement:
        inner = _objects(wished)
        if any(
            token.lemma_.lower() in words.ARTIFACTS or token.lower_ in ("this", "that", "it", "these")
            for token in inner
        ):
            return False
        if wished.lemma_ in words.ASKING:
            return content and bool(inner)
        if not inner and not content and not any(child.dep_ in ("xcomp", "prt") for child in wished.children):
            return verb.lemma_ in ("like", "love", "prefer")
        if any(subject.dep_ == "nsubj" for subject in wished.children) and verb.lemma_ in ("need", "want"):
            return content
    return True


def _narrowed(adjective: Token) -> bool:
    """Such as "gluten free": a noun in front makes an adjective mean something else (but not "a bit tired")."""
    return any(
        child.pos_ == "NOUN" and child.i < adjective.i and child.lemma_ not in words.DEGREES
        for child in adjective.children
    )


def _definite(noun: Token) -> bool:
    return any(child.lower_ in ("the", "this", "that") for child in noun.children)


def _lasting_state(verb: Token, objects: list[Token], content: bool) -> bool:
    """Such as "I am ..." that will still be true next month."""
    if verb.tag_ == "VBG":
        return False
    for child in verb.children:
        if child.dep_ == "acomp" and not _narrowed(child) and {child.lemma_.lower(), child.lower_} & words.PASSING:
            complement = [grand for grand in child.children if grand.dep_ in ("prep", "xcomp", "ccomp")]
            return bool(complement) and (
                content
                or (
                    child.lemma_ in ("afraid", "interested", "keen", "able")
                    and not any(t.lower_ in ("it", "this", "that") for t in child.subtree)
                )
            )
        if child.dep_ in ("prep", "advmod") and child.lower_ in (
            "in",
            "on",
            "at",
            "with",
            "here",
            "there",
            "back",
            "off",
        ):
            places = [grand for grand in child.children if grand.dep_ == "pobj"]
            if not content and (not places or all(place.lemma_.lower() in words.PASSING_PLACES for place in places)):
                return False
        if child.dep_ == "attr" and child.lemma_.lower() in words.EMPTY_OBJECTS | {"one", "fan"}:
            return child.lemma_ == "fan"
    return bool(objects or content or any(child.dep_ in ("acomp", "ccomp", "xcomp") for child in verb.children))


def _third_person_fact(head: Token, verb: Token, tokens: list[Token], subject: Token) -> bool:
    lemma, content = verb.lemma_.lower(), _has_content(tokens, subject)
    noun = subject.lemma_.lower()
    if noun in words.EMPTY_SUBJECTS and not content:
        return False
    objects = _objects(verb)
    person = (
        noun in PERSONS | ANIMALS | PLURAL_PEOPLE or subject.ent_type_ == "PERSON" or subject.lower_ in _THIRD_PERSON
    )
    if (
        lemma in words.TALKING
        and not content
        and not any(token.dep_ == "dobj" and token.pos_ != "PRON" for token in objects)
    ):
        return False
    if _modal(head) in ("could", "should", "might", "would", "may") and not content:
        return False
    if lemma == "be" and verb.dep_ != "xcomp":
        acomp = next((child for child in verb.children if child.dep_ == "acomp"), None)
        if acomp is not None and not _narrowed(acomp) and acomp.lemma_.lower() in words.PASSING:
            return content and person
        attr = next((child for child in verb.children if child.dep_ == "attr"), None)
        if attr is not None and attr.lemma_.lower() in words.EMPTY_OBJECTS and not content:
            return False
    if subject.lower_ == "it":
        return content
    if any(token.dep_ in ("dobj", "attr") and token.lower_ in ("it", "this", "that") for token in objects):
        return content
    complement = any(child.dep_ in ("xcomp", "ccomp", "acomp", "advmod", "agent") for child in verb.children)
    return (
        bool(objects)
        or content
        or _says_more(verb, tokens)
        or (complement and lemma != "say")
        or (person and verb.tag_ == "VBD")
    )


def worth_remembering_of_object(statement: Statement) -> bool:
    """The same for a statement that leaves out its "I": its objects must say something."""
    objects = [token for token in _objects(statement.head) if token.dep_ != "npadvmod"]
    if _WHAT_IF.search(statement.text) or statement.head.lemma_ in words.TALKING:
        return False
    return any(
        token.lemma_.lower() not in words.EMPTY_OBJECTS | words.PASSING_PLACES
        and token.pos_ in ("NOUN", "PROPN", "VERB")
        for token in objects
    ) or any(child.dep_ == "xcomp" for child in statement.head.children)
