"""The context of turns: what was said just before, found when a memory is indexed and kept true afterwards.

The order of a session is by date, then by arrival, whatever batches the turns came in. Two batches may be indexed at
the same time, and a turn may be changed or deleted later: so after each write the neighbours are looked at again, and
those that were indexed with another context than they have now are indexed anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import numpy.typing as npt

from app.memory.dedup.plan import put_change
from app.memory.embedding import embed_memories
from app.memory.indexing_text import as_previous, is_turn, wants_previous
from app.memory.models import Memory, Scope, SessionRef, utc_now
from app.providers.interfaces import Embedder
from app.store.changes import COUNTED, ChangeRepository
from app.store.records import RecordRepository
from app.store.turns import Direction, Neighbour, TurnRepository, place_of
from app.store.vectors import DEFAULT, VectorSpace

# Turns of one request arrive this close to each other: nothing can lie between two that follow each other directly.
SAME_REQUEST_MICROSECONDS = 1
REFRESH_TRIES = 5


def in_order_of_arrival(memories: Sequence[Memory]) -> list[Memory]:
    """The memories of one request or batch, a microsecond apart, so that their order is known for good."""
    return [
        replace(m, persisted_at=m.persisted_at + timedelta(microseconds=i)) if m.persisted_at else m
        for i, m in enumerate(memories)
    ]


class SessionContext:
    """Composes what turns are indexed with. Memories that are no turns pass through untouched and cost nothing."""

    def __init__(
        self,
        records: RecordRepository,
        changes: ChangeRepository,
        turns: TurnRepository,
        embedder: Callable[[], Embedder],
        space: VectorSpace = DEFAULT,
    ) -> None:
        """`space` is the one that the embedder's vectors are for."""
        self.space = space
        self._records = records
        self._changes = changes
        self._turns = turns
        self._embedder = embedder

    def complete(self, memories: Sequence[Memory]) -> list[Memory]:
        """The memories with what was said before them; a turn that is stored already keeps its place.

        Two round trips when there are turns among them, else none.
        """
        done = list(memories)
        rows = [row for row, m in enumerate(done) if _in_session(m)]
        if not rows:
            return done
        for row, place in zip(rows, self._turns.arrivals([done[row] for row in rows]), strict=True):
            if place is not None and place[0] == place_of(done[row])[0]:
                done[row] = _arrived(done[row], place[1])
        looks: list[tuple[int, Memory | None]] = []
        for run in _sessions(done, rows):
            for before, row in zip((None, *run), run, strict=False):
                earlier = done[before] if before is not None else None
                if not wants_previous(done[row]):
                    done[row] = replace(done[row], previous=None)
                elif earlier is not None and _adjacent(earlier, done[row]):
                    done[row] = replace(done[row], previous=as_previous(earlier.text))
                else:
                    looks.append((row, earlier))
        own_ids = {(m.scope, m.id) for m in done}
        found = self._turns.neighbours([(done[row], "before") for row, _earlier in looks])
        for (row, earlier), stored in zip(looks, found, strict=True):
            nearest = _nearest(earlier, stored, own_ids, done[row].scope)
            done[row] = replace(done[row], previous=as_previous(nearest) if nearest is not None else None)
        return done

    def embed(self, memories: Sequence[Memory]) -> npt.NDArray[np.float32]:
        """The vectors that stand for completed memories, unit length, shape (n, dim)."""
        return embed_memories(self._embedder(), memories)

    @property
    def embedded_together(self) -> int:
        """How many memories at a time are embedded as cheaply as all of them at once."""
        return self._embedder().texts_per_call

    def settle(self, memories: Sequence[Memory]) -> None:
        """After storing turns: put right what this write, or a concurrent one, made untrue. Usually one round trip."""
        done = list(memories)
        looks: list[tuple[Memory, Direction]] = []
        for run in _sessions(done, [row for row, m in enumerate(done) if _in_session(m)]):
            ordered = [done[row] for row in run]
            for one, other in zip((None, *ordered), (*ordered, None), strict=True):
                if one is not None and other is not None and _adjacent(one, other):
                    continue
                if other is not None and wants_previous(other):
                    looks.append((other, "before"))
                if one is not None:
                    looks.append((one, "after"))
        stale: dict[tuple[Scope, str], None] = {}
        for (memory, direction), stored in zip(looks, self._turns.neighbours(looks), strict=True):
            if direction == "before":
                if memory.previous != (as_previous(stored.text) if stored else None):
                    stale[memory.scope, memory.id] = None
            elif stored is not None and stored.previous != as_previous(memory.text):
                stale[memory.scope, stored.id] = None
        self._refresh(list(stale))

    def close_gaps(self, gone: Sequence[Memory]) -> None:
        """After turns were deleted or moved away: nothing of them stays in the context of those that followed."""
        looks: list[tuple[Memory, Direction]] = [(m, "after") for m in gone if _in_session(m)]
        stale: dict[tuple[Scope, str], None] = {}
        for (memory, _direction), stored in zip(looks, self._turns.neighbours(looks), strict=True):
            if stored is not None and stored.previous == as_previous(memory.text):
                stale[memory.scope, stored.id] = None
        self._refresh(list(stale))

    def _refresh(self, stale: Sequence[tuple[Scope, str]]) -> None:
        """Index stored turns anew, with the context that they have now; changed ones are tried again."""
        for _ in range(REFRESH_TRIES):
            rows = [row for row in self._records.read_with_vectors(stale) if row is not None]
            completed = self.complete([memory for memory, _revision, _vector in rows])
            changed = [
                (new, revision)
                for (old, revision, _vector), new in zip(rows, completed, strict=True)
                if new.previous != old.previous
            ]
            if not changed:
                return
            for (memory, revision), vector in zip(changed, self.embed([m for m, _ in changed]), strict=True):
                change = put_change(memory, vector, expected_revision=revision, keeps=COUNTED, history=False)
                self._changes.apply(memory.scope, [change], at=utc_now())


def _in_session(memory: Memory) -> bool:
    return memory.session_id is not None and is_turn(memory)


def _sessions(memories: Sequence[Memory], rows: Sequence[int]) -> Iterator[list[int]]:
    """The rows of each session, in the session's order."""
    groups: dict[SessionRef, list[int]] = {}
    for row in rows:
        memory = memories[row]
        groups.setdefault(SessionRef(memory.scope, memory.session_id or ""), []).append(row)
    for group in groups.values():
        yield sorted(group, key=lambda row: place_of(memories[row]))


def _adjacent(one: Memory, other: Memory) -> bool:
    """Whether nothing can lie between two turns that follow each other in a batch."""
    (said, arrived), (said_next, arrived_next) = place_of(one), place_of(other)
    return said == said_next and arrived_next - arrived <= SAME_REQUEST_MICROSECONDS


def _nearest(earlier: Memory | None, stored: Neighbour | None, own: set[tuple[Scope, str]], scope: Scope) -> str | None:
    """The text of the later of the two that come before: one of the same batch, one stored already."""
    if stored is None or (earlier is not None and ((scope, stored.id) in own or stored.place < place_of(earlier))):
        return earlier.text if earlier is not None else None
    return stored.text


def _arrived(memory: Memory, microseconds: int) -> Memory:
    """The memory as if it had arrived then."""
    moment = memory.persisted_at or memory.updated_at
    return replace(memory, persisted_at=moment + timedelta(microseconds=microseconds - place_of(memory)[1]))
