"""What a topic is called: telling phrases of its texts, tenant by tenant.

A tenant's phrases come from its own texts and are weighed against its own texts only, so a model that several tenants
share passes no word from one to another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from app.memory.topics.values import Array, CorpusSample
from app.providers.interfaces import Embedder, TopicModel

# Phrases come from the texts nearest to a topic's centre.
REPRESENTATIVES = 80
PHRASES_PER_TEXT = 6
CANDIDATES = 20
# What a phrase is worth: its c-TF-IDF, its nearness to the topic's centre (KeyBERT), and its nearness to the topic's
# other phrases, which brings the general word ("garden") before its many examples ("strawberry", "rose").
TELLING, NEAR, CENTRAL = 0.3, 0.2, 0.5
# How much the phrases before it count against a phrase's worth (MMR).
DIVERSITY = 0.3

PerTenant = dict[int, dict[int, list[str]]]


def telling_phrases(
    sample: CorpusSample, labels: Array, centroids: Array, keywords: TopicModel, embedder: Embedder
) -> tuple[PerTenant, dict[int, dict[int, list[int]]]]:
    """Per tenant and topic: telling phrases, best first, and places of the texts nearest to the topic's centre.

    `labels` (n) says which topic each text is in (-1: none), `centroids` is (k, dim).
    """
    tenant_of = np.asarray(sample.tenant_of)
    phrases: PerTenant = {}
    examples: dict[int, dict[int, list[int]]] = {}
    for tenant in range(len(sample.tenants)):
        central: dict[int, list[int]] = {}
        for topic in range(len(centroids)):
            rows = np.flatnonzero((tenant_of == tenant) & (labels == topic))
            if len(rows):
                cosines = sample.vectors[rows] @ centroids[topic]
                central[topic] = rows[np.argsort(-cosines, kind="stable")][:REPRESENTATIVES].tolist()
        texts = [sample.texts[row] for rows in central.values() for row in rows]
        found = iter(keywords.assign(texts, top_k=PHRASES_PER_TEXT))
        documents = {topic: _with_heads([next(found) for _ in rows]) for topic, rows in central.items()}
        phrases[tenant] = ranked(documents, centroids, embedder)
        examples[tenant] = central
    return phrases, examples


def _with_heads(phrases: Sequence[Sequence[str]]) -> list[str]:
    """Each text's phrases and, of phrases of two words, the noun by itself: "tomato plant" counts for "plant" too."""
    return [
        word
        for of_text in phrases
        for word in dict.fromkeys([*of_text, *(phrase.split()[-1] for phrase in of_text if " " in phrase)])
    ]


def ranked(documents: Mapping[int, Sequence[str]], centroids: Array, embedder: Embedder) -> dict[int, list[str]]:
    """Per topic its phrases, best first: chosen by c-TF-IDF, ordered by worth and diversity (MMR)."""
    counts = {topic: Counter(words) for topic, words in documents.items() if words}
    ordered: dict[int, list[str]] = {}
    for topic, weights in _class_tf_idf(counts).items():
        names = sorted(weights, key=lambda name: (-weights[name], name))[:CANDIDATES]
        scores = np.array([weights[name] for name in names])
        vectors = embedder.embed(names)
        among = vectors @ (scores @ vectors) - scores
        worth = TELLING * _share(scores) + NEAR * _share(vectors @ centroids[topic]) + CENTRAL * _share(among)
        ordered[topic] = [names[place] for place in _diverse(worth, vectors)]
    return ordered


def _share(values: Array) -> Array:
    """Values as shares of the largest."""
    return values / max(float(values.max()), 1e-9)


def _class_tf_idf(counts: Mapping[int, Counter[str]]) -> dict[int, dict[str, float]]:
    """BERTopic's class-based TF-IDF with frequent words damped: sqrt(tf) · log(1 + words per class / count)."""
    total: Counter[str] = sum(counts.values(), Counter())
    average = total.total() / max(1, len(counts))
    return {
        topic: {
            word: float(np.sqrt(count / of_topic.total()) * np.log(1 + average / total[word]))
            for word, count in of_topic.items()
        }
        for topic, of_topic in counts.items()
    }


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
