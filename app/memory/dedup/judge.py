"""The verdict on two memories of one user: is the incoming one the same, a refinement, an update, or another fact?

Cheap evidence first. No distance threshold separates look-alikes from paraphrases (measured: "two cats" is nearer to
"three cats" than many paraphrases are), so the distance only decides where nothing in the words speaks against it,
and how far it is trusted depends on how many words the two share.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from app.memory.dedup import lexicon
from app.memory.dedup.claim import LIGHT, Claim, read, stem
from app.memory.dedup.frames import other_thing
from app.memory.dedup.slots import Slot
from app.memory.identity import normalised
from app.memory.models import Memory, MemoryType

SAME_WORDS = "the same words"


class Verdict(enum.StrEnum):
    """What an incoming memory is to a stored one."""

    SAME = "same"
    REFINES = "refines"
    UPDATES = "updates"
    DISTINCT = "distinct"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its reason; `uncertain` marks what a language model may decide better."""

    verdict: Verdict
    reason: str
    uncertain: bool = False
    # Which text says more, where one does: that one is kept.
    fuller: Literal["old", "new"] | None = None


@dataclass(frozen=True, slots=True)
class Radii:
    """Cosine distances for one embedding model; `outer` bounds what is looked at, the others are trusted by overlap.

    The numbers are those of all-MiniLM-L6-v2; `scale` carries them to another model (see `calibration`).
    """

    outer: float = 0.35
    scale: float = 1.0

    def trusted(self, overlap: float) -> float:
        """How far apart two texts may be to count as paraphrases, by the share of content words in common."""
        for least, radius in ((0.75, 0.2), (0.5, 0.16), (0.3, 0.12), (0.0, 0.07)):
            if overlap >= least:
                return radius * self.scale
        return 0.0

    @property
    def near(self) -> float:
        """Inside this, one word replaced by an unknown one is taken for a synonym."""
        return 0.06 * self.scale

    @property
    def one_word(self) -> float:
        """Outside this, one telling word in common does not make a text part of a longer one."""
        return 0.2 * self.scale

    @property
    def same(self) -> float:
        """Outside this, not even shared words make two texts the same."""
        return 0.42 * self.scale

    @property
    def reach(self) -> float:
        """Outside this, only an attribute of both tells that one updates the other."""
        return 0.45 * self.scale

    @property
    def candidates(self) -> float:
        """How far candidates are looked for at all."""
        return max(self.outer, 0.45) * self.scale


def mergeable(memory: Memory) -> bool:
    """Whether a memory takes part at all: messages and summaries never do."""
    return memory.memory_type is not MemoryType.MESSAGE and memory.extraction_strategy not in ("summary", "message")


def slot_keys(memory: Memory) -> tuple[str, ...]:
    """The attributes that a memory gives a value to: what its updates are found by."""
    return tuple(slot.key for slot in read(memory.text).slots) if mergeable(memory) else ()


def stated(memory: Memory) -> datetime:
    """From when on a memory's fact counts as true: when it was said, or when it happened if that was before."""
    if memory.valid_from is not None:
        return memory.valid_from
    event = memory.event_date
    return min(event, memory.created_at) if event is not None else memory.created_at


def newer(incoming: Memory, stored: Memory) -> bool:
    """Whether the incoming memory speaks of a later time; what comes in later wins a tie."""
    if incoming.event_date is not None and stored.event_date is not None and incoming.event_date != stored.event_date:
        return incoming.event_date > stored.event_date
    return incoming.created_at >= stored.created_at


def judge(stored: Memory, incoming: Memory, distance: float, radii: Radii) -> Judgement:
    """Compare two memories of one scope; `distance` is the cosine distance of their vectors."""
    if not (mergeable(stored) and mergeable(incoming)):
        return Judgement(Verdict.DISTINCT, "messages and summaries are never merged")
    same_day = _day(stored) == _day(incoming)
    if stored.memory_type is not incoming.memory_type:
        return Judgement(Verdict.DISTINCT, f"{incoming.memory_type}, not {stored.memory_type}")
    if newer(incoming, stored):
        found = compare(read(stored.text), read(incoming.text), distance, radii)
    else:
        found = _backwards(compare(read(incoming.text), read(stored.text), distance, radii))
    if found.verdict in (Verdict.SAME, Verdict.REFINES) and not same_day:
        return Judgement(Verdict.DISTINCT, "different event dates")
    return found


def _day(memory: Memory) -> object:
    return memory.event_date.date() if memory.event_date else None


def _backwards(found: Judgement) -> Judgement:
    """The verdict when the incoming memory is the older one: then what adds to it is the stored one."""
    if found.verdict is Verdict.REFINES:
        return Judgement(Verdict.SAME, "the stored memory says it with more detail")
    if found.fuller == "old":
        return Judgement(Verdict.REFINES, "says it with more detail")
    return found


def compare(old: Claim, new: Claim, distance: float, radii: Radii) -> Judgement:
    """Compare two texts, the second being the later one."""
    if normalised(old.text) == normalised(new.text):
        return Judgement(Verdict.SAME, SAME_WORDS)
    slot = _by_slot(old, new)
    if slot is not None and slot.verdict in (Verdict.UPDATES, Verdict.DISTINCT):
        return slot
    if old.subject and new.subject and _other_subject(old, new):
        return Judgement(Verdict.DISTINCT, f"about {new.subject}, not {old.subject}")
    left = _left_behind(old, new)
    if left is not None:
        return left
    conflict = _conflict(old, new)
    if conflict is not None:
        return _in_conflict(old, new, conflict, distance, radii)
    if slot is not None:
        return slot
    return _without_conflict(old, new, distance, radii)


# -- attributes ----------------------------------------------------------------------------------------------------


def _by_slot(old: Claim, new: Claim) -> Judgement | None:
    """The verdict from attributes that both texts give a value to, if any."""
    verdicts = [_values(a, b, old, new) for a in old.slots for b in new.slots if a.key == b.key]
    verdicts = [v for v in verdicts if v is not None]
    for wanted in (Verdict.UPDATES, Verdict.DISTINCT):
        for found in verdicts:
            if found is not None and found.verdict is wanted:
                return found
    return verdicts[0] if verdicts else None


def _values(old_slot: Slot, new_slot: Slot, old: Claim, new: Claim) -> Judgement | None:
    what = f"{old_slot.attribute} of {old_slot.subject}"
    before, after = set(old_slot.value.split()), set(new_slot.value.split())
    if old_slot.value == new_slot.value:
        if old_slot.negated == new_slot.negated:
            return None
        return Judgement(Verdict.UPDATES, f"{what}: {'no longer' if new_slot.negated else 'again'} {new_slot.value}")
    if old_slot.negated or new_slot.negated:
        return Judgement(Verdict.DISTINCT, f"{what}: not {new_slot.value} says nothing about {old_slot.value}")
    if before <= after or after <= before:
        if new.changes and not old.changes and before < after and old_slot.attribute == "title":
            return Judgement(Verdict.UPDATES, f"{what}: {new_slot.value} instead of {old_slot.value}")
        return None
    if old_slot.attribute == "residence" and _levels_differ(before, after):
        return Judgement(Verdict.DISTINCT, f"{what}: one may lie in the other")
    if set(old_slot.subject.split()) & lexicon.SEVERAL and not new.changes:
        return Judgement(Verdict.DISTINCT, f"{what}: there may be several")
    if _says_more(old, old_slot):
        return Judgement(Verdict.DISTINCT, f"{what} changed, but the stored memory says more than that")
    return Judgement(Verdict.UPDATES, f"{what}: {new_slot.value} instead of {old_slot.value}")


def _levels_differ(before: set[str], after: set[str]) -> bool:
    """Whether one is a country and the other is not: Lisbon is no move from Portugal."""
    return bool(before & lexicon.PLACES_OF_PLACES) != bool(after & lexicon.PLACES_OF_PLACES)


def _says_more(old: Claim, slot: Slot) -> bool:
    """Whether the stored text holds a second statement, which would be retired together with the attribute."""
    text = old.text.lower()
    joined = [part for part in (" and ", "; ", ", but ", " but ") if part in text]
    tail = text.split(joined[0], 1)[1] if joined else ""
    return bool(tail) and not set(tail.split()) & set(slot.value.split()) and len(tail.split()) > 2


# -- conflicts -------------------------------------------------------------------------------------------------------


def _other_subject(old: Claim, new: Claim) -> bool:
    if old.subject == new.subject:
        return False
    first, second = set((old.subject or "").split()), set((new.subject or "").split())
    roles = (first ^ second) & lexicon.RELATIONS
    if roles and _relations(old) & roles != _relations(new) & roles:
        return True
    if first & second:
        # "User" and "User's suitcase": two things unless the suitcase is spoken of in both.
        return any(
            claim_words and not {stem(w) for w in claim_words} & other.content
            for claim_words, other in ((first - second, new), (second - first, old))
            if claim_words and min(len(first), len(second)) == 1
        )
    # Active and passive name the same parties in other places; without a shared name they are about two things.
    if (
        old.passive != new.passive
        or first <= set(new.stems) | _name_words(new)
        or second <= set(old.stems) | _name_words(old)
    ):
        return False
    return "user" not in first | second or not ({"user"} <= old.words & new.words)


def _relations(claim: Claim) -> frozenset[str]:
    return frozenset(
        lexicon.SAME_RELATION.get(w, w) for w in claim.words & (lexicon.RELATIONS | lexicon.SAME_RELATION.keys())
    )


def _name_words(claim: Claim) -> set[str]:
    return {word for name in claim.names for word in name.split()}


def _conflict(old: Claim, new: Claim) -> str | None:
    """The first piece of evidence against two texts saying the same, in words; None if there is none."""
    for kind, first, second in (("number", old.numbers, new.numbers), ("date", old.dates, new.dates)):
        if first and second and not (first <= second or second <= first):
            return f"{kind} {_listed(second - first)} instead of {_listed(first - second)}"
    figures = [(bool(claim.numbers), bool(claim.dates)) for claim in (old, new)]
    if sorted(figures) == [(False, True), (True, False)]:
        # Not everything that looks like a year is one: "room 2037" is not "room 4658".
        return f"{_listed(new.numbers | new.dates)} instead of {_listed(old.numbers | old.dates)}"
    if old.signs - new.signs and new.signs - old.signs:
        return f"{_listed(new.signs - old.signs)} instead of {_listed(old.signs - new.signs)}"
    first_names, second_names = _names_apart(old, new)
    if first_names and second_names:
        return f"name {_listed(second_names)} instead of {_listed(first_names)}"
    if _roles_swapped(old, new):
        return "roles swapped"
    swapped = _swapped(old, new)
    if swapped:
        return swapped
    kinds = _kinds(old, new)
    if kinds:
        return kinds
    for claim, other in ((old, new), (new, old)):
        for of, who in claim.relatives:
            if of in other.words and who not in other.words and of != "user":
                return f"about {of}'s {who}"
    opposite = _opposite(old, new)
    if opposite:
        return opposite
    if old.negated != new.negated and not _same_by_antonym(old, new):
        return "polarity"
    folded = (_relations(old), _relations(new))
    if folded[0] and folded[1] and folded[0] != folded[1] and not (folded[0] <= folded[1] or folded[1] <= folded[0]):
        return f"role {_listed(folded[1])} instead of {_listed(folded[0])}"
    if old.past != new.past:
        return "past, not present"
    if old.intent != new.intent:
        return "intended, not done"
    return None


def _roles_swapped(old: Claim, new: Claim) -> bool:
    """The same words about the same parties in another order, where the order tells who does what to whom."""
    mutual = {"and", "or", "with"} & old.words & new.words or {"marri"} & old.content
    if old.content != new.content or old.passive != new.passive or mutual:
        return False
    orders = []
    for claim in (old, new):
        text = claim.text.lower()
        parties = [n for n in (*old.names, "user") if n in old.text.lower() and n in new.text.lower()]
        orders.append(sorted(parties, key=text.find))
    return len(orders[0]) > 1 and orders[0] != orders[1] and not _possessed(old, new)


def _possessed(old: Claim, new: Claim) -> bool:
    """Whether one text says "X's Y" and the other "Y of X": then the order tells nothing."""
    return ("'s " in old.text) != ("'s " in new.text)


def _names_apart(old: Claim, new: Claim) -> tuple[set[str], set[str]]:
    first, second = set(old.names), set(new.names)
    only_first = {n for n in first if not any(_part_of(n, m) for m in second) and not set(n.split()) <= new.words}
    only_second = {n for n in second if not any(_part_of(n, m) for m in first) and not set(n.split()) <= old.words}
    return only_first, only_second


def _part_of(name: str, other: str) -> bool:
    a, b = set(name.split()), set(other.split())
    return a <= b or b <= a


_KIND_STEMS = tuple(frozenset(stem(word) for word in line) for line in lexicon.KINDS)


def _kinds(old: Claim, new: Claim) -> str | None:
    """Two different things of one kind, one in each text ("peanuts", "walnuts")."""
    first, second = {_singular(w) for w in old.words}, {_singular(w) for w in new.words}
    stems_apart = (old.content - new.content, new.content - old.content)
    words_apart = (first - second, second - first)
    for lines, (only_old, only_new) in ((lexicon.KINDS, words_apart), (_KIND_STEMS, stems_apart)):
        for line in lines:
            a, b = only_old & line, only_new & line
            if a and b and {stem(w) for w in a} != {stem(w) for w in b}:
                return f"{_listed(b)} instead of {_listed(a)}"
            if (
                a
                and b
                and lines is lexicon.KINDS
                and not any(lexicon.SYNONYMS.get(x) == lexicon.SYNONYMS.get(y) for x in a for y in b)
            ):
                return f"{_listed(b)} instead of {_listed(a)}"
    return None


def _swapped(old: Claim, new: Claim) -> str | None:
    """The same words in other pairs: "red wine and green tea", "green wine and red tea"."""
    for word, thing in old.pairs - new.pairs:
        others = {other for first, other in new.pairs - old.pairs if first == word}
        if others and thing in new.content and others & old.content:
            return f"{word} {_listed(others)} instead of {word} {thing}"
    return None


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


def _opposite(old: Claim, new: Claim) -> str | None:
    only_old = (old.content | old.words) - (new.content | new.words)
    only_new = (new.content | new.words) - (old.content | old.words)
    for one, other in lexicon.OPPOSITES:
        for a, b in ((one, other), (other, one)):
            if only_old & a and only_new & b and not _double(old, new, a, b):
                return f"{_listed(only_new & b)} instead of {_listed(only_old & a)}"
    return None


def _double(old: Claim, new: Claim, a: frozenset[str], b: frozenset[str]) -> bool:
    """An opposite under a negation is none: "does not like" is "dislikes"."""
    return old.negated != new.negated and bool(a | b) and not (old.ends or new.ends)


def _same_by_antonym(old: Claim, new: Claim) -> bool:
    only_old, only_new = old.content - new.content, new.content - old.content
    if any(only_old & a and only_new & b for one, two in lexicon.OPPOSITES for a, b in ((one, two), (two, one))):
        return not (old.ends or new.ends)
    negative = {"intoler", "unabl", "dislik", "avoid", "refus", "allerg"}
    return bool((only_old | only_new) & negative) and not (old.ends or new.ends)


def _listed(values: frozenset[str] | set[str]) -> str:
    return ", ".join(sorted(values)) or "-"


def _in_conflict(old: Claim, new: Claim, conflict: str, distance: float, radii: Radii) -> Judgement:
    """Two texts that cannot be the same: an update when the later one says that this changed."""
    overlap = _containment(old, new)
    if old.past or new.past or old.intent or new.intent:
        return Judgement(Verdict.DISTINCT, conflict)
    same_subject = old.subject == new.subject or old.subject is None or new.subject is None or _named_before(old, new)
    if conflict == "polarity":
        if new.negated and same_subject and (overlap >= 0.99 or (new.ends and overlap >= 0.6)):
            return Judgement(Verdict.UPDATES, "no longer true" if new.ends else "now denied")
        if old.negated and new.changes and same_subject and overlap >= 0.99:
            return Judgement(Verdict.UPDATES, "true again")
        return Judgement(Verdict.DISTINCT, conflict)
    # Everything else that the stored text says must be said again: a service that changed hands is still in Go.
    left_out = {w for w in old.content - new.content if w not in LIGHT and w not in _kind_stems(conflict)}
    added = {w for w in new.content - old.content if w not in LIGHT and w not in _kind_stems(conflict)}
    if new.changes and same_subject and distance <= radii.reach and not left_out and len(added) <= 2 and old.content:
        return Judgement(Verdict.UPDATES, f"changed: {conflict}")
    return Judgement(Verdict.DISTINCT, conflict)


def _kind_stems(conflict: str) -> set[str]:
    return {stem(word) for word in re.findall(r"\w+", conflict)}


def _named_before(old: Claim, new: Claim) -> bool:
    """Whether a name of the stored text is said again ("switched from X")."""
    return bool(set(old.names) & set(new.names))


_FROM_TO = re.compile(
    r"\b(?:(?:switched|changed|upgraded|migrated|swapped|traded|replaced)\b(?: \w+){0,2}? (?:from )?|"
    r"(?:went|moved)\b(?: \w+){0,2}? from )"
    r"(?:the |a |an |her |his |their )?"
    r"(?P<old>[\w .#+-]{2,40}?) (?:to|for|with|by) (?:the |a |an )?(?P<new>[\w .#+-]{2,60})",
    re.IGNORECASE,
)


def _left_behind(old: Claim, new: Claim) -> Judgement | None:
    """An update that names what it leaves ("switched from X to Y"), where the stored text says that."""
    match = _FROM_TO.search(new.text)
    if match is None or new.intent or old.past or (old.subject and new.subject and old.subject != new.subject):
        return None
    before = {stem(w) for w in match["old"].lower().split()} - {"the", "a", "from"}
    after = {stem(w) for w in match["new"].lower().split()}
    said = {stem(w) for w in old.words}
    if before and before <= said and not after <= said and old.negated == new.negated:
        return Judgement(Verdict.UPDATES, f"{match['new']} instead of {match['old']}")
    return None


def _containment(old: Claim, new: Claim) -> float:
    """The share of the stored text's content that the later one repeats."""
    if not old.content:
        return 1.0 if not new.content else 0.0
    return len(old.content & new.content) / len(old.content)


# -- no conflict -------------------------------------------------------------------------------------------------------


def _without_conflict(old: Claim, new: Claim, distance: float, radii: Radii) -> Judgement:
    only_old = _extra(old, new)
    only_new = _extra(new, old)
    common = old.content & new.content
    shared = set(old.names) & set(new.names) | old.numbers & new.numbers | old.dates & new.dates
    if len(common | shared | ({"user"} & old.words & new.words)) < 2:
        return Judgement(Verdict.DISTINCT, "too few words to tell")
    if not only_old and not only_new:
        if distance <= radii.same:
            return Judgement(Verdict.SAME, "the same content words, numbers, names and polarity")
        return Judgement(Verdict.DISTINCT, f"distance {distance:.2f}")
    union = old.content | new.content
    overlap = len(common) / len(union) if union else 1.0
    if distance > radii.same:
        return Judgement(Verdict.DISTINCT, f"distance {distance:.2f}")
    replaced = other_thing(old.text, new.text)
    if replaced is not None:
        return Judgement(Verdict.DISTINCT, f"{replaced[1]} in the place of {replaced[0]}", uncertain=True)
    if common and (not only_old or not only_new) and _holds(old, new, only_old, common, distance, radii):
        narrowed = _narrowed(old, new) or _narrowed(new, old)
        if _possessed_and_more(old, new, only_new) or _possessed_and_more(new, old, only_old):
            return Judgement(Verdict.DISTINCT, f"having is not what the other says: {_listed(only_new or only_old)}")
        if not narrowed:
            if not only_old:
                return Judgement(Verdict.REFINES, f"adds {_listed(only_new)}", fuller="new")
            return Judgement(Verdict.SAME, "the stored memory says it with more detail", fuller="old")
        return Judgement(Verdict.DISTINCT, f"a narrower thing: {_listed(only_new or only_old)}")
    if _one_word_replaced(only_old, only_new, old, new) and distance > radii.near:
        return Judgement(Verdict.DISTINCT, f"{_listed(only_new)} instead of {_listed(only_old)}",
                         uncertain=distance <= radii.outer * radii.scale)  # fmt: skip
    particulars = (only_old | only_new) - old.content - new.content
    if particulars and distance > radii.near:
        return Judgement(Verdict.DISTINCT, f"only one of them names {_listed(particulars)}",
                         uncertain=distance <= radii.outer * radii.scale)  # fmt: skip
    if distance <= radii.trusted(overlap):
        return Judgement(
            Verdict.SAME, f"distance {distance:.2f}, {overlap:.0%} of the words shared, nothing against it"
        )
    return Judgement(
        Verdict.DISTINCT,
        f"distance {distance:.2f} with {overlap:.0%} of the words shared",
        uncertain=distance <= radii.outer * radii.scale,
    )


def _holds(old: Claim, new: Claim, only_old: set[str], common: frozenset[str], distance: float, radii: Radii) -> bool:
    """Whether the text without words of its own is part of the other: "held some events" is not, of any event."""
    if len(common - LIGHT - _DEEDS) > 1 or distance <= radii.one_word:
        return True
    short, long = (new, old) if only_old else (old, new)
    return {stem(word) for word in short.words - _ARTICLES} <= {stem(word) for word in long.words}


def _extra(claim: Claim, other: Claim) -> set[str]:
    """What a text says that the other does not: content, numbers, dates and names."""
    light = {w for w in claim.content - other.content if w in LIGHT}
    names = {
        n for n in claim.names if not any(_part_of(n, m) for m in other.names) and not set(n.split()) <= other.words
    }
    return (
        set(claim.content - other.content - light)
        | (claim.numbers - other.numbers)
        | (claim.dates - other.dates)
        | names
    )


_ARTICLES = frozenset({"a", "an", "the", "some"})
# Verbs that say little without their object.
_DEEDS = frozenset(map(stem, lexicon.LIGHT_VERBS))
_HAVING = re.compile(r"\b(?:owns?|owned|has|have|had|possess(?:es)?)\b", re.IGNORECASE)
_PERFECT = re.compile(r"\b(?:has|have|had)(?: \w+ly| just| never| always| also)? (\w+)", re.IGNORECASE)


def _possessed_and_more(short: Claim, long: Claim, extra: set[str]) -> bool:
    """Whether one text only says that somebody has a thing and the other what was done with it ("has read")."""
    if not extra or not _HAVING.search(short.text):
        return False
    return any(stem(match[1].lower()) in extra for match in _PERFECT.finditer(long.text))


def _narrowed(short: Claim, long: Claim) -> bool:
    """Whether the longer text speaks of a narrower thing: liking green tea is not liking tea."""
    generic = short.content & lexicon.GENERIC_VERBS
    if not generic or not short.content < long.content:
        return False
    last = short.stems[-1]
    if last not in long.stems:
        return False
    place = long.stems.index(last)
    return place > 0 and long.stems[place - 1] not in short.content


def _one_word_replaced(only_old: set[str], only_new: set[str], old: Claim, new: Claim) -> bool:
    return len(only_old) == 1 and len(only_new) == 1 and abs(len(old.stems) - len(new.stems)) <= 1
