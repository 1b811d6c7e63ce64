"""Ranking: pure functions from candidates to an order. Nothing here knows Redis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from app.memory.query_cues import QueryCues
from app.store.candidates import Candidates, Floats

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

    speaker: float = 0.15
    subject: float = 0.05
    time: float = 0.1
    conversation: float = 0.25


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

    key: bytes
    distance: float
    score: float
    final: float
    parts: ScoreParts | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """Hits in their final order, as columns: a search shows ten of hundreds."""

    keys: list[bytes]
    distances: Floats
    scores: Floats
    finals: Floats
    parts: list[ScoreParts] | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def rows(self, start: int = 0, end: int | None = None) -> list[Ranked]:
        """The hits from one place to before another, counted from 0."""
        part = slice(start, end)
        keys = self.keys[part]
        figures = (column[part].tolist() for column in (self.distances, self.scores, self.finals))
        parts = self.parts[part] if self.parts is not None else [None] * len(keys)
        return list(map(Ranked._make, zip(keys, *figures, parts, strict=True)))

    @classmethod
    def joined(cls, rankings: Sequence[Ranking]) -> Ranking:
        """One behind the other."""
        if len(rankings) == 1:
            return rankings[0]
        distances, scores, finals = (
            np.concatenate([getattr(r, name) for r in rankings] or [np.empty(0)])
            for name in ("distances", "scores", "finals")
        )
        parts = [part for r in rankings for part in r.parts or ()]
        return cls([key for r in rankings for key in r.keys], distances, scores, finals, parts or None)


def recency(accessed: float, created: float, now: float, weights: RecencyWeights) -> float:
    """Freshness (last access) and novelty (creation), each halving per half-life; all times in Unix seconds.

    Source: wire contract 3.7. Ages below zero (clock skew) count as zero; the sum is kept in [0, 1].
    """
    freshness, novelty = _recency_parts(np.array([accessed]), np.array([created]), now, weights)
    return float(np.clip(freshness + novelty, 0.0, 1.0)[0])


def _recency_parts(accessed: Floats, created: Floats, now: float, weights: RecencyWeights) -> tuple[Floats, Floats]:
    """Weighted freshness and weighted novelty."""
    freshness = _halving(now - accessed, weights.half_life_last_access_days)
    novelty = _halving(now - created, weights.half_life_created_days)
    return weights.freshness * freshness, weights.novelty * novelty


def _halving(age_seconds: Floats, half_life_days: float) -> Floats:
    halved: Floats = np.exp2(
        np.maximum(0.0, age_seconds) / (-SECONDS_PER_DAY * max(half_life_days, MIN_HALF_LIFE_DAYS))
    )
    return halved


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


def _scale(block: Candidates, places: int | None) -> _Scale:
    cosine_top, unseen_cosine = _extremes(1.0 - block.distance, places)
    text_top, unseen_text = _extremes(block.bm25, places)
    return _Scale(cosine_top, text_top, unseen_cosine, unseen_text)


def _extremes(scores: Floats, places: int | None) -> tuple[float, float]:
    """The best score of a leg, and what those that it left out get."""
    found = scores[~np.isnan(scores)]
    if not len(found):
        return 1.0, 0.0
    top = float(found.max())
    full = places is not None and len(found) >= places
    return top if top > 0 else 1.0, max(0.0, float(found.min())) if full else 0.0


def _legs(block: Candidates, mode: SearchMode, alpha: float, scale: _Scale) -> tuple[Floats, Floats]:
    """What meaning and words add to a relevance without boosts, together at most 1: shares of each leg's best score.

    Both legs have a natural zero (no likeness, no common word), so shares need no minimum of the candidates: measured
    better than min-max, and so did that than rank fusion.
    """
    nothing = np.zeros(len(block))
    text = _known(block.bm25, scale.unseen_text) / scale.text_top if mode != "semantic" else nothing
    if mode == "keyword":
        return nothing, text
    cosine = _known(1.0 - block.distance, scale.unseen_cosine) / scale.cosine_top
    return (cosine, nothing) if mode == "semantic" else (alpha * cosine, (1.0 - alpha) * text)


def _known(scores: Floats, unseen: float) -> Floats:
    known: Floats = np.where(np.isnan(scores), unseen, scores)
    return known


def _boosts(block: Candidates, relevances: Floats, cues: QueryCues, weights: Boosts) -> Floats:
    """What each hit gains by the query's cues and by its conversation."""
    # Hits share few names: each is compared with the query once.
    by_name = {
        (names, turn): _named(names, turn, cues, weights)
        for names, turn in {(n, bool(c)) for n, c in zip(block.names, block.conversations, strict=True) if n}
    }
    gains = np.zeros(len(block))
    if any(by_name.values()):
        gains += [by_name.get((n, bool(c)), 0.0) for n, c in zip(block.names, block.conversations, strict=True)]
    if cues.has_time:
        gains += [weights.time * (not math.isnan(said) and cues.covers(said)) for said in block.said.tolist()]
    gathered: dict[str, list[int]] = {}
    for row, conversation in enumerate(block.conversations):
        if conversation:
            gathered.setdefault(conversation, []).append(row)
    if not gathered:
        return gains
    attraction = relevances + gains
    means = np.array([np.sort(attraction[rows])[-BEST_OF_CONVERSATION:].sum() for rows in gathered.values()])
    best, least = means.max(), means.min()
    if best > 0:
        for rows, mean in zip(gathered.values(), means, strict=True):
            gains[rows] += weights.conversation * (mean - least) / best
    # Only turns have speakers and conversations: among them it is who gains more that counts, and facts lose nothing.
    # Few turns among many other hits say little of where the answer is.
    turns = [row for rows in gathered.values() for row in rows]
    gains[turns] -= gains[turns].mean()
    gains[turns] *= len(turns) / len(block)
    return gains


def _named(names: str, turn: bool, cues: QueryCues, weights: Boosts) -> float:
    if turn:
        return 0.0 if cues.words.isdisjoint(names.split()) else weights.speaker
    return weights.subject if any(map(cues.names, names.split(","))) else 0.0


def rank(
    candidates: Candidates,
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
) -> Ranking:
    """Candidates in their final order, best first, ties by distance, then by key.

    With `weights`, relevance and recency are mixed over all candidates of a block, not over a page. A block is what
    the legs found up to an edge. Deeper pages read more candidates; block by block, those come behind what earlier
    pages have shown already, with the same scores.

    A memory whose text is the query's counts as the most relevant. Keyword and hybrid scores contain the boosts. In
    semantic mode `distance` and `score` stay those of the vectors, and boosts move a hit only where recency does too:
    without it the order is that of the distances.

    With `explain`, every row has its parts.
    """
    ordered: list[Ranking] = []
    scale: _Scale | None = None
    best = 1.0
    left = candidates
    for edge in (*block_edges, None):
        inside, block = _block(left, mode, edge)
        if not len(block):
            continue
        first = scale is None
        scale = scale or _scale(block, edge)
        legs = _legs(block, mode, alpha, scale)
        relevances = legs[0] + legs[1]
        gains = _boosts(block, relevances, cues, boosts) if cues is not None else np.zeros(len(block))
        if mode == "semantic":
            distances = block.distance
            plain = server_side and weights is not None
            similarities = 1.0 - distances / 2.0 if plain else 1.0 - distances
            legs = (similarities, legs[1])
            # Sorted by the likeness itself, not by shares of the best one: a boost is a share of that.
            gains = gains * scale.cosine_top if weights is not None and not server_side else np.zeros(len(block))
            similarities = _exact_first(block, similarities + gains, cues)
            scores = np.maximum(0.0, 1.0 - distances)
        else:
            plain = False
            raw = relevances + gains
            if first:
                best = float(raw.max()) if raw.max() > 0 else 1.0
            legs, gains = (legs[0] / best, legs[1] / best), gains / best
            similarities = _exact_first(block, raw / best, cues)
            scores = np.clip(similarities, 0.0, 1.0)
            distances = 1.0 - scores
        finals = _finals(block, similarities, weights, now, clamp=not plain)
        order = np.lexsort((np.array(block.keys), _known(block.distance, 2.0), -finals))
        parts = _parts(block, legs, gains, finals, weights, now) if explain else None
        rows = order.tolist()
        ordered.append(
            Ranking(
                [block.keys[row] for row in rows],
                distances[order],
                scores[order],
                finals[order],
                [parts[row] for row in rows] if parts is not None else None,
            )
        )
        if inside.all():
            break
        left = left.take(np.flatnonzero(~inside))
    return Ranking.joined(ordered)


def _block(left: Candidates, mode: SearchMode, edge: int | None) -> tuple[npt.NDArray[np.bool_], Candidates]:
    """Which hits a search that reads only `edge` candidates per leg would have, and these as it would have them."""
    near, told = ~np.isnan(left.distance), ~np.isnan(left.bm25)
    whole = True
    if edge is not None:
        whole = bool(edge > left.vector_place.max(initial=0) and edge > left.text_place.max(initial=0))
        near, told = near & (left.vector_place < edge), told & (left.text_place < edge)
    inside = near if mode == "semantic" else told if mode == "keyword" else near | told
    if whole and inside.all():
        return inside, left
    cut = replace(left, distance=np.where(near, left.distance, math.nan), bm25=np.where(told, left.bm25, math.nan))
    return inside, cut.take(np.flatnonzero(inside))


def _exact_first(block: Candidates, similarities: Floats, cues: QueryCues | None) -> Floats:
    """Who asks with a memory's own text wants that memory, though a turn's vector is not that of its bare text."""
    if cues is None or cues.digest not in block.digests:
        return similarities
    lifted: Floats = np.where(
        [digest == cues.digest for digest in block.digests], similarities.max() + TINY, similarities
    )
    return lifted


def _finals(
    block: Candidates, similarities: Floats, weights: RecencyWeights | None, now: float, *, clamp: bool
) -> Floats:
    """Relevance mixed with recency (wire contract 3.7); without weights, relevance alone."""
    if weights is None:
        return similarities
    freshness, novelty = _recency_parts(block.accessed, block.created, now, weights)
    recent = freshness + novelty
    return weights.semantic * similarities + weights.recency * (np.clip(recent, 0.0, 1.0) if clamp else recent)


def _parts(
    block: Candidates,
    legs: tuple[Floats, Floats],
    gains: Floats,
    finals: Floats,
    weights: RecencyWeights | None,
    now: float,
) -> list[ScoreParts]:
    """The parts of each score. What they do not add up to came from having the query's own text (or from a clamp)."""
    share = weights.semantic if weights is not None else 1.0
    freshness = novelty = np.zeros(len(block))
    if weights is not None:
        freshness, novelty = (
            weights.recency * part for part in _recency_parts(block.accessed, block.created, now, weights)
        )
    known = (legs[0] * share, legs[1] * share, gains * share, freshness, novelty)
    rest = finals - sum(known)
    rest[np.abs(rest) <= TINY] = 0.0
    columns = [column.tolist() for column in (*known, rest, finals)]
    raw = ([None if math.isnan(v) else v for v in column.tolist()] for column in (1.0 - block.distance, block.bm25))
    return [ScoreParts(*row) for row in zip(*columns, *raw, strict=True)]
