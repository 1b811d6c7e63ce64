"""Storing memories so that each fact is known once: look around, judge, apply, again if others were faster."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt
import structlog

from app.config import Settings
from app.memory.dedup.adjudicate import Adjudicator
from app.memory.dedup.calibration import radii_for
from app.memory.dedup.judge import SAME_WORDS, Radii, Verdict, judge, slot_keys
from app.memory.dedup.plan import Actor, Outcome, Plan, Planner, SecondOpinion
from app.memory.errors import BackendUnavailable
from app.memory.identity import fingerprint, slot_mark
from app.memory.models import Memory, Scope, utc_now
from app.providers.interfaces import Embedder, Generator
from app.store.changes import ChangeRepository
from app.store.neighbours import Neighbour, NeighbourRepository, Probe, Surroundings

log = structlog.get_logger(__name__)
NEIGHBOURS = 8
# Lost races before the scope's version is no longer insisted on: a paraphrase stored by somebody else in that very
# moment is then left to compaction, equal words never are.
CAREFUL_TRIES = 8
TRIES = 12
# Changes applied by one script call: it blocks Redis while it runs.
BLOCK = 50


class Consolidation:
    """The one way by which memories get into the store."""

    def __init__(
        self,
        changes: ChangeRepository,
        neighbours: NeighbourRepository,
        embedder: Callable[[], Embedder],
        generator: Callable[[], Generator | None],
        settings: Settings,
    ) -> None:
        self._changes = changes
        self._neighbours = neighbours
        self._embedder = embedder
        self._generator = generator
        self._settings = settings

    @property
    def radii(self) -> Radii:
        """The distances that count, for the embedding model in use."""
        return radii_for(self._embedder(), self._settings.deduplication_distance_threshold)

    @staticmethod
    def probe(memory: Memory, vector: npt.NDArray[np.float32]) -> Probe:
        """What a memory's neighbours are looked up by."""
        return Probe(memory, vector, fingerprint(memory), tuple(slot_mark(key) for key in slot_keys(memory)))

    def opinions(self, probes: Sequence[Probe], near: Sequence[Sequence[Neighbour]]) -> SecondOpinion | None:
        """The language model's verdicts on the uncertain pairs among stored memories, if there is a model."""
        return self._second_opinion(probes, near, {}, "compaction")

    def store(
        self, memories: Sequence[Memory], vectors: npt.NDArray[np.float32], *, deduplicate: bool, actor: Actor
    ) -> list[Outcome]:
        """Store memories with their vectors, shape (n, dim). Two round trips per scope and fifty memories."""
        outcomes: dict[int, Outcome] = {}
        order = sorted(range(len(memories)), key=lambda i: (_scope_key(memories[i].scope), i))
        for _scope, rows in groupby(order, key=lambda i: _scope_key(memories[i].scope)):
            places = list(rows)
            for start in range(0, len(places), BLOCK):
                block = places[start : start + BLOCK]
                probes = [self.probe(memories[i], vectors[i]) for i in block]
                done = self._store(memories[block[0]].scope, probes, deduplicate=deduplicate, actor=actor)
                outcomes.update(zip(block, done, strict=True))
        return [outcomes[i] for i in range(len(memories))]

    def _store(self, scope: Scope, probes: Sequence[Probe], *, deduplicate: bool, actor: Actor) -> list[Outcome]:
        opinions: dict[tuple[str, str], Verdict | None] = {}
        tombstones = self._changes.tombstones(scope) if actor == "pipeline" else {}
        judged = deduplicate and self._settings.compact_semantic_duplicates
        for attempt in range(TRIES):
            around = self._neighbours.around(scope, probes, k=NEIGHBOURS if judged else 0)
            plan = self._plan(probes, around, tombstones, opinions, judged=judged, deduplicate=deduplicate, actor=actor)
            verdicts = [(str(o.status), o.memory_id) for o in plan.outcomes if not o.again]
            if not plan.changes and not verdicts:
                return list(plan.outcomes)
            careful = deduplicate and attempt < CAREFUL_TRIES
            applied = self._changes.apply(
                scope,
                plan.changes,
                at=utc_now(),
                version=around.version if careful else None,
                strict=careful,
                verdicts=verdicts,
            )
            if applied is not None:
                known = {c.memory_id: o for c, o in zip(plan.changes, applied.outcomes, strict=True)}
                return [_final(outcome, known) for outcome in plan.outcomes]
            time.sleep(random.uniform(0.0, 0.004 * (attempt + 1)))
        raise BackendUnavailable("these memories are being changed by others all the time; try again")

    def _plan(
        self,
        probes: Sequence[Probe],
        around: Surroundings,
        tombstones: dict[str, dict[str, object]],
        opinions: dict[tuple[str, str], Verdict | None],
        *,
        judged: bool,
        deduplicate: bool,
        actor: Actor,
    ) -> Plan:
        near: Sequence[Sequence[Neighbour]] = around.neighbours
        if not judged:
            near = [_exact(p, n, deduplicate) for p, n in zip(probes, near, strict=True)]
        second = self._second_opinion(probes, near, opinions, actor) if judged else None
        radii = self.radii if judged else Radii()
        planner = Planner(radii, actor=actor, at=utc_now(), second_opinion=second)
        return planner.plan(probes, near, tombstones, judged=deduplicate)

    def _second_opinion(
        self,
        probes: Sequence[Probe],
        near: Sequence[Sequence[Neighbour]],
        opinions: dict[tuple[str, str], Verdict | None],
        actor: Actor,
    ) -> SecondOpinion | None:
        """What the language model says of the uncertain pairs, asked once; never while a client waits."""
        generator = self._generator() if actor != "client" else None
        if generator is None:
            return None
        radii = self.radii
        pairs = [
            (n.memory, p.memory)
            for p, neighbours in zip(probes, near, strict=True)
            for n in neighbours
            if n.distance is not None
            and (n.memory.text, p.memory.text) not in opinions
            and judge(n.memory, p.memory, n.distance, radii).uncertain
        ]
        opinions.update(Adjudicator(generator, self._settings.fast_model).decide(pairs))
        return lambda stored, incoming: opinions.get((stored.text, incoming.text))


def _scope_key(scope: Scope) -> tuple[str, str, bool, bool]:
    return (scope.namespace or "", scope.user_id or "", scope.namespace is None, scope.user_id is None)


def _exact(probe: Probe, near: Sequence[Neighbour], deduplicate: bool) -> list[Neighbour]:
    own = probe.memory.id
    return [
        n for n in near
        if n.memory.id == own or own in n.memory.aliases
        or (deduplicate and probe.fingerprint and fingerprint(n.memory) == probe.fingerprint)
    ]  # fmt: skip


def _final(outcome: Outcome, applied: dict[str, tuple[str, str]]) -> Outcome:
    """The planned outcome, unless the fact turned out to be known (or erased) while it was applied."""
    status, memory_id = applied.get(outcome.memory_id, ("", ""))
    if status == "same":
        return Outcome("same", memory_id, SAME_WORDS)
    if status == "erased":
        return Outcome("deleted", outcome.memory_id, "everything of this user was erased meanwhile")
    return outcome
