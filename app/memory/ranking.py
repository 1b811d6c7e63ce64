"""Ranking: pure functions from candidates to an order. Nothing here knows Redis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import nlargest
from typing import Literal

from app.memory.query_cues import QueryCues
from app.store.records import Hit

SearchMode = Literal["semantic", "keyword", "hybrid"]
MIN_HALF_LIFE_DAYS = 0.001
SECONDS_PER_DAY = 86_400.0
BEST_OF_CONVERSATION = 3


@dataclass(frozen=True, slots=True)
class Boosts:
    """What a cue of the query adds to a relevance between 0 and 1. Measured: docs/retrieval.md.

    `speaker`: a turn by somebody whom the query names. `subject`: a fact about a person, thing or topic that it
    names. `time`: what was said or happened when the query says. `conversation`: a turn of the conversation whose
    best turns match best, compared with the conversation whose match least.
    """

    speaker: float = 0.2
    subject: float = 0.05
    time: float = 0.2
    conversation: float = 0.4


NO_BOOSTS = Boosts(0.0, 0.0, 0.0, 0.0)


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
    """How the raw scores of one search become relevances; taken from its first block, so that all pages agree.

    The `unseen` relevance is what a candidate gets in a leg that did not return it: if the leg was full, it may be
    just below the last that came; else the leg knows nothing of it.
    """

    cosine_top: float = 1.0
    text_top: float = 1.0
    unseen_cosine: float = 0.0
    unseen_text: float = 0.0


def _scale(hits: Sequence[Hit], places: int | None) -> _Scale:
    cosines = [1.0 - h.distance for h in hits if h.distance is not None]
    texts = [h.bm25 for h in hits if h.bm25 is not None]
    cosine_top, text_top = max(cosines, default=0.0), max(texts, default=0.0)
    full = places is not None
    return _Scale(
        cosine_top=cosine_top if cosine_top > 0 else 1.0,
        text_top=text_top if text_top > 0 else 1.0,
        unseen_cosine=max(0.0, min(cosines)) if cosines and full and len(cosines) >= (places or 0) else 0.0,
        unseen_text=max(0.0, min(texts)) if texts and full and len(texts) >= (places or 0) else 0.0,
    )


def _relevance(hit: Hit, mode: SearchMode, alpha: float, scale: _Scale) -> float:
    """Relevance without boosts, at most 1: each leg's score as a share of its best one.

    Both legs have a natural zero (no likeness, no common word), so shares need no minimum of the candidates: measured
    better than min-max, and so did that than rank fusion.
    """
    text = (hit.bm25 if hit.bm25 is not None else scale.unseen_text) / scale.text_top
    if mode == "keyword":
        return text
    cosine = (1.0 - hit.distance if hit.distance is not None else scale.unseen_cosine) / scale.cosine_top
    return cosine if mode == "semantic" else alpha * cosine + (1.0 - alpha) * text


def _boosts(hits: Sequence[Hit], relevances: Sequence[float], cues: QueryCues, weights: Boosts) -> list[float]:
    """What each hit gains by the query's cues and by its conversation."""
    gains = [_cue_boost(hit, cues, weights) for hit in hits]
    if weights.conversation:
        gathered: dict[str, list[float]] = {}
        for hit, relevance, gain in zip(hits, relevances, gains, strict=True):
            if hit.conversation:
                gathered.setdefault(hit.conversation, []).append(relevance + gain)
        means = {
            name: sum(nlargest(BEST_OF_CONVERSATION, found)) / BEST_OF_CONVERSATION for name, found in gathered.items()
        }
        shares = _above_least(means)
        gains = [
            gain + weights.conversation * shares.get(h.conversation, 0.0) for h, gain in zip(hits, gains, strict=True)
        ]
    return gains


def _cue_boost(hit: Hit, cues: QueryCues, weights: Boosts) -> float:
    gain = 0.0
    if hit.conversation:
        # A speaker is asked for by any of his names.
        if any(word in cues.words for word in hit.names.split()):
            gain += weights.speaker
    elif hit.names and any(cues.names(name) for name in hit.names.split(",")):
        gain += weights.subject
    if hit.said is not None and cues.has_time and cues.covers(hit.said):
        gain += weights.time
    return gain


def _above_least(means: Mapping[str, float]) -> dict[str, float]:
    best, least = max(means.values(), default=0.0), min(means.values(), default=0.0)
    return {name: (mean - least) / best for name, mean in means.items()} if best > 0 else {}


def rank(
    hits: Sequence[Hit],
    mode: SearchMode,
    *,
    alpha: float,
    now: float,
    weights: RecencyWeights | None,
    server_side: bool = False,
    cues: QueryCues | None = None,
    boosts: Boosts = NO_BOOSTS,
    block_edges: Sequence[int] = (),
) -> list[Ranked]:
    """Candidates in their final order, best first, ties by distance, then by key.

    With `weights`, relevance and recency are mixed over all candidates of a block, not over a page. A block is what
    the legs found up to an edge. Deeper pages read more candidates; block by block, those come behind what earlier
    pages have shown already, with the same scores.

    Keyword and hybrid scores contain the boosts. In semantic mode `distance` and `score` stay those of the vectors,
    and boosts move a hit only where recency does too: without it the order is that of the distances.
    """
    ordered: list[Ranked] = []
    scale: _Scale | None = None
    best = 1.0
    left = list(hits)
    for edge in (*block_edges, None):
        block = [cut for hit in left if (cut := _within(hit, edge)) is not None and _belongs(cut, mode)]
        if not block:
            continue
        first = scale is None
        scale = scale or _scale(block, edge)
        relevances = [_relevance(hit, mode, alpha, scale) for hit in block]
        gains = _boosts(block, relevances, cues, boosts) if cues is not None else [0.0] * len(block)
        if first and mode != "semantic":
            best = max(r + g for r, g in zip(relevances, gains, strict=True))
            best = best if best > 0 else 1.0
        rows = [
            _final(hit, relevance, gain, best, scale, mode, now, weights, server_side)
            for hit, relevance, gain in zip(block, relevances, gains, strict=True)
        ]
        rows.sort(key=lambda r: (-r.final, r.hit.distance if r.hit.distance is not None else 2.0, r.hit.key))
        ordered += rows
        taken = {hit.key for hit in block}
        left = [hit for hit in left if hit.key not in taken]
    return ordered


def _belongs(hit: Hit, mode: SearchMode) -> bool:
    return mode == "hybrid" or (hit.distance if mode == "semantic" else hit.bm25) is not None


def _within(hit: Hit, edge: int | None) -> Hit | None:
    """The hit as a search that reads only `edge` candidates per leg would have found it, or None."""
    near = hit.distance is not None and (edge is None or hit.vector_place < edge)
    said = hit.bm25 is not None and (edge is None or hit.text_place < edge)
    if near == (hit.distance is not None) and said == (hit.bm25 is not None):
        return hit
    if not near and not said:
        return None
    return replace(hit, distance=hit.distance if near else None, bm25=hit.bm25 if said else None)


def _final(
    hit: Hit,
    relevance: float,
    gain: float,
    best: float,
    scale: _Scale,
    mode: SearchMode,
    now: float,
    weights: RecencyWeights | None,
    server_side: bool,
) -> Ranked:
    plain = server_side and mode == "semantic"
    if mode == "semantic":
        assert hit.distance is not None
        distance, score = hit.distance, max(0.0, 1.0 - hit.distance)
        similarity = 1.0 - distance / 2.0 if plain else 1.0 - distance
        if weights is None:
            return Ranked(hit, distance, score, similarity)
        if not plain:
            similarity += gain * scale.cosine_top
    else:
        score = min(1.0, max(0.0, (relevance + gain) / best))
        distance = 1.0 - score
        similarity = (relevance + gain) / best
        if weights is None:
            return Ranked(hit, distance, score, similarity)
    boost = recency(hit.accessed, hit.created, now, weights, clamp=not plain)
    return Ranked(hit, distance, score, weights.semantic * similarity + weights.recency * boost)
