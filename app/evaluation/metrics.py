"""Figures of one ranking, and their means. All between 0 and 1."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

CUTS = (1, 5, 10, 20)
KEYS = (*(f"rec@{k}" for k in CUTS), "any@10", "all@10", "mrr", "ndcg@10")


def ranking_figures(ranked: Sequence[str], wanted: Collection[str]) -> dict[str, float]:
    """The figures of a ranking, given what should be found: `rec@k` is the share of it among the first k."""
    relevant = set(wanted)
    hits = [1 if found in relevant else 0 for found in ranked]
    figures = {f"rec@{k}": sum(hits[:k]) / len(relevant) for k in CUTS}
    figures["any@10"] = float(any(hits[:10]))
    figures["all@10"] = float(sum(hits[:10]) == len(relevant))
    figures["mrr"] = next((1.0 / place for place, hit in enumerate(hits, 1) if hit), 0.0)
    gain = sum(hit / math.log2(place + 1) for place, hit in enumerate(hits[:10], 1))
    ideal = sum(1.0 / math.log2(place + 1) for place in range(1, min(10, len(relevant)) + 1))
    figures["ndcg@10"] = gain / ideal
    return figures


def mean_figures(figures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each figure; zero of none."""
    return {key: sum(f[key] for f in figures) / len(figures) if figures else 0.0 for key in KEYS}
