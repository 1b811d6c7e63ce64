"""Quality of fitted topics: normalised mutual information with the themes of labelled memories.

    HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 .venv/bin/python tests/quality/topics.py [first|second] [--labels]

Each memory counts with the first topic that `assignment.nearest` gives it, all outliers as one further topic. Texts of
the other set, of which no topic was fitted, show how often a topic is given that is wrong.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import normalized_mutual_info_score

from app.config import get_settings
from app.memory.models import utc_now
from app.memory.topics.assignment import nearest, places
from app.memory.topics.values import SHARED, CorpusSample, FoundTopics, TopicModelState
from app.providers.embeddings import create_embedder
from app.providers.topic_process import BertopicProcess
from tests.quality.topics_gold import FIRST, SECOND, Theme, generate

SETS: Mapping[str, tuple[Mapping[str, Theme], int]] = {"first": (FIRST, 55), "second": (SECOND, 30)}


@dataclass(frozen=True)
class TopicQuality:
    """Figures of one fit."""

    memories: int
    themes: int
    topics: int
    nmi: float
    outliers: float
    strangers_rejected: float
    map_fit: float
    fit_seconds: float
    assign_ms: float
    found: FoundTopics

    def line(self, name: str) -> str:
        return (
            f"{name:7} {self.memories} memories of {self.themes} themes: {self.topics} topics, NMI {self.nmi:.3f}, "
            f"outliers {self.outliers:.1%}, texts on other themes rejected {self.strangers_rejected:.1%}, "
            f"map R2 {self.map_fit:.2f}, fit {self.fit_seconds:.0f} s, assignment {self.assign_ms:.3f} ms a memory"
        )


def model_of(found: FoundTopics, count: int) -> TopicModelState:
    """The model as the engine would keep it."""
    ids = tuple(f"topic-{number}" for number in range(len(found.centroids)))
    return TopicModelState(
        SHARED, 1, utc_now(), count, ids, found.centroids, found.floors, found.typical, found.projection
    )


def measure(name: str) -> TopicQuality:
    """Fit one set in a process of its own, as a worker does, and measure it."""
    embedder = create_embedder(get_settings())
    pairs = generate(SETS[name][0], per_theme=SETS[name][1])
    other = generate(*(SETS["second" if name == "first" else "first"][:1]), per_theme=20)
    vectors = embedder.embed([text for text, _ in pairs])
    started = time.perf_counter()
    sample = CorpusSample([text for text, _ in pairs], ["gold"], [0] * len(pairs), vectors)
    found = BertopicProcess(timeout_seconds=600).fit(sample, lambda: None)
    fitted = time.perf_counter()
    model = model_of(found, len(pairs))
    topics = [ids[0] if ids else "" for ids in nearest(model, vectors, top_k=1)]
    assigned = time.perf_counter()
    strangers = nearest(model, embedder.embed([text for text, _ in other]), top_k=1)
    return TopicQuality(
        memories=len(pairs),
        themes=len(SETS[name][0]),
        topics=len(found.centroids),
        nmi=float(normalized_mutual_info_score([theme for _, theme in pairs], topics)),
        outliers=topics.count("") / len(topics),
        strangers_rejected=sum(not ids for ids in strangers) / len(strangers),
        map_fit=_r2(found.layout, np.array(places(model, vectors))),
        fit_seconds=fitted - started,
        assign_ms=1000 * (assigned - fitted) / len(pairs),
        found=found,
    )


def _r2(truth: np.ndarray, guess: np.ndarray) -> float:
    return float(1 - ((truth - guess) ** 2).sum() / ((truth - truth.mean(axis=0)) ** 2).sum())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", default=list(SETS))
    parser.add_argument("--labels", action="store_true")
    options = parser.parse_args(arguments)
    for name in options.sets:
        quality = measure(name)
        print(quality.line(name), flush=True)
        if options.labels:
            for topic, phrases in sorted(quality.found.phrases[0].items()):
                print(f"  {quality.found.sizes[0][topic]:4} {', '.join(phrases[:8])}")


if __name__ == "__main__":
    main()
