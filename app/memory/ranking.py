"""Ranking: pure functions from candidates to an order. Nothing here knows Redis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from app.store.records import Hit

SearchMode = Literal["semantic", "keyword", "hybrid"]
MIN_HALF_LIFE_DAYS = 0.001
SECONDS_PER_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class RecencyWeights:
    """Weights of the recency formula; defaults from wire contract 3.4. Half-lives in days."""

    semantic: float = 0.8
    recency: float = 0.2
    freshness: float = 0.6
    novelty: float = 0.4
    half_life_last_access_days: float = 7.0
    half_life_created_days: float = 30.0


@dataclass(frozen=True, slots=True)
class Ranked:
    """A hit with its place-giving figures: `distance` and `score` as shown on the wire, `final` as sorted by."""

    hit: Hit
    distance: float
    score: float | None
    final: float


def recency(accessed: float, created: float, now: float, weights: RecencyWeights, *, clamp: bool = True) -> float:
    """Freshness (last access) and novelty (creation), each halving per half-life; all times in Unix seconds.

    Source: wire contract 3.7. Ages below zero (clock skew) count as zero; with `clamp` the sum is kept in [0, 1].
    """
    days_access = max(0.0, now - accessed) / SECONDS_PER_DAY
    days_created = max(0.0, now - created) / SECONDS_PER_DAY
    freshness: float = 2.0 ** (-days_access / max(weights.half_life_last_access_days, MIN_HALF_LIFE_DAYS))
    novelty: float = 2.0 ** (-days_created / max(weights.half_life_created_days, MIN_HALF_LIFE_DAYS))
    total = weights.freshness * freshness + weights.novelty * novelty
    return min(1.0, max(0.0, total)) if clamp else total


@dataclass(frozen=True, slots=True)
class _Scale:
    """How the raw scores of one search become shown ones; taken from its first block, so that all pages agree."""

    vector_low: float = 0.0
    vector_high: float = 1.0
    text_high: float = 1.0
    best: float = 1.0


def scored(
    hits: Sequence[Hit], mode: SearchMode, alpha: float, scale: _Scale | None = None
) -> list[tuple[Hit, float, float]]:
    """Hits with (distance, score) as wire contract 3.6 shows them.

    Keyword scores are divided by the best one. Hybrid scores are `alpha` × the vector leg plus `1 - alpha` × the
    text leg, each leg min-max normalised over its candidates, then divided by the best sum: min-max measured better
    than rank fusion (shared/retrieval-notes.md). A candidate that one leg did not find gets that leg's zero.
    """
    if mode == "semantic":
        return [(h, h.distance, max(0.0, 1.0 - h.distance)) for h in hits if h.distance is not None]
    if mode == "keyword":
        hits = [h for h in hits if h.bm25 is not None]
    scale = scale or _scale(hits, mode, alpha)
    shares = ((h, min(1.0, _raw(h, mode, alpha, scale) / scale.best)) for h in hits)
    return [(h, 1.0 - share, share) for h, share in shares]


def _scale(hits: Sequence[Hit], mode: SearchMode, alpha: float) -> _Scale:
    similarities = [1.0 - h.distance / 2.0 for h in hits if h.distance is not None]
    texts = [h.bm25 for h in hits if h.bm25 is not None]
    scale = _Scale(min(similarities, default=0.0), max(similarities, default=1.0), max(texts, default=0.0) or 1.0)
    best = max((_raw(h, mode, alpha, scale) for h in hits), default=0.0)
    return replace(scale, best=best if best > 0 else 1.0)


def _raw(hit: Hit, mode: SearchMode, alpha: float, scale: _Scale) -> float:
    text = max(0.0, hit.bm25 / scale.text_high) if hit.bm25 is not None else 0.0
    if mode == "keyword":
        return text
    vector = 0.0
    if hit.distance is not None:
        spread = scale.vector_high - scale.vector_low
        vector = max(0.0, (1.0 - hit.distance / 2.0 - scale.vector_low) / spread) if spread > 0 else 1.0
    return alpha * vector + (1.0 - alpha) * text


def rank(
    hits: Sequence[Hit],
    mode: SearchMode,
    *,
    alpha: float,
    now: float,
    weights: RecencyWeights | None,
    server_side: bool = False,
    block_edges: Sequence[int] = (),
) -> list[Ranked]:
    """Candidates in their final order, best first, ties by key.

    With `weights`, relevance and recency are mixed over all candidates of a block, not over a page. A block is what
    the legs found up to an edge. Deeper pages read more candidates; block by block, those come behind what earlier
    pages have shown already, with the same scores.
    """
    ordered: list[Ranked] = []
    scale: _Scale | None = None
    left = list(hits)
    for edge in (*block_edges, None):
        block = [cut for hit in left if (cut := _within(hit, edge)) is not None]
        if not block:
            continue
        scale = scale or _scale(block, mode, alpha)
        rows = [_final(row, mode, now, weights, server_side) for row in scored(block, mode, alpha, scale)]
        rows.sort(key=lambda r: (r.distance, r.hit.key))
        ordered += sorted(rows, key=lambda r: -r.final)
        taken = {hit.key for hit in block}
        left = [hit for hit in left if hit.key not in taken]
    return ordered


def _within(hit: Hit, edge: int | None) -> Hit | None:
    """The hit as a search that reads only `edge` candidates per leg would have found it, or None."""
    if edge is None:
        return hit
    near = hit.distance is not None and hit.vector_place < edge
    said = hit.bm25 is not None and hit.text_place < edge
    if not near and not said:
        return None
    return replace(hit, distance=hit.distance if near else None, bm25=hit.bm25 if said else None)


def _final(
    row: tuple[Hit, float, float], mode: SearchMode, now: float, weights: RecencyWeights | None, server_side: bool
) -> Ranked:
    hit, distance, score = row
    final = 1.0 - distance
    if weights is not None:
        plain = server_side and mode == "semantic"
        similarity = 1.0 - distance / 2.0 if plain else 1.0 - distance
        boost = recency(hit.accessed, hit.created, now, weights, clamp=not plain)
        final = weights.semantic * similarity + weights.recency * boost
    return Ranked(hit, distance, score, final)
