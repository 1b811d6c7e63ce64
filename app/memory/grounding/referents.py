"""Who and what a conversation has mentioned so far, so that "she", "there" and "the appointment" can be looked up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

Kind = Literal["person", "people", "animal", "place", "organisation", "thing", "things", "objects", "unnamed"]


@dataclass(slots=True)
class Referent:
    """Someone or something, under the best name known for it so far.

    `name` says who it is to a stranger ("User's sister Anna"), `short` is enough once that is said ("Anna"). An
    unnamed referent ("a woman") cannot be written into a memory, but it makes a pronoun ambiguous.
    """

    name: str
    short: str
    kind: Kind
    """Kind "objects": nobody's in particular ("horror movies"). "Them" can mean these, "they" hardly does."""
    gender: str = ""
    head: str = ""
    """Lemma of the head noun, for "the appointment"."""

    @property
    def plural(self) -> bool:
        """Whether verbs behind its name are in the plural."""
        return self.kind in ("people", "things", "objects")


@dataclass(frozen=True, slots=True)
class Mention:
    """One place where a referent is spoken of; `position` is (turn, character in the message)."""

    referent: Referent
    position: tuple[int, int]
    sentence: int
    subject: bool
    speaker: str
    verb: int = -1
    """Token index of the verb it depends on, within the text being read (to keep "Tom called him" apart)."""


@dataclass(slots=True)
class Discourse:
    """The mentions of a conversation in order, and what "we" stands for per speaker."""

    mentions: list[Mention] = field(default_factory=list)
    companions: dict[str, list[tuple[tuple[int, int], str]]] = field(default_factory=dict)
    """Per speaker: from where on "we" means whom."""
    sentence: int = 0

    def until(self, position: tuple[int, int]) -> Discourse:
        """What was known just before a position."""
        earlier = [mention for mention in self.mentions if mention.position < position]
        companions = {
            speaker: [entry for entry in entries if entry[0] < position] for speaker, entries in self.companions.items()
        }
        return Discourse(earlier, companions, (earlier[-1].sentence + 1) if earlier else 0)

    def add(self, mention: Mention) -> None:
        """Remember a mention."""
        self.mentions.append(mention)

    def merge(self, one: Referent, other: Referent) -> None:
        """Two referents turned out to be the same: every mention of `one` is one of `other`."""
        self.mentions[:] = [
            replace(mention, referent=other) if mention.referent is one else mention for mention in self.mentions
        ]

    def find(self, wanted: Callable[[Referent], bool]) -> Referent | None:
        """The referent mentioned last that is `wanted`."""
        return next((mention.referent for mention in reversed(self.mentions) if wanted(mention.referent)), None)

    def nearest(self, wanted: Callable[[Mention], bool], *, within: int) -> list[Mention]:
        """The mentions of the latest sentence (at most `within` back) that has any that are `wanted`."""
        found: list[Mention] = []
        for mention in reversed(self.mentions):
            if found and mention.sentence != found[0].sentence:
                break
            if self.sentence - mention.sentence > within:
                break
            if wanted(mention):
                found.append(mention)
        return found

    def together(self, speaker: str) -> str | None:
        """Whom a speaker's "we" means, if it was said."""
        entries = self.companions.get(speaker)
        return entries[-1][1] if entries else None


def only_one(mentions: list[Mention]) -> Referent | None:
    """The one referent that a pronoun can mean: the only one, or the only subject; None when there is a choice."""
    for among in (mentions, [mention for mention in mentions if mention.subject]):
        referents = {id(mention.referent): mention.referent for mention in among}
        if len(referents) == 1:
            return next(iter(referents.values()))
    return None
