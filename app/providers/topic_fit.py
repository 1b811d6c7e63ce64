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
from bertopic.vectorizers import ClassTfidfTransformer
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.cluster import HDBSCAN, AgglomerativeClustering
from sklearn.feature_extraction.text import CountVectorizer
from umap import UMAP

from app.config import get_settings
from app.memory.topics.values import Array, CorpusSample, FoundTopics
from app.providers.embeddings import create_embedder
from app.providers.interfaces import Embedder
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
# Below the cosine that 98 of 100 members have, less a twentieth, a memory is not in the topic.
FLOOR_QUANTILE, FLOOR_SLACK = 0.02, 0.95
# Telling phrases come from the texts nearest to a topic's centre.
REPRESENTATIVES = 80
PHRASES_PER_TEXT = 6
CANDIDATES = 20
# How much a phrase's nearness to the topic counts against its c-TF-IDF, and how much other phrases against both (MMR).
NEARNESS, DIVERSITY = 0.5, 0.3
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
        self.labels_ = labels
        return self


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
        ctfidf_model=ClassTfidfTransformer(reduce_frequent_words=True),
        calculate_probabilities=False,
    )
    labels, _ = model.fit_transform(list(sample.texts), embeddings=sample.vectors)
    labels = np.asarray(labels)
    centroids = centroids_of(sample.vectors, labels)
    cosines = sample.vectors @ centroids.T
    members = [cosines[labels == topic, topic] for topic in range(len(centroids))]
    layout = _layout(reducer.embedding_)
    phrases, examples = _phrases(sample, labels, cosines, centroids, embedder)
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


def _phrases(
    sample: CorpusSample, labels: Array, cosines: Array, centroids: Array, embedder: Embedder
) -> tuple[dict[int, dict[int, list[str]]], dict[int, dict[int, list[int]]]]:
    """Telling phrases and central texts, per tenant and topic; a tenant's phrases come from its own texts only."""
    tenant_of = np.asarray(sample.tenant_of)
    keywords = KeywordTopicModel(get_settings().ner_model)
    phrases: dict[int, dict[int, list[str]]] = {}
    examples: dict[int, dict[int, list[int]]] = {}
    for tenant in range(len(sample.tenants)):
        central: dict[int, list[int]] = {}
        for topic in range(len(centroids)):
            rows = np.flatnonzero((tenant_of == tenant) & (labels == topic))
            if len(rows):
                nearest = rows[np.argsort(-cosines[rows, topic], kind="stable")]
                central[topic] = nearest[:REPRESENTATIVES].tolist()
        texts = [sample.texts[row] for rows in central.values() for row in rows]
        found = iter(keywords.assign(texts, top_k=PHRASES_PER_TEXT))
        documents = {topic: _with_heads([next(found) for _ in rows]) for topic, rows in central.items()}
        phrases[tenant] = _ranked(documents, centroids, embedder)
        examples[tenant] = central
    return phrases, examples


def _with_heads(phrases: Sequence[Sequence[str]]) -> list[str]:
    """Each text's phrases and, of phrases of two words, the noun by itself: "tomato plant" counts for "plant" too."""
    return [
        word for of_text in phrases for word in dict.fromkeys([*of_text, *(p.split()[-1] for p in of_text if " " in p)])
    ]


def _ranked(documents: Mapping[int, Sequence[str]], centroids: Array, embedder: Embedder) -> dict[int, list[str]]:
    """Per topic its phrases, best first: c-TF-IDF candidates, reordered by nearness and diversity (KeyBERT, MMR)."""
    told = {topic: words for topic, words in documents.items() if words}
    if not told:
        return {}
    vectorizer = CountVectorizer(analyzer=_as_they_are)
    counts = vectorizer.fit_transform(told.values())
    weights = ClassTfidfTransformer(reduce_frequent_words=True).fit(counts).transform(counts).toarray()
    names = vectorizer.get_feature_names_out()
    ranked: dict[int, list[str]] = {}
    for row, topic in enumerate(told):
        order = np.argsort(-weights[row], kind="stable")[:CANDIDATES]
        order = order[weights[row, order] > 0]
        scores = weights[row, order] / weights[row, order].max()
        vectors = embedder.embed([str(names[column]) for column in order])
        worth = (1 - NEARNESS) * scores + NEARNESS * (vectors @ centroids[topic])
        ranked[topic] = [str(names[order[place]]) for place in _diverse(worth, vectors)]
    return ranked


def _as_they_are(words: Sequence[str]) -> Sequence[str]:
    return words


def _diverse(worth: Array, vectors: Array) -> list[int]:
    """Maximal marginal relevance: an order in which each place takes what is worth most and least like those before."""
    chosen: list[int] = []
    closest = np.zeros(len(worth))
    left = list(range(len(worth)))
    while left:
        best = max(left, key=lambda place: (1 - DIVERSITY) * worth[place] - DIVERSITY * closest[place])
        left.remove(best)
        chosen.append(best)
        closest = np.maximum(closest, vectors @ vectors[best])
    return chosen


def _save(model: BERTopic, phrases: Mapping[int, Sequence[str]], directory: Path) -> None:
    """Write the model as safetensors, with our phrases for its words: none at all for a model of several tenants."""
    numbers = sorted(set(model.topics_))
    words: dict[int, list[tuple[str, float]]] = {
        number: [(word, 1.0) for word in phrases.get(number, ())[:10]] or [("", 1.0)] for number in numbers
    }
    model.topic_representations_ = words
    model.topic_labels_ = {number: f"{number}_{words[number][0][0]}" for number in numbers}
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
