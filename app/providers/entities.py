"""Named entities by spaCy, with the small model's habits corrected.

The small English model is quick and finds names well, but it labels them badly ("Redis" a person, "Alice" a
company), misses products written in lower case, and returns dates and numbers that nobody searches by entity. So its
spans are taken as evidence and mended: a list of technologies wins over it, a list of given names tells persons, and
what is left is cleaned (titles, possessives, commas) and folded (a short name inside a longer one of the same text).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from app.memory.models import Entity
from app.providers.spacy_models import DEFAULT_MODEL, parsed, spacy_model
from app.word_sets import word_set

if TYPE_CHECKING:
    from spacy.tokens import Doc, Span, Token

_BORING_KINDS = frozenset({"CARDINAL", "ORDINAL", "DATE", "TIME", "MONEY", "PERCENT", "QUANTITY"})
_NOT_NAMES = word_set(
    """
    user users assistant system i me my we us you he she they it someone everyone nobody today tomorrow
    yesterday hi hello hey thanks ok okay yes no lol haha btw asap fyi mom mum dad mommy daddy grandma grandpa
    sis bro monday tuesday wednesday thursday friday saturday sunday january february march april june july
    august september october november december christmas easter pm am
    """
)
_TITLE = re.compile(
    r"^(?:(?:the|a|an)\s+|user[’']s\s+(?:[a-z]+\s+)*|"
    r"(?:dr|mr|mrs|ms|mx|prof|professor|sir|madam|doctor|aunt|uncle|auntie|grandma|grandpa)\b\.?\s+)+",
    re.IGNORECASE,
)
_POSSESSIVE = re.compile(r"[’']s?$")
_EDGE_JUNK = re.compile(r"^[\W_]+|[^\w+#.)]+$")
_ORG_WORD = re.compile(
    r"\b(?:inc|corp|ltd|llc|gmbh|bank|university|college|school|institute|hospital|clinic|labs?|group|systems|"
    r"technologies|software|foundation|company|airlines|museum|ministry)\b",
    re.IGNORECASE,
)


@lru_cache(maxsize=1)
def technologies() -> tuple[tuple[str, bool], ...]:
    """Known technologies as (name, must the case match), from the data file."""
    text = resources.files("app.providers").joinpath("data/technologies.txt").read_text(encoding="utf-8")
    lines = (line.strip() for line in text.splitlines())
    return tuple((line.lstrip("="), line.startswith("=")) for line in lines if line and not line.startswith("# "))


@lru_cache(maxsize=1)
def organisations() -> frozenset[str]:
    """Known companies and organisations, from the data file."""
    text = resources.files("app.providers").joinpath("data/organisations.txt").read_text(encoding="utf-8")
    return frozenset(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))


@lru_cache(maxsize=1)
def given_names() -> dict[str, str]:
    """Common given names in lower case, each with "f", "m" or "u" (used for both)."""
    text = resources.files("app.providers").joinpath("data/given_names.txt").read_text(encoding="utf-8")
    names: dict[str, str] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            gender, _, listed = line.partition(":")
            names.update((name.lower(), gender.strip()) for name in listed.split())
    return names


@lru_cache(maxsize=4)
def _organisation_matcher(model: str) -> Any:
    from spacy.matcher import PhraseMatcher

    nlp = spacy_model(model)
    matcher = PhraseMatcher(nlp.vocab, attr="ORTH")
    matcher.add("ORG", [nlp.make_doc(name) for name in sorted(organisations())])
    return matcher


@lru_cache(maxsize=4)
def _technology_matchers(model: str) -> tuple[Any, Any]:
    """Phrase matchers (any case, exact case) over the data file.

    They stand beside the pipeline, not in it as an entity ruler would: the model is shared with grounding.
    """
    from spacy.matcher import PhraseMatcher

    nlp = spacy_model(model)
    any_case, exact = PhraseMatcher(nlp.vocab, attr="LOWER"), PhraseMatcher(nlp.vocab, attr="ORTH")
    for name, case_matters in technologies():
        (exact if case_matters else any_case).add(name, [nlp.make_doc(name)])
    return any_case, exact


def technology_spans(doc: Doc, model: str = DEFAULT_MODEL) -> list[Span]:
    """Known technologies in a parsed text, longest first where they overlap; `label_` is the name to store."""
    from spacy.util import filter_spans

    spans: list[Span] = []
    for matcher in _technology_matchers(model):
        spans.extend(matcher(doc, as_spans=True))
    return sorted(filter_spans(spans), key=lambda span: int(span.start))


def clean_name(text: str) -> str:
    """A name without title, article, possessive, stray punctuation and commas; empty if nothing is left."""
    name = " ".join(text.replace(",", " ").split())
    previous = None
    while previous != name:
        previous = name
        name = _POSSESSIVE.sub("", _EDGE_JUNK.sub("", _TITLE.sub("", name))).strip()
    return name.rstrip(".") if name.count(".") == 1 and name.endswith(".") else name


class SpacyEntityRecognizer:
    """Finds persons, organisations, places, products and other names (an `EntityRecognizer`)."""

    def __init__(self, model: str = DEFAULT_MODEL) -> None:
        self.model_id = model

    def recognize(self, texts: Sequence[str]) -> list[list[Entity]]:
        """One list of entities per text, in order of appearance, without duplicates."""
        return [self.entities_of(doc) for doc in parsed(texts, self.model_id)]

    def entities_of(self, doc: Doc) -> list[Entity]:
        """The entities of a text that is already parsed."""
        found: list[tuple[int, Entity]] = []
        taken: set[int] = set()
        for span in _organisation_spans(doc, self.model_id):
            found.append((span.start, Entity(span.text, "ORG")))
            taken.update(range(span.start, span.end))
        for span in technology_spans(doc, self.model_id):
            if not taken.isdisjoint(range(span.start, span.end)) or _is_a_person(span):
                continue
            if any(span.start < ent.end and ent.start < span.start and ent.label_ == "ORG" for ent in doc.ents):
                continue  # "the Apache Kafka Foundation": the longer name is the entity
            found.append((span.start, Entity(span.label_, "PRODUCT")))
            taken.update(range(span.start, span.end))
        for span in doc.ents:
            if taken.isdisjoint(range(span.start, span.end)) and span.label_ not in _BORING_KINDS:
                entity = _mended(span)
                if entity is not None:
                    found.append((span.start, entity))
                    taken.update(range(span.start, span.end))
        for token in doc:
            if token.i not in taken and token.is_title and token.tag_[:2] != "VB" and token.lower_ in given_names():
                full = _full_name(token, taken)
                found.append((token.i, Entity(full.text, "PERSON")))
                taken.update(range(full.start, full.end))
        return _folded([entity for _, entity in sorted(found, key=lambda pair: pair[0])])


def _organisation_spans(doc: Doc, model: str) -> list[Span]:
    """Known organisations, but not as a part of a longer name that the model found ("Apple Music", "Amazon S3")."""
    from spacy.util import filter_spans

    spans = filter_spans(_organisation_matcher(model)(doc, as_spans=True))
    longer = [*technology_spans(doc, model), *doc.ents]
    return [
        span
        for span in spans
        if not any(
            other.start <= span.start
            and span.end <= other.end
            and len(other) > len(span)
            and clean_name(other.text) not in (span.text, clean_name(span.text))
            for other in longer
        )
    ]


def _is_a_person(span: Span) -> bool:
    """Technologies that are given names too ("Julia") are persons unless the model says otherwise."""
    return len(span) == 1 and span[0].lower_ in given_names() and span[0].ent_type_ in ("", "PERSON")


def _full_name(token: Token, taken: set[int]) -> Span:
    """A given name with the surname after it, which the model missed."""
    end = token.i + 1
    doc = token.doc
    if (
        end < len(doc)
        and end not in taken
        and doc[end].is_title
        and doc[end].pos_ == "PROPN"
        and doc[end].lower_ not in _NOT_NAMES
    ):
        end += 1
    return doc[token.i : end]


def _mended(span: Span) -> Entity | None:
    """The entity of one span of the model, or None where the model was led astray."""
    name = clean_name(span.text)
    if len(name) < 2 or name.lower() in _NOT_NAMES or not any(char.isalpha() for char in name):
        return None
    if not any(token.pos_ in ("PROPN", "NOUN", "X") or token.text[0].isupper() for token in span):
        return None
    if name.islower() and span.label_ in ("ORG", "PERSON", "WORK_OF_ART", "PRODUCT"):
        return None
    kind = span.label_
    words = name.split()
    if words[0].lower() in given_names() and len(words) <= 3 and not _ORG_WORD.search(name):
        if kind not in ("GPE", "LOC", "FAC", "WORK_OF_ART") or len(words) == 1:
            kind = "PERSON"
    elif kind == "PERSON" and _ORG_WORD.search(name):
        kind = "ORG"
    return Entity(name, kind)


def _folded(entities: list[Entity]) -> list[Entity]:
    """Without duplicates, and without names that are part of another name of the same text.

    "Priya" beside "Priya Nair" is one person; "Java" beside "JavaScript" stays, because whole words count.
    """
    kept: list[Entity] = []
    for entity in entities:
        words = set(entity.name.lower().split())
        longer = any(
            words < set(other.name.lower().split()) and (other.kind == entity.kind or entity.kind == "PERSON")
            for other in entities
        )
        if not longer and all(entity.name.lower() != other.name.lower() for other in kept):
            kept.append(entity)
    return kept
