"""Ranking: pure functions from candidates to an order. Nothing here knows Redis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import Literal, NamedTuple

from app.memory.query_cues import QueryCues
from app.store.records import Hit

SearchMode = Literal["semantic", "keyword", "hybrid"]
MIN_HALF_LIFE_DAYS = 0.001
SECONDS_PER_DAY = 86_400.0
BEST_OF_CONVERSATION = 3
TINY = 1e-6


@dataclass(frozen=True, slots=True)
class Boosts:
    """What a cue of the query adds to a relevance between 0 and 1. Measured: docs/retrieval.md.

    `speaker`: a turn by somebody whom the query names. `subject`: a fact about a person, thing or topic that it
    names. `time`: what was said or happened when the query says. `conversation`: a turn of the conversation whose
    best turns match best, compared with the conversation whose match least.
    """

    speaker: float = 0.2
    subject: float = 0.05
    time: float = 0.1
    conversation: float = 0.5


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
class ScoreParts:
    """What `final`, by which hits are sorted, is the sum of. `cosine` and `bm25` are raw (None: that leg missed it)."""

    semantic: float
    keyword: float
    boosts: float
    freshness: float
    novelty: float
    exact_match: float
    final: float
    cosine: float | None
    bm25: float | None


class Ranked(NamedTuple):
    """A hit with its place-giving figures: `distance` and `score` as shown on the wire, `final` as sorted by."""

    hit: Hit
    distance: float
    score: float
    final: float
    parts: ScoreParts | None = None


def recency(accessed: float, created: float, now: float, weights: RecencyWeights, *, clamp: bool = True) -> float:
    """Freshness (last access) and novelty (creation), each halving per half-life; all times in Unix seconds.

    Source: wire contract 3.7. Ages below zero (clock skew) count as zero; with `clamp` the sum is kept in [0, 1].
    """
    total = sum(_recency_parts(accessed, created, now, weights))
    return min(1.0, max(0.0, total)) if clamp else total


def _recency_parts(accessed: float, created: float, now: float, weights: RecencyWeights) -> tuple[float, float]:
    """Weighted freshness and weighted novelty."""
    days_access = max(0.0, now - accessed) / SECONDS_PER_DAY
    days_created = max(0.0, now - created) / SECONDS_PER_DAY
    freshness: float = 2.0 ** (-days_access / max(weights.half_life_last_access_days, MIN_HALF_LIFE_DAYS))
    novelty: float = 2.0 ** (-days_created / max(weights.half_life_created_days, MIN_HALF_LIFE_DAYS))
    return weights.freshness * freshness, weights.novelty * novelty


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


def _legs(hit: Hit, mode: SearchMode, alpha: float, scale: _Scale) -> tuple[float, float]:
    """What meaning and words add to a relevance without boosts, together at most 1: shares of each leg's best score.

    Both legs have a natural zero (no likeness, no common word), so shares need no minimum of the candidates: measured
    better than min-max, and so did that than rank fusion.
    """
    text = (hit.bm25 if hit.bm25 is not None else scale.unseen_text) / scale.text_top
    if mode == "keyword":
        return 0.0, text
    cosine = (1.0 - hit.distance if hit.distance is not None else scale.unseen_cosine) / scale.cosine_top
    return (cosine, 0.0) if mode == "semantic" else (alpha * cosine, (1.0 - alpha) * text)


def _boosts(hits: Sequence[Hit], relevances: Sequence[float], cues: QueryCues, weights: Boosts) -> list[float]:
    """What each hit gains by the query's cues and by its conversation."""
    # Hits share few names: each is compared with the query once.
    speakers = {h.names for h in hits if h.conversation}
    subjects = {h.names for h in hits if not h.conversation and h.names}
    by_speaker = {name: weights.speaker * any(word in cues.words for word in name.split()) for name in speakers}
    by_subject = {names: weights.subject * any(map(cues.names, names.split(","))) for names in subjects}
    gains = [by_speaker[h.names] if h.conversation else by_subject[h.names] if h.names else 0.0 for h in hits]
    if cues.has_time:
        gains = [
            gain + weights.time if hit.said is not None and cues.covers(hit.said) else gain
            for hit, gain in zip(hits, gains, strict=True)
        ]
    gathered: dict[str, list[float]] = {}
    for hit, relevance, gain in zip(hits, relevances, gains, strict=True):
        if hit.conversation:
            gathered.setdefault(hit.conversation, []).append(relevance + gain)
    if not gathered:
        return gains
    means = {
        name: sum(nlargest(BEST_OF_CONVERSATION, found)) / BEST_OF_CONVERSATION for name, found in gathered.items()
    }
    shares = _above_least(means)
    gains = [gain + weights.conversation * shares.get(h.conversation, 0.0) for h, gain in zip(hits, gains, strict=True)]
    # Only turns have speakers and conversations: among them it is who gains more that counts, and facts lose nothing.
    turns = [gain for hit, gain in zip(hits, gains, strict=True) if hit.conversation]
    usual = sum(turns) / len(turns)
    return [gain - usual if hit.conversation else gain for hit, gain in zip(hits, gains, strict=True)]


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
    explain: bool = False,
) -> list[Ranked]:
    """Candidates in their final order, best first, ties by distance, then by key.

    With `weights`, relevance and recency are mixed over all candidates of a block, not over a page. A block is what
    the legs found up to an edge. Deeper pages read more candidates; block by block, those come behind what earlier
    pages have shown already, with the same scores.

    A memory whose text is the query's counts as the most relevant. Keyword and hybrid scores contain the boosts. In
    semantic mode `distance` and `score` stay those of the vectors, and boosts move a hit only where recency does too:
    without it the order is that of the distances.

    With `explain`, every row has its parts.
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
        legs = [_legs(hit, mode, alpha, scale) for hit in block]
        relevances = [meaning + words for meaning, words in legs]
        gains = _boosts(block, relevances, cues, boosts) if cues is not None else [0.0] * len(block)
        if mode == "semantic":
            rows = _semantic(block, gains, scale, cues, weights, server_side, now)
        else:
            raw = [relevance + gain for relevance, gain in zip(relevances, gains, strict=True)]
            if first:
                best = max(raw) if max(raw) > 0 else 1.0
            rows = _scored(block, raw, best, cues, weights, now)
        if explain:
            if mode == "semantic":  # these are sorted by the likeness itself, not by shares of the best one
                plain = server_side and weights is not None
                legs = [(1.0 - row.distance / (2.0 if plain else 1.0), 0.0) for row in rows]
                moved = scale.cosine_top if weights is not None and not server_side else 0.0
                gains = [gain * moved for gain in gains]
            else:
                legs = [(meaning / best, words / best) for meaning, words in legs]
                gains = [gain / best for gain in gains]
            rows = [_explained(*each, weights, now) for each in zip(rows, legs, gains, strict=True)]
        rows.sort(key=lambda r: (-r.final, r.hit.distance if r.hit.distance is not None else 2.0, r.hit.key))
        ordered += rows
        if len(block) == len(left):
            break
        taken = {hit.key for hit in block}
        left = [hit for hit in left if hit.key not in taken]
    return ordered


def _semantic(
    hits: Sequence[Hit],
    gains: Sequence[float],
    scale: _Scale,
    cues: QueryCues | None,
    weights: RecencyWeights | None,
    server_side: bool,
    now: float,
) -> list[Ranked]:
    """Hits of a semantic search. A boost is a share of the best cosine, as a relevance is."""
    distances = [hit.distance if hit.distance is not None else 2.0 for hit in hits]
    plain = server_side and weights is not None
    similarities = [1.0 - distance / 2.0 if plain else 1.0 - distance for distance in distances]
    if weights is not None and not server_side:
        similarities = [s + gain * scale.cosine_top for s, gain in zip(similarities, gains, strict=True)]
    finals = _finals(hits, _exact_first(hits, similarities, cues), weights, now, clamp=not plain)
    return [Ranked(h, d, max(0.0, 1.0 - d), final) for h, d, final in zip(hits, distances, finals, strict=True)]


def _scored(
    hits: Sequence[Hit],
    raw: Sequence[float],
    best: float,
    cues: QueryCues | None,
    weights: RecencyWeights | None,
    now: float,
) -> list[Ranked]:
    """Hits of a keyword or hybrid search."""
    similarities = _exact_first(hits, [value / best for value in raw], cues)
    finals = _finals(hits, similarities, weights, now, clamp=True)
    scores = [min(1.0, max(0.0, similarity)) for similarity in similarities]
    return [Ranked(h, 1.0 - score, score, final) for h, score, final in zip(hits, scores, finals, strict=True)]


def _exact_first(hits: Sequence[Hit], similarities: list[float], cues: QueryCues | None) -> list[float]:
    """Who asks with a memory's own text wants that memory, though a turn's vector is not that of its bare text."""
    if cues is None or all(hit.digest != cues.digest for hit in hits):
        return similarities
    top = max(similarities) + TINY
    return [top if hit.digest == cues.digest else s for hit, s in zip(hits, similarities, strict=True)]


def _finals(
    hits: Sequence[Hit], similarities: list[float], weights: RecencyWeights | None, now: float, *, clamp: bool
) -> list[float]:
    """Relevance mixed with recency (wire contract 3.7); without weights, relevance alone."""
    if weights is None:
        return similarities
    return [
        weights.semantic * similarity + weights.recency * recency(hit.accessed, hit.created, now, weights, clamp=clamp)
        for hit, similarity in zip(hits, similarities, strict=True)
    ]


def _explained(
    row: Ranked, legs: tuple[float, float], gain: float, weights: RecencyWeights | None, now: float
) -> Ranked:
    """The row with its parts. What they do not add up to came from having the query's own text (or from a clamp)."""
    hit, share = row.hit, weights.semantic if weights is not None else 1.0
    freshness, novelty = _recency_parts(hit.accessed, hit.created, now, weights) if weights is not None else (0.0, 0.0)
    recent = weights.recency if weights is not None else 0.0
    known = (legs[0] * share, legs[1] * share, gain * share, freshness * recent, novelty * recent)
    rest = row.final - sum(known)
    cosine = 1.0 - hit.distance if hit.distance is not None else None
    return row._replace(parts=ScoreParts(*known, rest if abs(rest) > TINY else 0.0, row.final, cosine, hit.bm25))


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
    return hit._replace(distance=hit.distance if near else None, bm25=hit.bm25 if said else None)
