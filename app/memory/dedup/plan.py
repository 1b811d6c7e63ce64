"""From verdicts to changes: what a batch of incoming memories of one scope does to the stored ones. Pure."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from app.memory.dedup.judge import SAME_WORDS, Judgement, Radii, Verdict, judge, mergeable, newer, slot_keys, stated
from app.memory.dedup.merge import confirm, merge
from app.memory.identity import fingerprint, slot_mark
from app.memory.models import NEW_TO_US, Memory, memory_hash
from app.store.changes import Change
from app.store.neighbours import Neighbour, Probe

# Who makes a change: a client's request, the pipeline, or housekeeping.
Actor = Literal["client", "pipeline", "compaction", "forgetting"]
Status = Literal["stored", "replaced", "same", "merged", "updated", "deleted"]
SecondOpinion = Callable[[Memory, Memory], Verdict | None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of one incoming memory, and why; `memory_id` is the id under which its fact is known."""

    status: Status
    memory_id: str
    reason: str = ""
    # It was decided before: the work comes a second time.
    again: bool = False

    @property
    def judged(self) -> bool:
        """Whether more than equal words or ids decided."""
        return bool(self.reason) and self.reason != SAME_WORDS


@dataclass(frozen=True, slots=True)
class Plan:
    """Changes to make at once, and what they mean for each incoming memory."""

    changes: tuple[Change, ...]
    outcomes: tuple[Outcome, ...]


@dataclass(slots=True)
class _Working:
    """A memory while the plan is made: `original` None means that it is new."""

    memory: Memory
    original: Memory | None
    revision: int | None
    vector: npt.NDArray[np.float32] | None = None
    events: list[dict[str, Any]] = field(default_factory=list)


class Planner:
    """Makes the plan for one batch; later memories of the batch are judged against earlier ones too."""

    def __init__(
        self, radii: Radii, *, actor: Actor, at: datetime, second_opinion: SecondOpinion | None = None
    ) -> None:
        self._radii = radii
        self._actor = actor
        self._at = at
        self._second_opinion = second_opinion
        self._working: dict[str, _Working] = {}
        self._new: list[str] = []

    def plan(
        self,
        probes: Sequence[Probe],
        neighbours: Sequence[Sequence[Neighbour]],
        tombstones: Mapping[str, Mapping[str, Any]],
        *,
        judged: bool,
    ) -> Plan:
        """Decide about each probe in order; without `judged` memories only replace their own id."""
        outcomes = [
            self._take(probe, near, tombstones, judged=judged) for probe, near in zip(probes, neighbours, strict=True)
        ]
        changes = [self._change(w, judged) for w in self._working.values() if w.events]
        return Plan(tuple(changes), tuple(outcomes))

    def _take(
        self, probe: Probe, near: Sequence[Neighbour], tombstones: Mapping[str, Mapping[str, Any]], *, judged: bool
    ) -> Outcome:
        memory = probe.memory
        known = self._known(near, probe)
        own = self._working.get(memory.id)
        alias = next((w for w, _d in known if memory.id in w.memory.aliases), None)
        if own is None and alias is not None and self._actor == "pipeline":
            return Outcome("same", alias.memory.id, "was folded into it before", again=True)
        if own is not None:
            return self._replace(own, probe)
        if self._actor == "pipeline" and (grave := _grave(memory, probe, tombstones, self._radii.trusted(0.5))):
            return Outcome("deleted", memory.id, f"the user deleted this at {grave}")
        if judged and mergeable(memory):
            decided = self._decide(probe, known)
            if decided is not None:
                return decided
        self._store(memory, probe.vector, NEW_TO_US)
        return Outcome("stored", memory.id)

    # -- the memories around ---------------------------------------------------------------------------------------

    def _known(self, near: Sequence[Neighbour], probe: Probe) -> list[tuple[_Working, float]]:
        """Stored and pending memories near a probe, nearest first, as far as the plan has changed them already."""
        found: list[tuple[_Working, float]] = []
        for neighbour in near:
            working = self._working.get(neighbour.memory.id)
            if working is None:
                working = _Working(neighbour.memory, neighbour.memory, neighbour.revision)
                self._working[neighbour.memory.id] = working
            distance = neighbour.distance if neighbour.distance is not None else self._radii.reach
            found.append((working, distance))
        vector = probe.vector
        for memory_id in self._new:
            pending = self._working[memory_id]
            if pending.vector is not None and pending.memory.id != probe.memory.id:
                found.append((pending, float(1.0 - np.dot(pending.vector, vector))))
        return sorted(found, key=lambda pair: pair[1])

    # -- verdicts ----------------------------------------------------------------------------------------------------

    def _decide(self, probe: Probe, known: Sequence[tuple[_Working, float]]) -> Outcome | None:
        memory = probe.memory
        updates: list[tuple[_Working, Judgement]] = []
        for working, distance in known:
            stored = working.memory
            if stored.id == memory.id or (distance > self._radii.candidates and not _shares_slot(stored, memory)):
                continue
            verdict = self._judge(stored, memory, distance)
            if stored.valid_to is not None:
                if verdict.verdict in (Verdict.SAME, Verdict.REFINES) and stated(memory) < stored.valid_to:
                    return Outcome("same", stored.id, f"known, and superseded since: {verdict.reason}")
                if verdict.verdict is Verdict.UPDATES:
                    updates.append((working, verdict))
                continue
            if verdict.verdict is Verdict.SAME:
                return self._confirm(working, memory, verdict)
            if verdict.verdict is Verdict.REFINES and not (stored.pinned or memory.pinned):
                return self._merge(working, probe, verdict)
            if verdict.verdict is Verdict.UPDATES:
                updates.append((working, verdict))
        return self._supersede(probe, updates) if updates else None

    def _judge(self, stored: Memory, incoming: Memory, distance: float) -> Judgement:
        found = judge(stored, incoming, distance, self._radii)
        if found.uncertain and self._second_opinion is not None:
            opinion = self._second_opinion(stored, incoming)
            if opinion is not None:
                return Judgement(opinion, "decided by the language model")
        return found

    def _confirm(self, working: _Working, memory: Memory, verdict: Judgement) -> Outcome:
        before = working.memory
        after = confirm(before, memory)
        working.memory = after
        grown = (after.extracted_from, after.pinned) != (before.extracted_from, before.pinned)
        self._note(working, "confirmed", verdict.reason, quiet=not grown, by=memory.id)
        return Outcome("same", before.id, verdict.reason)

    def _merge(self, working: _Working, probe: Probe, verdict: Judgement) -> Outcome:
        working.memory = replace(merge(working.memory, probe.memory, probe.memory.text), updated_at=self._at)
        working.vector = probe.vector
        self._note(working, "merged", verdict.reason, by=probe.memory.id)
        return Outcome("merged", working.memory.id, verdict.reason)

    def _supersede(self, probe: Probe, updates: Sequence[tuple[_Working, Judgement]]) -> Outcome | None:
        """Put the memory into the timeline of its attribute: it ends what was true before; what is later ends it."""
        memory = probe.memory
        begins = stated(memory)
        retired: list[tuple[_Working, Judgement]] = []
        later: list[Memory] = []
        for working, verdict in updates:
            stored = working.memory
            if stored.pinned or memory.pinned:
                continue
            if newer(memory, stored):
                if stored.valid_to is None or begins < stored.valid_to:
                    retired.append((working, verdict))
            else:
                later.append(stored)
        if not retired and not later:
            return None
        if later:
            successor = min(later, key=stated)
            memory = replace(memory, valid_to=max(begins, stated(successor)), superseded_by=successor.id)
        for working, verdict in retired:
            ends = max(begins, stated(working.memory))
            working.memory = replace(working.memory, valid_to=ends, superseded_by=memory.id, updated_at=self._at)
            self._note(working, "superseded", verdict.reason, by=memory.id)
        reason = (retired or updates)[0][1].reason
        self._store(memory, probe.vector, reason)
        return Outcome("updated" if retired else "stored", memory.id, reason)

    # -- changes -------------------------------------------------------------------------------------------------------

    def _replace(self, own: _Working, probe: Probe) -> Outcome:
        before, memory = own.memory, probe.memory
        # Summaries and messages have no fingerprint: of those the words themselves must be the same.
        same_words = fingerprint(before) == probe.fingerprint and (probe.fingerprint or before.text == memory.text)
        unchanged = bool(same_words) and before.memory_type is memory.memory_type
        if self._actor == "pipeline" and unchanged and own.original is not None:
            return Outcome("same", memory.id, "stored before", again=True)
        kept = {"aliases": before.aliases, "pinned": before.pinned or memory.pinned} if own.original else {}
        if unchanged:
            kept |= {
                "valid_from": before.valid_from,
                "valid_to": before.valid_to,
                "superseded_by": before.superseded_by,
            }
        own.memory = replace(memory, **kept)  # type: ignore[arg-type]
        own.vector = probe.vector
        self._note(own, "replaced", "the same id was stored again")
        return Outcome("replaced", memory.id)

    def _store(self, memory: Memory, vector: npt.NDArray[np.float32], reason: str) -> None:
        working = _Working(replace(memory, memory_hash=memory_hash(memory)), None, 0, vector)
        self._working[memory.id] = working
        self._new.append(memory.id)
        self._note(working, "created", reason)

    def _note(self, working: _Working, kind: str, reason: str, *, quiet: bool = False, by: str | None = None) -> None:
        event = {"kind": kind, "reason": reason, "actor": self._actor, "at": self._at, "ids": [working.memory.id]}
        if by is not None:
            event["by"] = by
        if quiet:
            event["quiet"] = True
        working.events.append(event)

    def _change(self, working: _Working, exclusive: bool) -> Change:
        memory, original = working.memory, working.original
        # One change per record, told by the weightiest of what happened to it.
        event = next((e for e in working.events if e["kind"] not in ("confirmed",)), working.events[-1])
        quiet = all(e.get("quiet") for e in working.events)
        keeps = set()
        if original is not None and memory.last_accessed <= original.last_accessed:
            keeps.add("accessed")
        if original is not None and memory.access_count == original.access_count:
            keeps.add("count")
        return put_change(
            memory,
            working.vector,
            expected_revision=working.revision,
            exclusive=exclusive and original is None and memory.valid_to is None,
            keeps=frozenset(keeps),
            history=original is not None and not quiet,
            event={} if quiet else event,
            clears_tombstone=self._actor == "client",
        )


def put_change(memory: Memory, vector: npt.NDArray[np.float32] | None, **options: Any) -> Change:
    """The change that gives a memory this state; without a vector the stored one stays."""
    return Change(
        scope=memory.scope,
        memory_id=memory.id,
        memory=memory,
        vector=vector,
        fingerprint=fingerprint(memory),
        slots=tuple(slot_mark(key) for key in slot_keys(memory)),
        valid_from=stated(memory),
        **options,
    )


def _shares_slot(stored: Memory, incoming: Memory) -> bool:
    return bool(set(slot_keys(stored)) & set(slot_keys(incoming)))


def _grave(memory: Memory, probe: Probe, tombstones: Mapping[str, Mapping[str, Any]], near: float) -> str | None:
    """When the user deleted this fact, if it was said before that; saying it anew afterwards brings it back."""
    for mark, grave in tombstones.items():
        if memory.created_at.timestamp() > float(grave["at"]):
            continue
        told_there = set(memory.extracted_from) & set(grave.get("sources", ()))
        if mark == probe.fingerprint or (told_there and _distance_to(grave, probe) <= near):
            return datetime.fromtimestamp(float(grave["at"]), memory.created_at.tzinfo).isoformat()
    return None


def tombstone(memory: Memory, vector: npt.NDArray[np.float32], at: datetime) -> dict[str, Any]:
    """What is remembered of a deleted fact: when, its sources, its vector; not its words."""
    half = base64.b64encode(vector.astype(np.float16).tobytes()).decode()
    return {"at": at.timestamp(), "sources": list(memory.extracted_from), "vector": half}


def _distance_to(grave: Mapping[str, Any], probe: Probe) -> float:
    vector = np.frombuffer(base64.b64decode(grave["vector"]), np.float16).astype(np.float32)
    return 1.0 - float(np.dot(vector, probe.vector)) if vector.shape == probe.vector.shape else 2.0
