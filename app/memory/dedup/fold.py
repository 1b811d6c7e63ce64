"""Compaction's plan: what stored memories of one scope are to each other, and the changes that fold them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from app.memory.dedup.judge import Judgement, Radii, Verdict, judge, mergeable, newer, stated
from app.memory.dedup.merge import merge
from app.memory.dedup.plan import SecondOpinion, put_change
from app.memory.identity import fingerprint
from app.memory.models import Memory
from app.store.changes import Change
from app.store.neighbours import Neighbour


@dataclass(slots=True)
class _Row:
    memory: Memory
    original: Memory
    revision: int
    vector: npt.NDArray[np.float32] | None = None
    folded: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    gone_into: str | None = None


@dataclass(frozen=True, slots=True)
class Folding:
    """The changes of one scope, and how many memories they fold away or retire."""

    changes: tuple[Change, ...]
    folded: int
    superseded: int


class Folder:
    """Judges stored memories against their neighbours, oldest first."""

    def __init__(
        self, radii: Radii, *, semantic: bool, at: datetime, second_opinion: SecondOpinion | None = None
    ) -> None:
        self._radii = radii
        self._semantic = semantic
        self._at = at
        self._second_opinion = second_opinion
        self._rows: dict[str, _Row] = {}

    def plan(
        self, rows: Sequence[tuple[Memory, int, npt.NDArray[np.float32]]], near: Sequence[Sequence[Neighbour]]
    ) -> Folding:
        """Fold each memory with its neighbours; `near` is aligned with `rows`."""
        for memory, revision, vector in rows:
            self._rows.setdefault(memory.id, _Row(memory, memory, revision, vector))
        for (memory, _revision, _vector), neighbours in zip(rows, near, strict=True):
            for neighbour in neighbours:
                self._pair(self._rows[memory.id], neighbour)
        changed = [r for r in self._rows.values() if r.memory != r.original or r.gone_into]
        drops = [self._drop(row) for row in changed if row.gone_into]
        puts = [self._put(row) for row in changed if not row.gone_into]
        superseded = sum(row.memory.valid_to is not None for row in changed)
        # Drops first: the kept memory takes over the fact in the same step.
        return Folding((*drops, *puts), len(drops), superseded)

    def _pair(self, one: _Row, neighbour: Neighbour) -> None:
        known = neighbour.memory
        other = self._rows.setdefault(known.id, _Row(known, known, neighbour.revision))
        if other is one or one.gone_into or other.gone_into or one.memory.valid_to or other.memory.valid_to:
            return
        if not (mergeable(one.memory) and mergeable(other.memory)):
            return
        older, later = sorted((one, other), key=lambda r: (r.original.created_at, r.original.id))
        mark = fingerprint(older.memory)
        if mark and mark == fingerprint(later.memory):
            gone, kept = sorted((older, later), key=_used_last)
            self._fold(gone, kept, "the same words")
            return
        if not self._semantic:
            return
        distance = neighbour.distance if neighbour.distance is not None else self._radii.reach
        found = self._judge(older.memory, later.memory, distance)
        pinned = older.memory.pinned or later.memory.pinned
        if found.verdict is Verdict.UPDATES and newer(later.memory, older.memory) and not older.memory.pinned:
            ends = max(stated(later.memory), stated(older.memory))
            older.memory = replace(older.memory, valid_to=ends, superseded_by=later.memory.id)
            older.reasons.append(found.reason)
        elif found.verdict in (Verdict.SAME, Verdict.REFINES) and not pinned:
            fuller = later if found.verdict is Verdict.REFINES else older
            self._fold(later, older, found.reason, text_of=fuller)

    def _judge(self, stored: Memory, incoming: Memory, distance: float) -> Judgement:
        found = judge(stored, incoming, distance, self._radii)
        if found.uncertain and self._second_opinion is not None:
            opinion = self._second_opinion(stored, incoming)
            if opinion is not None:
                return Judgement(opinion, "decided by the language model")
        return found

    def _fold(self, gone: _Row, kept: _Row, reason: str, *, text_of: _Row | None = None) -> None:
        if gone.memory.pinned:
            return
        source = text_of or kept
        if source.memory.text != kept.memory.text:
            kept.vector = source.vector
            if kept.vector is None:
                return  # Its vector is not at hand: it will be, when its own turn comes.
        kept.memory = replace(merge(kept.memory, gone.memory, source.memory.text), updated_at=self._at)
        kept.folded += [gone.memory.id, *gone.folded]
        kept.reasons.append(reason)
        gone.gone_into = kept.memory.id
        gone.reasons.append(reason)

    def _event(self, row: _Row, kind: str, ids: list[str]) -> dict[str, Any]:
        return {"kind": kind, "reason": "; ".join(dict.fromkeys(row.reasons)), "actor": "compaction", "at": self._at,
                "ids": ids}  # fmt: skip

    def _drop(self, row: _Row) -> Change:
        kept = self._rows[row.gone_into or ""]
        while kept.gone_into:
            kept = self._rows[kept.gone_into]
        event = self._event(row, "folded", [kept.memory.id, *kept.folded])
        return Change(row.memory.scope, row.memory.id, expected_revision=row.revision,
                      event={**event, "by": kept.memory.id})  # fmt: skip

    def _put(self, row: _Row) -> Change:
        memory, original = row.memory, row.original
        keeps = {"accessed"} if memory.last_accessed <= original.last_accessed else set()
        if memory.access_count == original.access_count:
            keeps.add("count")
        if memory.valid_to is not None:
            # What was folded into it before it was retired belongs to the same change.
            event = self._event(row, "superseded", [memory.id, *row.folded]) | {"by": memory.superseded_by}
        else:
            event = self._event(row, "merged", [memory.id, *row.folded])
        return put_change(
            memory,
            row.vector if memory.text != original.text else None,
            expected_revision=row.revision,
            keeps=frozenset(keeps),
            event=event,
        )


def _used_last(row: _Row) -> tuple[bool, datetime, str]:
    return (row.memory.pinned, row.memory.last_accessed, row.memory.id)
