"""What an incoming memory may be a copy or an update of: stored memories by hash, attribute and vector."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from app.memory.models import Memory, Scope
from app.store import document, index, keys
from app.store.client import RedisClient, store_errors
from app.store.query import folded_from, has_slot, states
from app.store.records import PAGE_FIELDS, record_from_row
from app.store.scripts import script
from app.store.vectors import DEFAULT, VectorSpace

CHUNK = 100
# How many memories that an id was folded into, of a fact, of an attribute are looked at; a longer timeline is cut at
# its far end.
MOST_IDS, MOST_COPIES, MOST_VALUES = 3, 5, 60
# Ids and facts share one search: many copies of one fact should not keep the others out.
SPARE = 20
_RETURNED = ("dist", *PAGE_FIELDS)
# The fingerprint; records of 0.1 have it as a tag.
_MARKS = ("mark", "fp")
_Row = tuple[bytes, dict[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Probe:
    """What is known about an incoming memory before it is stored."""

    memory: Memory
    vector: npt.NDArray[np.float32]
    fingerprint: str
    slots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A stored memory near an incoming one; `distance` is None when only its id, fact or attribute is the same."""

    memory: Memory
    revision: int
    distance: float | None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The scope's version before the look-up, and the neighbours of each incoming memory."""

    version: int
    neighbours: tuple[tuple[Neighbour, ...], ...]


@store_errors
class NeighbourRepository:
    """Looks up candidates: one round trip per hundred memories."""

    def __init__(self, client: RedisClient, space: VectorSpace = DEFAULT) -> None:
        self._client = client
        self._space = space
        self._fields = script(client, "records_read")

    def around(self, scope: Scope, probes: Sequence[Probe], *, k: int) -> Surroundings:
        """Of one user's memories: the nearest `k` of each (0: none), and all with its id, fact or attributes."""
        where = f"@ns:{{{_tag(keys.encode(scope.namespace))}}} @user:{{{_tag(keys.encode(scope.user_id))}}}"
        version = 0
        found: list[tuple[Neighbour, ...]] = []
        for start in range(0, len(probes), CHUNK):
            chunk = probes[start : start + CHUNK]
            own_keys = [keys.record(scope, probe.memory.id) for probe in chunk]
            commands = [_commands(where, probe, k, self._space) for probe in chunk]
            with self._client.pipeline(transaction=False) as pipeline:
                pipeline.get(keys.scope_version(scope))
                self._fields(own_keys, PAGE_FIELDS, client=pipeline)
                pipeline.execute_command(*_known(where, chunk))
                for command in (command for own in commands for command in own):
                    pipeline.execute_command(*command)
                counter, own_rows, known, *replies = pipeline.execute()
            if start == 0:
                version = int(counter or 0)
            rest = iter(replies)
            for told, own, key, row in zip(_told_apart(known, chunk), commands, own_keys, own_rows, strict=True):
                near = [hit for _command in own for hit in index.parse_search(next(rest))[1]]
                found.append(_merged([*near, *told], key.encode(), row))
        return Surroundings(version, tuple(found))


def _tag(encoded: str) -> str:
    return encoded.replace("-", "\\-")


def _commands(where: str, probe: Probe, k: int, space: VectorSpace) -> list[list[Any]]:
    """The searches for one probe alone: by vector and attribute, as far as it has them."""
    commands = [_nearest(where, probe, k, space)] if k else []
    if probe.slots:
        commands.append(_listing(f"{where} {has_slot(probe.slots)}", MOST_VALUES))
    return commands


def _known(where: str, probes: Sequence[Probe]) -> list[Any]:
    """One search for all probes by folded id and fact: hardly any is known, and each search has its price."""
    facts = [states(probe.fingerprint) for probe in probes if probe.fingerprint]
    alternatives = [*(folded_from(probe.memory.id) for probe in probes), *facts]
    most = SPARE + (MOST_IDS + MOST_COPIES) * len(probes)
    return _listing(f"{where} ({' | '.join(alternatives)})", most, *_RETURNED, *_MARKS)


def _told_apart(reply: list[Any], probes: Sequence[Probe]) -> list[list[_Row]]:
    """What `_known` found, by probe."""
    by_id: dict[str, list[_Row]] = {probe.memory.id: [] for probe in probes}
    by_fact: dict[str, list[_Row]] = {probe.fingerprint: [] for probe in probes if probe.fingerprint}
    for key, fields in index.parse_search(reply)[1]:
        mark = (fields.get(b"mark") or fields.get(b"fp") or b"").decode()
        if mark in by_fact:
            by_fact[mark].append((key, fields))
        if b"doc" in fields:
            for alias in by_id.keys() & {*document.from_fields(key, fields).aliases}:
                by_id[alias].append((key, fields))
    return [by_id[p.memory.id][:MOST_IDS] + by_fact.get(p.fingerprint, [])[:MOST_COPIES] for p in probes]


def _listing(query: str, limit: int, *returned: str) -> list[Any]:
    fields = returned or _RETURNED
    return ["FT.SEARCH", index.MEMORIES, query, "RETURN", str(len(fields)), *fields, "SORTBY", "created", "DESC",
            "LIMIT", "0", str(limit), "DIALECT", "2"]  # fmt: skip


def _nearest(where: str, probe: Probe, k: int, space: VectorSpace) -> list[Any]:
    blob = space.to_bytes(probe.vector)
    near = f"({where})=>[KNN $k @{space.field} $vector AS dist]"
    return ["FT.SEARCH", index.MEMORIES, near, "PARAMS", "4", "k", str(k), "vector", blob,
            "SORTBY", "dist", "ASC", "RETURN", str(len(_RETURNED)), *_RETURNED, "LIMIT", "0", str(k),
            "DIALECT", "2"]  # fmt: skip


def _merged(rows: Iterable[_Row], own_key: bytes, own: list[Any]) -> tuple[Neighbour, ...]:
    """What the searches found, each memory once, and the record under the probe's own key, if there is one."""
    found: dict[bytes, Neighbour] = {}
    for key, fields in rows:
        if key in found or b"doc" not in fields:
            continue
        distance = float(fields[b"dist"]) if b"dist" in fields else None
        found[key] = Neighbour(document.from_fields(key, fields), int(fields[b"rev"]), distance)
    if own_key not in found and own[-1] is not None:
        found[own_key] = Neighbour(record_from_row(own_key, own), int(own[-1]), None)
    return tuple(found.values())
