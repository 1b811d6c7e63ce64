"""Running a query set against a configuration, and saying which of two configurations is better."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from app.evaluation.metrics import mean_figures, ranking_figures
from app.evaluation.queries import Query

DEPTH = 20
RESAMPLES = 2_000
JUDGED_BY = "ndcg@10"

Retrieve = Callable[[str], list[str]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a configuration found: figures per query, in the queries' order, and latencies in milliseconds."""

    name: str
    figures: tuple[dict[str, float], ...]
    milliseconds: tuple[float, ...]

    def summary(self) -> dict[str, float]:
        """Mean figures and latency percentiles."""
        p50, p95 = np.percentile(self.milliseconds, [50, 95]) if self.milliseconds else (0.0, 0.0)
        return {**mean_figures(self.figures), "p50_ms": float(p50), "p95_ms": float(p95)}


def run(name: str, retrieve: Retrieve, queries: Sequence[Query]) -> Outcome:
    """Ask every query; `retrieve` returns ids, best first. Each query is asked once before it is timed."""
    figures, spent = [], []
    for query in queries:
        retrieve(query.text)  # caches of query embeddings are not what is compared
        started = time.perf_counter()
        found = retrieve(query.text)
        spent.append((time.perf_counter() - started) * 1000.0)
        figures.append(ranking_figures(found[:DEPTH], query.wanted))
    return Outcome(name, tuple(figures), tuple(spent))


@dataclass(frozen=True, slots=True)
class Verdict:
    """The mean difference of nDCG@10 (second minus first) with its 95 % interval, and what it means."""

    difference: float
    low: float
    high: float
    better: str | None

    def sentence(self) -> str:
        """For people."""
        values = [self.low, self.difference, self.high]
        if self.high < 0:  # the first is better: by so much
            values = [-value for value in reversed(values)]
        low, middle, high = (f"{100 * value:+.1f}" for value in values)
        figures = f"{JUDGED_BY} {middle} points, 95 % interval {low} to {high}"
        return f"{self.better} is better ({figures})" if self.better else f"no clear difference ({figures})"


def joined(name: str, parts: Sequence[Outcome]) -> Outcome:
    """One outcome of several, for query sets that are run one haystack after the other."""
    return Outcome(name, tuple(f for p in parts for f in p.figures), tuple(m for p in parts for m in p.milliseconds))


def judge(first: Outcome, second: Outcome) -> Verdict:
    """Paired bootstrap over the queries, seeded: the same outcomes give the same verdict."""
    gains = np.array([b[JUDGED_BY] - a[JUDGED_BY] for a, b in zip(first.figures, second.figures, strict=True)])
    if not len(gains):
        return Verdict(0.0, 0.0, 0.0, None)
    picks = np.random.default_rng(0).integers(0, len(gains), size=(RESAMPLES, len(gains)))
    low, high = np.percentile(gains[picks].mean(axis=1), [2.5, 97.5])
    better = second.name if low > 0 else first.name if high < 0 else None
    return Verdict(float(gains.mean()), float(low), float(high), better)
