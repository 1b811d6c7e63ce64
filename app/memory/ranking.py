"""Ranking: pure functions from candidates to an order. Nothing here knows Redis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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


def scored(hits: Sequence[Hit], mode: SearchMode, alpha: float) -> list[tuple[Hit, float, float]]:
    """Hits with (distance, score) as wire contract 3.6 shows them.

    Keyword scores are divided by the best one. Hybrid scores are `alpha` × the vector leg plus `1 - alpha` × the
    text leg, each leg min-max normalised over its candidates, then divided by the best sum: min-max measured better
    than rank fusion (shared/retrieval-notes.md). A candidate that one leg did not find gets that leg's zero.
    """
    if mode == "semantic":
        return [(h, h.distance, max(0.0, 1.0 - h.distance)) for h in hits if h.distance is not None]
    if mode == "keyword":
        raw = [(h, h.bm25) for h in hits if h.bm25 is not None]
    else:
        vector_leg = _min_max({h.key: 1.0 - h.distance / 2.0 for h in hits if h.distance is not None})
        text_leg = _min_max({h.key: h.bm25 for h in hits if h.bm25 is not None}, floor=0.0)
        raw = [(h, alpha * vector_leg.get(h.key, 0.0) + (1.0 - alpha) * text_leg.get(h.key, 0.0)) for h in hits]
    best = max((value for _hit, value in raw), default=0.0)
    return [(h, 1.0 - share, share) for h, value in raw for share in ((value / best) if best > 0 else 1.0,)]


def _min_max(values: dict[bytes, float], floor: float | None = None) -> dict[bytes, float]:
    if not values:
        return {}
    low = min(values.values()) if floor is None else floor
    high = max(values.values())
    if high <= low:
        return dict.fromkeys(values, 1.0)
    return {key: (value - low) / (high - low) for key, value in values.items()}


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

    With `weights`, relevance and recency are mixed over all candidates of a block, not over a page. Blocks are
    counted on the order by relevance alone: deeper pages read more candidates, and without blocks those could push
    what earlier pages have shown already.
    """
    by_relevance = sorted(scored(hits, mode, alpha), key=lambda row: (row[1], row[0].key))
    rows = []
    for hit, distance, score in by_relevance:
        final = 1.0 - distance
        if weights is not None:
            similarity = 1.0 - distance / 2.0 if server_side and mode == "semantic" else 1.0 - distance
            boost = recency(hit.accessed, hit.created, now, weights, clamp=not (server_side and mode == "semantic"))
            final = weights.semantic * similarity + weights.recency * boost
        rows.append(Ranked(hit, distance, score, final))
    if weights is None:
        return rows
    ordered: list[Ranked] = []
    start = 0
    for edge in [*(e for e in block_edges if e < len(rows)), len(rows)]:
        ordered += sorted(rows[start:edge], key=lambda r: -r.final)
        start = edge
    return ordered
