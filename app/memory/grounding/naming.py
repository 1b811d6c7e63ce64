"""The name by which a noun phrase goes in a memory: "my sister Anna" said by the user is "User's sister Anna"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.memory.grounding import nouns
from app.memory.grounding.referents import Discourse, Kind, Referent
from app.providers.entities import given_names, technology_spans
from app.word_sets import word_set

if TYPE_CHECKING:
    from spacy.tokens import Doc, Span, Token

_FIRST = frozenset({"my", "our"})
_PLACE_KINDS = frozenset({"GPE", "LOC", "FAC"})
_USING = word_set("read watch play finish use install stream reread rewatch attend drive ride")


def possessive(name: str) -> str:
    """Such as "User's", "Tomás's", "User's parents'"."""
    return f"{name}'" if name.endswith("s") and name.split()[-1].islower() else f"{name}'s"


class Namer:
    """Names the noun phrases of one text, said by one speaker, given what was said before."""

    def __init__(self, doc: Doc, speaker: str, discourse: Discourse, owners: dict[int, Referent]) -> None:
        self._speaker = speaker
        self._discourse = discourse
        self._owners = owners
        self._technologies = {token.i for span in technology_spans(doc) for token in span}

    def referent(self, chunk: Span) -> Referent | None:
        """Who or what a noun phrase is about; None if that cannot matter to a pronoun."""
        head = chunk.root
        if head.pos_ == "PRON" or head.lower_ in ("user", "way", "time", "day"):
            return None
        if head.ent_type_ in ("DATE", "TIME", "MONEY", "CARDINAL", "PERCENT", "QUANTITY", "ORDINAL"):
            return None
        if head.pos_ == "PROPN" and head.text[0].isupper():
            return self._named(chunk)
        return self._common(chunk)

    def _owner(self, chunk: Span) -> str | None:
        for token in chunk:
            if token.dep_ != "poss" or token.head.i != chunk.root.i:
                continue
            if token.lower_ in _FIRST:
                return self._speaker
            if token.i in self._owners:
                return self._owners[token.i].name
            if token.tag_ == "PRP$":
                return None
            inner = [part.text_with_ws for part in token.subtree if part.tag_ != "POS"]
            text = "".join(inner).strip()
            for first in ("my ", "My ", "our ", "Our "):
                text = text.replace(first, possessive(self._speaker) + " ") if text.startswith(first) else text
            return text
        return None

    def _named(self, chunk: Span) -> Referent | None:
        head = chunk.root
        name = _proper_name(head)
        if head.i in self._technologies:
            return self._known(name) or Referent(name, name, "thing", head=name.lower())
        first = name.split()[0].lower().rstrip(".")
        if first in ("dr", "mr", "mrs", "ms", "prof") and len(name.split()) > 1:
            first = name.split()[1].lower()
        gender = {"f": "f", "m": "m"}.get(given_names().get(first, ""), "")
        title = name.split()[0].lower().rstrip(".")
        gender = gender or {"mr": "m", "mrs": "f", "ms": "f"}.get(title, "")
        located = head.dep_ == "pobj" and head.head.lower_ in ("in", "near", "from", "to")
        person = first in given_names() or title in ("dr", "mr", "mrs", "ms", "prof")
        used = head.dep_ == "dobj" and head.head.lemma_ in _USING  # "I'm reading Piranesi"
        person = person or (head.ent_type_ == "PERSON" and not located and not used)
        if person and not (located and head.head.lower_ in ("in", "near")):
            known = self._known(name)
            owner = self._owner(chunk)
            relation = [
                token.lemma_.lower()
                for token in chunk
                if token.pos_ == "NOUN" and token.lemma_.lower() in nouns.PERSONS
            ]
            full = f"{possessive(owner)} {relation[0]} {name}" if owner and relation else name
            if known is not None:
                known.gender = known.gender or gender
                if owner and relation:
                    known.name = full
                return known
            gender = gender or (nouns.gender_of_noun(relation[0]) if relation else "")
            return Referent(full, name, "person", gender, relation[0] if relation else "")
        known = self._known(name)
        if known is not None:
            return known
        if head.ent_type_ in _PLACE_KINDS or located:
            return Referent(name, name, "place", head=head.lemma_.lower())
        kind: Kind = "organisation" if head.ent_type_ == "ORG" else "thing"
        if head.ent_type_ == "" and head.tag_ == "NNPS":
            kind = "things"
        return Referent(name, name, kind, head=head.lemma_.lower())

    def _common(self, chunk: Span) -> Referent | None:
        head = chunk.root
        lemma = head.lemma_.lower()
        plural = head.tag_ == "NNS"
        kind = _kind(lemma, plural=plural)
        given = _given_name(head)
        owner = self._owner(chunk)
        gender = nouns.gender_of_noun(lemma)
        modified = _with_modifiers(chunk)
        if owner is None and _possessed_later(head) and _has_possessive(chunk) is False:
            owner = self._acquirer(head)
            if owner is None and kind == "person" and lemma not in nouns.FEMALE | nouns.MALE:
                owner = self._speaker if any(token.lower_ == "a" for token in chunk) else None
        if owner is None:
            return self._unowned(chunk, lemma, kind, given, modified, plural=plural)
        base = f"{possessive(owner)} {modified}"
        if kind == "thing" and lemma in nouns.PLACES:
            kind = "place"
        known = self._discourse.find(lambda referent: referent.head == lemma and referent.name.startswith(base))
        if known is not None and (given is None or given in known.name):
            return known
        if known is not None and given is not None and known.name == base:
            known.name, known.short = f"{base} {given}", given
            return known
        gender = gender or {"f": "f", "m": "m"}.get(given_names().get((given or "").split(" ")[0].lower(), ""), "")
        if given is not None and not plural:
            return Referent(f"{base} {given}", given, kind, gender, lemma)
        return Referent(base, base, kind, gender, lemma)

    def _unowned(
        self, chunk: Span, lemma: str, kind: Kind, given: str | None, modified: str, *, plural: bool
    ) -> Referent | None:
        if given is not None and not plural:
            gender = nouns.gender_of_noun(lemma)
            return Referent(f"the {modified} {given}" if kind == "person" else given, given, kind, gender, lemma)
        if any(token.lower_ in ("the", "this", "that", "these", "those") for token in chunk):
            known = self._discourse.find(lambda referent: referent.head == lemma and referent.kind == kind)
            if known is not None:
                return known
            told = _told_apart(chunk.root)
            if told is not None and kind == "thing":
                return Referent(told, told, "thing", head=lemma)
            if modified != chunk.root.text and kind == "thing":
                return Referent(f"the {modified}", f"the {modified}", "thing", head=lemma)
        if chunk.root.dep_ not in ("nsubj", "nsubjpass", "dobj", "pobj", "dative", "conj"):
            return None
        if kind == "things":
            return Referent(modified, modified, "objects", head=lemma)
        if kind in ("person", "people", "animal"):
            return Referent("", "", "unnamed" if kind != "people" else "people", nouns.gender_of_noun(lemma), lemma)
        return None

    def _acquirer(self, head: Token) -> str | None:
        """Whose it becomes: the subject of "have", "buy", "adopt"."""
        verb = head.head
        while verb.dep_ in ("conj", "xcomp") and verb.head.pos_ in ("VERB", "AUX") and not _subject(verb):
            verb = verb.head
        subject = _subject(verb)
        if subject is None:
            return None
        if subject.lower_ in ("i", "we"):
            return self._speaker
        if subject.i in self._owners:
            return self._owners[subject.i].name
        return None

    def _known(self, name: str) -> Referent | None:
        """The referent that already goes by this name or a part of it ("Priya" is "Dr. Priya Nair")."""
        wanted = set(name.lower().replace(".", "").split())

        def same(referent: Referent) -> bool:
            if not referent.short or referent.plural:
                return False
            words = set(referent.short.lower().replace(".", "").split())
            return wanted <= words or (words <= wanted and referent.kind == "person")

        known = self._discourse.find(same)
        if known is not None and known.kind == "person" and len(name) > len(known.short):
            known.name, known.short = known.name.replace(known.short, name), name
        return known


def _subject(verb: Token) -> Token | None:
    return next((child for child in verb.children if child.dep_ in ("nsubj", "nsubjpass")), None)


def _has_possessive(chunk: Span) -> bool:
    return any(token.dep_ == "poss" for token in chunk)


def _kind(lemma: str, *, plural: bool) -> Kind:
    if lemma in nouns.ANIMALS:
        return "things" if plural else "animal"
    if lemma in nouns.PLURAL_PEOPLE or (lemma in nouns.PERSONS and plural):
        return "people"
    if lemma in nouns.PERSONS:
        return "person"
    return "things" if plural else "thing"


def _possessed_later(head: Token) -> bool:
    return head.dep_ in ("dobj", "attr") and head.head.lemma_.lower() in nouns.ACQUIRING


def _proper_name(head: Token) -> str:
    """The proper noun with its neighbours in the same name: "Dr. Priya Nair"."""
    doc = head.doc
    start = head.i
    while start > 0 and doc[start - 1].pos_ == "PROPN" and doc[start - 1].dep_ == "compound":
        start -= 1
    return str(doc[start : head.i + 1].text)


def _given_name(head: Token) -> str | None:
    """The name that comes with a noun: "my sister Anna", "a dog named Biscuit", "my boss, Ms. Ito"."""
    for child in head.children:
        if child.dep_ == "appos" and child.pos_ == "PROPN" and child.i > head.i:
            return _proper_name(child)
        if child.dep_ == "acl" and child.lower_ in ("named", "called"):
            named = next((grand for grand in child.children if grand.dep_ in ("oprd", "dobj", "attr")), None)
            if named is not None:
                return _proper_name(named)
    after = head.i + 1
    if after < len(head.doc) and head.lemma_.lower() in nouns.PERSONS:
        following = head.doc[after]
        if following.text[0].isupper() and following.lower_ in given_names() and head.nbor(1).pos_ != "VERB":
            return str(following.text)
    if after < len(head.doc) and head.doc[after].lower_ in ("named", "called") and after + 1 < len(head.doc):
        following = head.doc[after + 1]
        if following.text[0].isupper():
            return str(following.text)
    return None


def _with_modifiers(chunk: Span) -> str:
    """The head noun with what narrows it down, without articles, numbers and possessives."""
    kept = [
        token
        for token in chunk
        if token.i <= chunk.root.i
        and (token.i == chunk.root.i or token.dep_ in ("compound", "amod", "nmod"))
        and token.ent_type_ not in ("DATE", "TIME", "CARDINAL", "ORDINAL")
        and token.lower_ not in ("new", "old", "first", "great", "nice", "little", "cute", "lovely", "own")
    ]
    return " ".join(token.text for token in kept)


def _told_apart(head: Token) -> str | None:
    """A definite phrase that says by itself which one: "the kickoff for the Apollo project"."""
    if not any(child.dep_ == "prep" and child.lower_ in ("for", "of", "with", "about") for child in head.children):
        return None
    words = [token for token in head.subtree if token.dep_ not in ("relcl", "punct")]
    if any(token.tag_ in ("PRP", "PRP$") or token.ent_type_ in ("DATE", "TIME") for token in words):
        return None
    text = "".join(token.text_with_ws for token in words).strip()
    return text[0].lower() + text[1:]
