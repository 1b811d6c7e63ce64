"""What an incoming memory may be a copy or an update of: stored memories by hash, attribute and vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from app.memory.models import Memory, Scope
from app.store import index, keys
from app.store.client import RedisClient, store_errors
from app.store.records import record_from_row

CHUNK = 100
# How many memories of the same fact, id or attribute are looked at; a longer timeline is cut at its far end.
MOST_EXACT = 60
_RETURNED = ("dist", "text", "doc", "rev", "accessed", "count")


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

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    def around(self, scope: Scope, probes: Sequence[Probe], *, k: int) -> Surroundings:
        """Of one user's memories: the nearest `k` of each (0: none), and all with its id, fact or attributes."""
        where = f"@ns:{{{_tag(keys.encode(scope.namespace))}}} @user:{{{_tag(keys.encode(scope.user_id))}}}"
        version = 0
        found: list[tuple[Neighbour, ...]] = []
        for start in range(0, len(probes), CHUNK):
            chunk = probes[start : start + CHUNK]
            with self._client.pipeline(transaction=False) as pipeline:
                pipeline.get(keys.scope_version(scope))
                for probe in chunk:
                    pipeline.execute_command(*_exact(where, probe))
                    if k:
                        pipeline.execute_command(*_nearest(where, probe, k))
                counter, *replies = pipeline.execute()
            if start == 0:
                version = int(counter or 0)
            each = 2 if k else 1
            found += [_merged(replies[i], replies[i + 1] if k else [0]) for i in range(0, len(replies), each)]
        return Surroundings(version, tuple(found))


def _tag(encoded: str) -> str:
    return encoded.replace("-", "\\-")


def _exact(where: str, probe: Probe) -> list[Any]:
    own = keys.encode(probe.memory.id) or "__none__"
    ways = [f"@id:{{{own}}}", f"@aka:{{{own}}}"]
    if probe.fingerprint:
        ways.append(f"@fp:{{{probe.fingerprint}}}")
    if probe.slots:
        ways.append(f"@slot:{{{'|'.join(probe.slots)}}}")
    return ["FT.SEARCH", index.MEMORIES, f"{where} ({' | '.join(ways)})", "RETURN", str(len(_RETURNED)), *_RETURNED,
            "LIMIT", "0", str(MOST_EXACT), "SORTBY", "created", "DESC", "DIALECT", "2"]  # fmt: skip


def _nearest(where: str, probe: Probe, k: int) -> list[Any]:
    blob = np.asarray(probe.vector, np.float32).tobytes()
    return ["FT.SEARCH", index.MEMORIES, f"({where})=>[KNN $k @vec $vector AS dist]", "PARAMS", "4", "k", str(k),
            "vector", blob, "SORTBY", "dist", "ASC", "RETURN", str(len(_RETURNED)), *_RETURNED, "LIMIT", "0", str(k),
            "DIALECT", "2"]  # fmt: skip


def _merged(exact: list[Any], nearest: list[Any]) -> tuple[Neighbour, ...]:
    found: dict[bytes, Neighbour] = {}
    for reply in (nearest, exact):
        for key, fields in index.parse_search(reply)[1]:
            if key in found or b"doc" not in fields:
                continue
            row = [fields[name] for name in (b"text", b"doc", b"accessed", b"count")]
            distance = float(fields[b"dist"]) if b"dist" in fields else None
            found[key] = Neighbour(record_from_row(row), int(fields[b"rev"]), distance)
    return tuple(found.values())
