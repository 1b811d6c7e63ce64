"""Search: candidates wider than the page, ranked before paging."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import structlog

from app.config import Settings
from app.memory.access import AccessTracker
from app.memory.errors import InvalidRequest, MemoryPlatformError
from app.memory.filters import MemoryFilter
from app.memory.models import Memory
from app.memory.pending import PendingMessages
from app.memory.query_cues import cues_of
from app.memory.query_embedding import QueryEmbedder
from app.memory.query_optimization import QueryOptimizer, search_optimized
from app.memory.ranking import NO_BOOSTS, Boosts, Ranked, Ranking, RecencyWeights, ScoreParts, SearchMode, rank
from app.providers.interfaces import Reranker
from app.store.candidates import Candidates
from app.store.records import RecordRepository

log = structlog.get_logger(__name__)

LOOKS = 3
# Candidates are read in growing blocks: the first covers any usual page, the later ones serve deep paging. With the
# words' leg, 60 of each find as much as 100 do (docs/retrieval.md) and cost less.
_DEEP = (1_000, 5_000, 20_000, 100_000)
BLOCK_EDGES: dict[SearchMode, tuple[int, ...]] = {
    "semantic": (100, *_DEEP),
    "keyword": (60, *_DEEP),
    "hybrid": (60, *_DEEP),
}
DEEPEST = _DEEP[-1]
MOST_EXPLAINED = 5_000
SCOPE_FIELDS = ("namespace", "user_id")


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A search as the wire contract 3.4 describes it; blank text lists by filter.

    `explain` asks for the parts of each score, `why` names a memory whose place is wanted, wherever it is.
    """

    text: str | None = None
    mode: SearchMode = "semantic"
    hybrid_alpha: float = 0.7
    text_scorer: str = "BM25STD"
    condition: MemoryFilter = field(default_factory=MemoryFilter)
    distance_threshold: float | None = None
    limit: int = 10
    offset: int = 0
    recency_boost: bool = True
    server_side_recency: bool = False
    recency: RecencyWeights = field(default_factory=RecencyWeights)
    optimize_query: bool = False
    include_pending: bool = False
    boosts: bool = True
    track_access: bool = True
    explain: bool = False
    why: str | None = None


@dataclass(frozen=True, slots=True)
class FoundMemory:
    """One hit as shown: `distance` and `score` per wire contract 3.6."""

    memory: Memory
    distance: float
    score: float | None
    score_type: SearchMode | None
    parts: ScoreParts | None = None


@dataclass(frozen=True, slots=True)
class Why:
    """Where a memory is among all results (1 is first; None: nowhere), and why."""

    memory_id: str
    rank: int | None
    reason: str
    parts: ScoreParts | None = None


@dataclass(frozen=True, slots=True)
class SearchResults:
    """One page, the true number of matches, and where the next page starts (None: this was the last)."""

    memories: tuple[FoundMemory, ...]
    total: int
    next_offset: int | None
    why: Why | None = None


class MemorySearch:
    """Finds memories: two round trips to Redis, plus the query's embedding when it is not cached."""

    def __init__(
        self,
        records: RecordRepository,
        queries: QueryEmbedder,
        tracker: AccessTracker,
        pending: PendingMessages,
        optimizer: QueryOptimizer,
        reranker: Reranker | None,
        settings: Settings,
    ) -> None:
        self._records = records
        self._queries = queries
        self._tracker = tracker
        self._pending = pending
        self._reranker = reranker
        self._settings = settings
        self._optimizer = optimizer
        self._boosts = Boosts() if settings.search_boosts else NO_BOOSTS

    def search(self, request: SearchRequest) -> SearchResults:
        """Run a search. Raises InvalidRequest where options contradict each other."""
        if request.distance_threshold is not None and request.mode != "semantic":
            raise InvalidRequest("distance_threshold is only supported for semantic search mode")
        results = self._with_pending(request) if request.include_pending else self._search(request)
        return replace(results, why=self._why(request)) if request.why is not None else results

    def _search(self, request: SearchRequest) -> SearchResults:
        if not (request.text or "").strip():
            return self._list(request)
        return search_optimized(request, self._optimizer, self._steady)

    def _steady(self, request: SearchRequest) -> SearchResults:
        """A ranked page; a hit that was folded into another one between the two round trips is looked for once more."""
        for _ in range(LOOKS - 1):
            results, vanished = self._ranked(request)
            if not vanished:
                return results
        return self._ranked(request)[0]

    def _with_pending(self, request: SearchRequest) -> SearchResults:
        """The session's not yet promoted messages first, then what the index has; pages run over both.

        One round trip more than a plain search: the pending items must be read before the index (see `pending`).
        """
        waiting = self._pending.find(request.condition, request.text or "")
        shown = waiting[request.offset : request.offset + request.limit]
        mode = request.mode if (request.text or "").strip() else None
        first = tuple(
            FoundMemory(memory, 1.0 - share if mode else 0.0, share if mode else None, mode) for memory, share in shown
        )
        room = request.limit - len(first)
        rest = self._search(replace(request, offset=max(0, request.offset - len(waiting)), limit=max(1, room)))
        found = first + rest.memories[:room]
        total = len(waiting) + rest.total
        reached = request.offset + len(found)
        return SearchResults(found, total, reached if found and total > reached else None)

    def _list(self, request: SearchRequest) -> SearchResults:
        page, total = self._records.list_page(request.condition, offset=request.offset, limit=request.limit)
        read = zip(page, self._records.read(page), strict=True)
        found = [(key, FoundMemory(memory, 0.0, None, None)) for key, memory in read if memory is not None]
        return self._results(found, total, request, advanced=len(page))

    def _ranked(self, request: SearchRequest) -> tuple[SearchResults, bool]:
        """The page, and whether a hit of it vanished while it was read."""
        text = (request.text or "").strip()
        vector = self._queries.embed(text) if request.mode != "keyword" else None
        wanted = request.offset + request.limit
        if wanted > DEEPEST:
            # Deeper than any ranking makes sense: say how many there are, and that the end is reached.
            return SearchResults((), self._records.count(request.condition), None), False
        if self._reranks(wanted):
            wanted = max(wanted, self._settings.rerank_candidates)
        hits, total, reach = self._candidates(request, text, vector, wanted)
        ranked = self._rank(hits, text, request)
        if len(ranked) < reach:
            total = len(ranked)
        read, counted = self._read(ranked, text, request, count=total is None)
        found = [
            (row.key, FoundMemory(memory, row.distance, row.score, request.mode, row.parts))
            for row, memory in read
            if memory is not None
        ]
        total = max(counted if total is None else total, request.offset + len(found))
        return self._results(found, total, request, advanced=len(read)), len(found) < len(read)

    def _rank(self, hits: Candidates, text: str, request: SearchRequest) -> Ranking:
        now = time.time()
        return rank(
            hits,
            request.mode,
            alpha=request.hybrid_alpha,
            now=now,
            weights=request.recency if request.recency_boost else None,
            server_side=request.server_side_recency,
            cues=cues_of(text, datetime.fromtimestamp(now, UTC)),
            boosts=self._boosts if request.boosts else NO_BOOSTS,
            block_edges=BLOCK_EDGES[request.mode],
            explain=request.explain,
        )

    def _why(self, request: SearchRequest) -> Why:
        """The place of the memory that `request.why` names; reads up to MOST_EXPLAINED candidates.

        Only memories of the request's own tenant and user are looked at; of others nothing is told.
        """
        wanted = request.why or ""
        scope = {name: request.condition.tags[name] for name in SCOPE_FIELDS if name in request.condition.tags}
        only = MemoryFilter(scope, ids=(wanted,), as_of=request.condition.as_of)
        keys, _ = self._records.list_page(only, offset=0, limit=1)
        if not keys:
            return Why(
                wanted, None, "No current memory with this id is in the scope: another user's, replaced, or deleted"
            )
        if not self._records.count(replace(request.condition, ids=(wanted,))):
            return Why(wanted, None, "A filter of the search leaves it out")
        text = (request.text or "").strip()
        if not text:
            return Why(wanted, None, "It is listed: without a query there is no order by relevance")
        vector = self._queries.embed(text) if request.mode != "keyword" else None
        for depth in (edge for edge in BLOCK_EDGES[request.mode] if edge <= MOST_EXPLAINED):
            hits, total, reach = self._candidates(request, text, vector, depth)
            ranked = self._rank(hits, text, replace(request, explain=True))
            if keys[0] in ranked.keys:
                place = ranked.keys.index(keys[0]) + 1
                row = ranked.rows(place - 1, place)[0]
                total = self._records.count(request.condition) if total is None else total
                return Why(wanted, place, f"It is number {place} of {max(total, place)}", row.parts)
            if len(ranked) < reach:
                break
        else:
            return Why(wanted, None, f"It is not among the best {MOST_EXPLAINED} candidates of either kind")
        if request.distance_threshold is not None:
            return Why(wanted, None, f"Its distance is greater than the limit of {request.distance_threshold}")
        return Why(wanted, None, "It has none of the words of the query")

    def _read(
        self, ranked: Ranking, text: str, request: SearchRequest, *, count: bool
    ) -> tuple[list[tuple[Ranked, Memory | None]], int]:
        """The page's memories, and the number of matches if it is to be counted.

        Pages that lie within the first candidates come in the reranker's order if there is one. When the reranker
        fails, its opinion is missing, not the answer.
        """
        page = slice(request.offset, request.offset + request.limit)
        reranks = self._reranks(page.stop)
        rows = ranked.rows(0, self._settings.rerank_candidates) if reranks else ranked.rows(page.start, page.stop)
        memories, total = self._records.page([row.key for row in rows], request.condition if count else None)
        read = list(zip(rows, memories, strict=True))
        return (self._reranked(read, text)[page] if reranks else read), total

    def _reranks(self, end: int) -> bool:
        return self._reranker is not None and end <= self._settings.rerank_candidates

    def _reranked(self, rows: list[tuple[Ranked, Memory | None]], text: str) -> list[tuple[Ranked, Memory | None]]:
        assert self._reranker is not None
        try:
            scores = self._reranker.score(text, [memory.text if memory else "" for _row, memory in rows])
        except MemoryPlatformError as error:
            log.warning("not reranked", model=self._reranker.model_id, error=str(error))
            return rows
        order = sorted(range(len(rows)), key=lambda place: (-scores[place], place))
        return [rows[place] for place in order]

    def _candidates(
        self, request: SearchRequest, text: str, vector: npt.NDArray[np.float32] | None, wanted: int
    ) -> tuple[Candidates, int | None, int]:
        """Candidates for at least `wanted` places, the number of matches (None: to be counted with the page), and how
        many candidates were asked for.

        A distance threshold is applied here: the index's own range query is approximate and misses near ones. As
        long as all candidates are near enough there may be more of them, so more are read.
        """
        nearest = request.distance_threshold
        hits, total, reach = Candidates.of(()), None, 0
        for reach in (edge for edge in BLOCK_EDGES[request.mode] if edge >= wanted):
            hits, total = self._records.candidates(
                request.condition,
                vector=vector,
                text=text if request.mode != "semantic" else None,
                k=reach,
                scorer=request.text_scorer,
            )
            if nearest is None:
                break
            hits = hits.nearer(nearest)
            if len(hits) < reach:
                break
        return hits, total, reach

    def _results(
        self, found: list[tuple[bytes, FoundMemory]], total: int, request: SearchRequest, *, advanced: int
    ) -> SearchResults:
        if request.track_access:
            self._track(found)
        reached = request.offset + advanced
        more = advanced > 0 and total > reached
        return SearchResults(tuple(hit for _key, hit in found), total, reached if more else None)

    def _track(self, found: list[tuple[bytes, FoundMemory]]) -> None:
        """Note hits that were not touched for a while (wire contract 3.9)."""
        old = time.time() - self._settings.access_tracking_min_age_seconds
        stale = {key for key, hit in found if hit.memory.last_accessed.timestamp() <= old}
        if stale:
            self._tracker.note(stale)
