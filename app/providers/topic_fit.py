"""The fit itself: BERTopic over stored vectors, run as `python -m app.providers.topic_fit <directory>`.

Only this process imports BERTopic (see `topic_process`). Parameters were chosen on the first set of
`tests/quality/topics_gold.py` and checked on the second; the figures are in docs/topics.md.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bertopic import BERTopic
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.cluster import HDBSCAN, AgglomerativeClustering
from sklearn.feature_extraction.text import CountVectorizer
from umap import UMAP

from app.config import get_settings
from app.memory.topics.values import Array, CorpusSample, FoundTopics
from app.providers.embeddings import create_embedder
from app.providers.interfaces import Embedder
from app.providers.topic_phrases import telling_phrases
from app.providers.topic_process import MODEL, read_sample, write_found
from app.providers.topics import KeywordTopicModel

# UMAP with more neighbours than BERTopic's 15 keeps a theme together that is told in several ways.
NEIGHBORS = 30
COMPONENTS = 5
# A topic needs a fiftieth of the memories, within these bounds: the default (10, whatever the size) finds wordings.
SMALLEST_TOPIC, LARGEST_MINIMUM = 10, 150
MIN_SAMPLES = 5
# Clusters whose centroids are closer than this (cosine) are one topic.
MERGED = 0.55
# A cluster must hold together this much better than memories picked by chance.
OVER_CHANCE = 1.2
# Below the cosine that 98 of 100 members have, less a twentieth, a memory is not in the topic.
FLOOR_QUANTILE, FLOOR_SLACK = 0.02, 0.95
RIDGE = 1.0


class MergingHdbscan(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """HDBSCAN on the reduced vectors, then clusters merged whose centroids are close among the full `vectors`."""

    def __init__(self, vectors: Array | None = None, min_cluster_size: int = SMALLEST_TOPIC) -> None:
        self.vectors = vectors
        self.min_cluster_size = min_cluster_size

    def fit(self, reduced: Array, y: object = None) -> MergingHdbscan:
        """Cluster; `labels_` are 0 to k-1, and -1 for outliers."""
        assert self.vectors is not None
        min_samples = min(MIN_SAMPLES, self.min_cluster_size)
        labels = HDBSCAN(min_cluster_size=self.min_cluster_size, min_samples=min_samples, copy=True).fit_predict(
            reduced
        )
        if labels.max() > 0:
            centroids = centroids_of(self.vectors, labels)
            groups = AgglomerativeClustering(
                n_clusters=None, distance_threshold=1 - MERGED, metric="cosine", linkage="average"
            ).fit_predict(centroids)
            labels = np.where(labels >= 0, groups[labels], -1)
        self.labels_ = without_noise(self.vectors, labels)
        return self


def without_noise(vectors: Array, labels: Array) -> Array:
    """The labels without clusters that are hardly closer together than memories picked by chance, renumbered.

    k unit vectors whose mean pairwise cosine is r have a cosine of about sqrt((1 + (k - 1) r) / k) to their centre.
    """
    alike = max(0.0, float(np.square(vectors.mean(axis=0)).sum()))
    centroids = centroids_of(vectors, labels)
    kept: list[int] = []
    for topic, centroid in enumerate(centroids):
        members = vectors[labels == topic]
        chance = np.sqrt((1 + (len(members) - 1) * alike) / len(members))
        if np.median(members @ centroid) >= OVER_CHANCE * chance:
            kept.append(topic)
    number = {topic: place for place, topic in enumerate(kept)}
    return np.array([number.get(topic, -1) for topic in labels.tolist()], dtype=np.int64)


def centroids_of(vectors: Array, labels: Array) -> Array:
    """Unit centroids (k, dim) of the clusters 0 to k-1."""
    centroids = np.array([vectors[labels == topic].mean(axis=0) for topic in range(labels.max() + 1)], np.float32)
    if not len(centroids):
        return np.zeros((0, vectors.shape[1]), np.float32)
    return np.asarray(centroids / np.linalg.norm(centroids, axis=1, keepdims=True), np.float32)


def fit(sample: CorpusSample, embedder: Embedder, directory: Path, *, seed: int = 42) -> FoundTopics:
    """Find the topics of a sample and write the BERTopic model into `directory`; deterministic for one sample."""
    count = len(sample.texts)
    reducer = UMAP(
        n_neighbors=min(NEIGHBORS, max(5, count // 10)),
        n_components=COMPONENTS,
        min_dist=0.0,
        metric="cosine",
        random_state=seed,
    )
    smallest = int(np.clip(count // 50, SMALLEST_TOPIC, LARGEST_MINIMUM))
    model = BERTopic(
        umap_model=reducer,
        hdbscan_model=MergingHdbscan(sample.vectors, smallest),
        vectorizer_model=CountVectorizer(stop_words="english"),
        calculate_probabilities=False,
    )
    labels, _ = model.fit_transform(list(sample.texts), embeddings=sample.vectors)
    labels = np.asarray(labels)
    centroids = centroids_of(sample.vectors, labels)
    cosines = sample.vectors @ centroids.T
    members = [cosines[labels == topic, topic] for topic in range(len(centroids))]
    layout = _layout(reducer.embedding_)
    keywords = KeywordTopicModel(get_settings().ner_model)
    phrases, examples = telling_phrases(sample, labels, centroids, keywords, embedder)
    _save(model, phrases[0] if len(sample.tenants) == 1 and phrases else {}, directory)
    return FoundTopics(
        centroids=centroids,
        floors=np.array([np.quantile(m, FLOOR_QUANTILE) * FLOOR_SLACK for m in members], np.float32),
        typical=np.array([np.median(m) for m in members], np.float32),
        projection=_projection(sample.vectors, layout),
        phrases=phrases,
        sizes=_sizes(sample, labels),
        examples=examples,
        layout=layout,
    )


def _layout(reduced: Array) -> Array:
    """Two dimensions of the reduced vectors (n, 2) that spread them most, within about -1 to 1."""
    centred = reduced - reduced.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    flat = centred @ axes[:2].T
    return np.asarray(flat / max(float(np.abs(flat).max()), 1e-9), np.float32)


def _projection(vectors: Array, layout: Array) -> Array:
    """The linear map (dim + 1, 2) that puts vectors nearest to their places in the layout (ridge regression)."""
    mean = vectors.mean(axis=0)
    centred = vectors - mean
    weights = np.linalg.solve(
        centred.T @ centred + RIDGE * np.eye(vectors.shape[1], dtype=np.float32),
        centred.T @ (layout - layout.mean(axis=0)),
    )
    offset = layout.mean(axis=0) - mean @ weights
    return np.asarray(np.vstack([weights, offset]), np.float32)


def _sizes(sample: CorpusSample, labels: Array) -> dict[int, dict[int, int]]:
    sizes: dict[int, dict[int, int]] = {}
    for tenant, topic in zip(sample.tenant_of, labels.tolist(), strict=True):
        if topic >= 0:
            of_tenant = sizes.setdefault(tenant, {})
            of_tenant[topic] = of_tenant.get(topic, 0) + 1
    return sizes


def _save(model: BERTopic, phrases: Mapping[int, Sequence[str]], directory: Path) -> None:
    """Write the model as safetensors, with our phrases for its words: none at all for a model of several tenants."""
    numbers = sorted(set(model.topics_))
    words: dict[int, list[tuple[str, float]]] = {
        number: [(word, 1.0) for word in phrases.get(number, ())[:10]] or [("", 1.0)] for number in numbers
    }
    model.topic_representations_ = words
    model.save(str(directory / MODEL), serialization="safetensors", save_ctfidf=False, save_embedding_model=False)


def main(arguments: Sequence[str]) -> None:
    """Read the sample in a directory, fit, write what was found into it."""
    warnings.filterwarnings("ignore")
    with contextlib.suppress(OSError):
        os.nice(10)  # searches and steps go first
    directory = Path(arguments[0])
    found: Any = fit(read_sample(directory), create_embedder(get_settings()), directory)
    write_found(directory, found)


if __name__ == "__main__":
    main(sys.argv[1:])
