"""One name per person and organisation within a conversation: "Priya" is "Priya Nair" where only one Priya is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from app.memory.models import Entity

_LINKED_KINDS = ("PERSON", "ORG")


def linked(texts: Sequence[Sequence[Entity]], known: Iterable[Entity] = ()) -> list[list[Entity]]:
    """The entities of a conversation's texts with short names replaced by the one longer name that they stand for.

    A person's short name is any of the words of the longer one ("Priya", "Nair"), an organisation's is its beginning
    ("Acme" for "Acme Corp"). A name that could mean two is left alone. `known` are names from earlier on.
    """
    names = {entity for entities in texts for entity in entities if entity.kind in _LINKED_KINDS}
    names |= {entity for entity in known if entity.kind in _LINKED_KINDS}
    longer = {name: _the_one(name, names) for name in names}
    result: list[list[Entity]] = []
    for entities in texts:
        distinct: dict[str, Entity] = {}
        for entity in entities:
            full = longer.get(entity, entity)
            distinct.setdefault(full.name.casefold(), full)
        result.append(list(distinct.values()))
    return result


def _the_one(name: Entity, names: set[Entity]) -> Entity:
    matches = [other for other in names if _is_short_for(name, other)]
    # "Ann" beside "Ann Lee" and "Ann Lee Smith": the longest, if all the others are short for it.
    longest = max(matches, key=lambda other: (len(other.name), other.name), default=None)
    if longest is None or any(other != longest and not _is_short_for(other, longest) for other in matches):
        return name
    return longest


def _is_short_for(name: Entity, other: Entity) -> bool:
    short, long = name.name.casefold().split(), other.name.casefold().split()
    if len(short) >= len(long) or name.kind != other.kind:
        return False
    if name.kind == "ORG":
        return long[: len(short)] == short
    return set(short) <= set(long)
