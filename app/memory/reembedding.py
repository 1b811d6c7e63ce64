"""Giving stored memories the vectors that they lack: of a new model, or after an older state was brought back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog

from app.memory.embedding import embed_memories
from app.memory.errors import BackendUnavailable
from app.memory.models import Scope
from app.providers.interfaces import Embedder
from app.store import keys
from app.store.records import RecordRepository
from app.store.vectors import SpaceRepository, Spaces, Vector, VectorSpace

log = structlog.get_logger(__name__)
AT_ONCE = 64
# What another process wrote a little earlier by its own clock is looked at, too.
SKEW_SECONDS = 60.0
ROUNDS = 5


class Reembedding:
    """Fills the fields of vectors. A record that is changed meanwhile is left to whoever changed it."""

    def __init__(
        self,
        spaces: Spaces,
        repository: SpaceRepository,
        records: RecordRepository,
        embedder: Callable[[VectorSpace], Embedder],
    ) -> None:
        self._spaces = spaces
        self._repository = repository
        self._records = records
        self._embedder = embedder

    def fill(self, record_keys: Sequence[bytes]) -> int:
        """Give these records the vectors that they lack in any of the spaces; how many were made."""
        made = 0
        lacking = self._repository.lacking(record_keys, self._spaces.all)
        for space in self._spaces.all:
            wanted = [key for key, lacked in lacking if lacked == space]
            for start in range(0, len(wanted), AT_ONCE):
                rows = list(self._vectors(wanted[start : start + AT_ONCE], space))
                made += self._repository.put(space, rows) if rows else 0
        return made

    def _vectors(self, record_keys: Sequence[bytes], space: VectorSpace) -> Iterator[tuple[bytes, int, Vector]]:
        """Key, revision and vector of each record; a model is not asked for what only changes its precision."""
        rows = [row for row in self._records.read_keys_with_vectors(record_keys) if row is not None]
        serving = self._spaces.serving
        known = space != serving and space.same_model(serving)
        lacking = [row for row in rows if not (known and len(row[2]))]
        made = iter(embed_memories(self._embedder(space), [memory for memory, _, _ in lacking]) if lacking else ())
        for memory, revision, stored in rows:
            vector = stored if known and len(stored) else next(made)
            yield keys.record(memory.scope, memory.id).encode(), revision, vector

    def everything(self, *, concurrency: int) -> Iterator[tuple[int, int]]:
        """Fill all memories; after each page how many were looked at and how many vectors were made.

        Those that have their vectors cost a look only, so that a run that was cut short is begun anew.
        """
        seen = made = 0
        with ThreadPoolExecutor(concurrency) as pool:
            for page in self._pages():
                parts = [page[start : start + AT_ONCE] for start in range(0, len(page), AT_ONCE)]
                made += sum(pool.map(self.fill, parts))
                seen += len(page)
                yield seen, made

    def close_gaps(self, since: float | None = None) -> int:
        """Fill what was written since (Unix seconds; None: since the last look) without all its vectors.

        Processes that had not heard of a space, or could not reach its model, leave such gaps. Raises
        BackendUnavailable when memories keep coming in without.
        """
        now = self._repository.now()
        since = self._repository.looked_until() if since is None else since
        made = 0
        for _ in range(ROUNDS):
            found = self._repository.written_since(max(0.0, since - SKEW_SECONDS))
            filled = sum(self.fill(found[start : start + AT_ONCE]) for start in range(0, len(found), AT_ONCE))
            made += filled
            if not filled and not self._repository.lacking(found, self._spaces.all):
                self._repository.looked_until(now)
                return made
        raise BackendUnavailable("memories keep being written without vectors of both models")

    def complete(self, scope: Scope, memory_ids: Sequence[str]) -> None:
        """After an older state of memories was brought back: it may be from before a space was made."""
        record_keys = [keys.record(scope, memory_id).encode() for memory_id in memory_ids]
        self._repository.strip(record_keys, self._spaces.all)
        self.fill(record_keys)

    def strip(self) -> Iterator[tuple[int, int]]:
        """Take the vectors of spaces that are no more out of all memories; after each page: looked at, taken out."""
        seen = gone = 0
        for page in self._pages():
            gone += self._repository.strip(page, self._spaces.all)
            seen += len(page)
            yield seen, gone

    def _pages(self) -> Iterator[list[bytes]]:
        cursor = 0
        while True:
            cursor, page = self._repository.scan(cursor)
            if page:
                yield page
            if not cursor:
                return
