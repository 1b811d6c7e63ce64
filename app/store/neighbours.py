"""What an incoming memory may be a copy or an update of: stored memories by hash, attribute and vector."""

from __future__ import annotations

from collections.abc import Sequence
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
_RETURNED = ("dist", *PAGE_FIELDS)


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
                for command in (command for own in commands for command in own):
                    pipeline.execute_command(*command)
                counter, own_rows, *replies = pipeline.execute()
            if start == 0:
                version = int(counter or 0)
            rest = iter(replies)
            found += [
                _merged([next(rest) for _command in own], key.encode(), row)
                for own, key, row in zip(commands, own_keys, own_rows, strict=True)
            ]
        return Surroundings(version, tuple(found))


def _tag(encoded: str) -> str:
    return encoded.replace("-", "\\-")


def _commands(where: str, probe: Probe, k: int, space: VectorSpace) -> list[list[Any]]:
    """The searches for one probe: by vector, folded id, fact and attribute, as far as it has them."""
    commands = [_nearest(where, probe, k, space)] if k else []
    commands.append(_listing(f"{where} {folded_from(probe.memory.id)}", MOST_IDS))
    if probe.fingerprint:
        commands.append(_listing(f"{where} {states(probe.fingerprint)}", MOST_COPIES))
    if probe.slots:
        commands.append(_listing(f"{where} {has_slot(probe.slots)}", MOST_VALUES))
    return commands


def _listing(query: str, limit: int) -> list[Any]:
    return ["FT.SEARCH", index.MEMORIES, query, "RETURN", str(len(_RETURNED)), *_RETURNED, "SORTBY", "created", "DESC",
            "LIMIT", "0", str(limit), "DIALECT", "2"]  # fmt: skip


def _nearest(where: str, probe: Probe, k: int, space: VectorSpace) -> list[Any]:
    blob = space.to_bytes(probe.vector)
    near = f"({where})=>[KNN $k @{space.field} $vector AS dist]"
    return ["FT.SEARCH", index.MEMORIES, near, "PARAMS", "4", "k", str(k), "vector", blob,
            "SORTBY", "dist", "ASC", "RETURN", str(len(_RETURNED)), *_RETURNED, "LIMIT", "0", str(k),
            "DIALECT", "2"]  # fmt: skip


def _merged(replies: list[Any], own_key: bytes, own: list[Any]) -> tuple[Neighbour, ...]:
    """What the searches found, each memory once, and the record under the probe's own key, if there is one."""
    found: dict[bytes, Neighbour] = {}
    for reply in replies:
        for key, fields in index.parse_search(reply)[1]:
            if key in found or b"doc" not in fields:
                continue
            distance = float(fields[b"dist"]) if b"dist" in fields else None
            found[key] = Neighbour(document.from_fields(key, fields), int(fields[b"rev"]), distance)
    if own_key not in found and own[-1] is not None:
        found[own_key] = Neighbour(record_from_row(own_key, own), int(own[-1]), None)
    return tuple(found.values())
