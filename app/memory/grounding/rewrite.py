"""A statement rewritten so that it stands on its own: names for pronouns, third person for first."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from app.memory.grounding import nouns
from app.memory.grounding.inflection import spelled_out, third_person
from app.memory.grounding.naming import possessive
from app.memory.grounding.pronouns import Resolution
from app.word_sets import word_set

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

_PAST_ALIKE = word_set("put set cut hit let cost hurt read quit shut split spread bet become")
_SUBJECTS = ("nsubj", "nsubjpass")


def rewrite(doc: Doc, speaker: str, resolution: Resolution) -> tuple[str, dict[int, str]]:
    """The text of `doc` with every pronoun that could be looked up replaced, and the verbs agreeing; by what."""
    changed: dict[int, str] = {}
    skipped: set[int] = set()
    introduced: set[int] = set()
    for token in doc:
        if token.i in skipped or token.i in changed:
            continue
        if token.i in resolution.definites:
            end, definite = resolution.definites[token.i]
            changed[token.i] = definite.name
            skipped.update(range(token.i + 1, end))
            continue
        _first_person(token, speaker, resolution, changed)
        referent = resolution.referents.get(token.i)
        if referent is not None:
            first = id(referent) not in introduced and referent.short not in doc[: token.i].text
            name = referent.name if first else referent.short
            introduced.add(id(referent))
            changed[token.i] = _in_place(token, name, changed)
            if token.lower_ == "they" and not referent.plural:
                _agree(token, changed)
        _clitic(token, changed)
    return _assembled(doc, changed, skipped), changed


def _first_person(token: Token, speaker: str, resolution: Resolution, changed: dict[int, str]) -> None:
    lower = token.lower_
    if not token.whitespace_ and token.i + 1 < len(token.doc) and token.nbor(1).text == "-":
        return  # "me-time"
    if lower == "i" and token.tag_ in ("PRP", "NN", "NNP", "FW", "CD", "UH", "LS"):
        changed[token.i] = speaker
        if token.dep_ in _SUBJECTS and not any(child.dep_ == "conj" for child in token.children):
            _agree(token, changed)
    elif lower == "me":
        changed[token.i] = speaker
    elif lower in ("my", "mine"):
        changed[token.i] = possessive(speaker)
    elif lower == "myself":
        alone = token.i > 0 and token.nbor(-1).lower_ == "by"
        if alone:
            changed[token.i - 1] = ""
        changed[token.i] = "alone" if alone else "themself"
    elif lower == "we":
        changed[token.i] = resolution.we
        if not resolution.we_plural:
            if token.i + 1 < len(token.doc) and token.nbor(1).lower_ in ("all", "both"):
                changed[token.i + 1] = ""
            for sibling in token.head.children:
                if sibling.lower_ == "both":
                    changed[sibling.i] = ""
            if token.dep_ in _SUBJECTS:
                _agree(token, changed)
    elif lower == "us" and token.tag_ == "PRP":
        changed[token.i] = resolution.we if resolution.we_plural else speaker
    elif lower in ("our", "ours"):
        changed[token.i] = possessive(speaker)
    elif lower == "ourselves":
        changed[token.i] = "themselves"


def _in_place(token: Token, name: str, changed: dict[int, str]) -> str:
    """The name in the form that the pronoun had."""
    lower = token.lower_
    if token.tag_ == "PRP$" or (lower in ("hers", "theirs", "its", "his") and token.dep_ == "poss"):
        return possessive(name)
    if lower in ("there", "here"):
        if token.head.pos_ == "ADP" or (token.i > 0 and token.nbor(-1).pos_ == "ADP"):
            return name
        before = token.nbor(-1) if token.i > 0 else None
        if (
            before is not None
            and before.lower_ in ("over", "back", "up", "down", "out", "right")
            and before.pos_ != "NOUN"
        ):
            changed[before.i] = ""
            before = before.nbor(-1) if before.i > 0 else None
        moving = before is not None and _moves(token.head) and token.head.lemma_ != "be"
        return f"to {name}" if moving else f"in {name}"
    return name


def _moves(verb: Token) -> bool:
    return verb.lemma_.lower() in nouns.MOTION


def _agree(subject: Token, changed: dict[int, str]) -> None:
    """Put the finite verb of a subject (and the verbs that share it) into the third person singular."""
    verb = subject.head
    if verb.tag_ in ("NN", "NNS", "NNP") and verb.i > subject.i + 1:
        # "I cherish time with family", read as a compound noun: the verb follows its subject.
        verb = subject.nbor(1)
        while verb.pos_ == "ADV" and verb.i + 1 < len(verb.doc):
            verb = verb.nbor(1)
    _inflect(verb, changed)


def _inflect(verb: Token, changed: dict[int, str]) -> None:
    auxiliaries = sorted(
        (child for child in verb.children if child.dep_ in ("aux", "auxpass")), key=lambda child: int(child.i)
    )
    if any(child.lower_ == "to" for child in auxiliaries):
        return
    finite = auxiliaries[0] if auxiliaries else verb
    if (
        finite is not verb
        or finite.tag_ in ("VBP", "VB", "VBZ", "MD", "NN", "NNP", "VBD", "JJ", "VBN")
        or finite.pos_ == "AUX"
    ):
        _third(finite, changed)
    for child in verb.children:
        own = any(grand.dep_ in _SUBJECTS for grand in child.children)
        if child.dep_ == "conj" and child.pos_ in ("VERB", "AUX") and not own:
            modal = any(aux.tag_ == "MD" or aux.lower_ in ("do", "did", "to") for aux in auxiliaries)
            if child.tag_ == "VBP" or (child.tag_ == "VB" and not modal):
                _inflect(child, changed)


def _third(verb: Token, changed: dict[int, str]) -> None:
    lower = verb.lower_
    if verb.tag_ in ("VBG", "VBZ") and lower not in ("'m", "am"):
        return
    if lower == "last" and verb.i + 1 < len(verb.doc) and verb.nbor(1).pos_ == "VERB":
        return  # "since we last spoke", read as a verb
    if verb.tag_ in ("VBD", "VBN") and lower != "were" and not _base_form(verb):
        return
    if lower in ("'d", "'ll", "'s") or (lower in _PAST_ALIKE and any(token.ent_type_ == "DATE" for token in verb.doc)):
        return
    if lower == "were":
        changed[verb.i] = "was"
    elif (
        verb.tag_ in ("VBP", "VB", "NN", "NNP", "JJ", "AUX")
        or _base_form(verb)
        or lower in ("'m", "am", "are", "'re", "have", "'ve", "do")
    ):
        inflected = third_person(verb.text)
        changed[verb.i] = f" {inflected}" if verb.text.startswith("'") else inflected


def _base_form(verb: Token) -> bool:
    """A present form that the tagger took for a past one ("When I travel I always book")."""
    return verb.tag_ in ("VBD", "VBN") and verb.lower_ == verb.lemma_.lower() and verb.lower_ not in _PAST_ALIKE


def _clitic(token: Token, changed: dict[int, str]) -> None:
    """Write contracted verbs out: "Anna's moving" could be read as a possessive."""
    lower = token.lower_
    if (
        token.i in changed
        or lower not in ("'s", "'d", "'ll", "'ve", "'re", "'m")
        or token.tag_ == "POS"
        or token.i == 0
    ):
        return
    if lower == "'m":
        changed[token.i] = " is"  # of the speaker, who is no longer "I"
        return
    if lower == "'s" and token.nbor(-1).lower_ == "let":
        changed[token.i] = " us"
        return
    following = token.head if token.dep_ in ("aux", "auxpass") else token
    perfect = following.tag_ == "VBN" and token.dep_ == "aux" and token.lemma_ not in ("be", "will", "would")
    if lower == "'d":
        perfect = following.tag_ in ("VBN", "VBD") or any(child.lower_ == "better" for child in following.children)
    if lower == "'s" and following.lower_ == "got":
        perfect = True
    changed[token.i] = f" {spelled_out(token.text, perfect=perfect)}"


def _assembled(doc: Doc, changed: dict[int, str], skipped: set[int]) -> str:
    pieces: list[str] = []
    for token in doc:
        if token.i in skipped:
            pieces.append(token.whitespace_)
            continue
        pieces.append(changed.get(token.i, token.text) + token.whitespace_)
    text = re.sub(r"\s+", " ", "".join(pieces))
    text = re.sub(r"\s+([,.;!?])", r"\1", text)
    text = re.sub(r"\b(to|in) (?:to|in) (?=[A-Z])", r"\1 ", text)
    text = re.sub(r"\b(\S+(?: \S+){0,3}) and (User)\b(?= [a-z])", _user_first, text) if " and User " in text else text
    return text.strip()


def _user_first(match: re.Match[str]) -> str:
    """Such as "User's wife and User" reads better the other way round, at the start of a sentence."""
    return f"{match[2]} and {match[1]}" if match.start() == 0 else match.group()
