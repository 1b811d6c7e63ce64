"""Giving memories their topics and places: dot products on stored vectors, no model loaded, no text read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from app.memory.models import Memory
from app.memory.topics.values import Array, Source, Topic, TopicModelState

MARK = "topic_assignment"
# Two centroids at least this close (cosine) are the same topic in two fits.
SAME_TOPIC = 0.85
# A memory leaves the topic that it has only when it is clearly outside.
STAYS = 0.95


def nearest(model: TopicModelState, vectors: Array, *, top_k: int, kept: Sequence[str | None] = ()) -> list[list[str]]:
    """Per vector (n, dim): ids of its topics, best first; empty for outliers.

    The nearest topic counts when the memory is not below its floor. Further ones count when the memory is at least as
    close to them as half of their own members are. `kept` gives per vector the id of a topic that it has now: for
    that one the floor is a little lower, so that memories at an edge do not flip with every refit.
    """
    if not len(model.ids) or top_k <= 0:
        return [[] for _ in range(len(vectors))]
    cosines = vectors @ model.centroids.T
    own = {topic_id: column for column, topic_id in enumerate(model.ids)}
    found: list[list[str]] = []
    for row, cosine in enumerate(cosines):
        floors = model.floors
        stays = own.get(kept[row] or "") if row < len(kept) else None
        if stays is not None:
            floors = floors.copy()
            floors[stays] *= STAYS
        order = np.argsort(-cosine)
        inside = [column for column in order if cosine[column] >= floors[column]]
        if not inside:
            found.append([])
            continue
        first = stays if stays in inside and cosine[stays] >= STAYS * cosine[inside[0]] else inside[0]
        others = [column for column in inside if column != first and cosine[column] >= model.typical[column]]
        found.append([model.ids[column] for column in (first, *others)[:top_k]])
    return found


def places(model: TopicModelState, vectors: Array) -> list[tuple[float, float]]:
    """Per vector (n, dim): its place on the two-dimensional map."""
    points = vectors @ model.projection[:-1] + model.projection[-1]
    return [(round(float(x), 3), round(float(y), 3)) for x, y in points]


def turned_like(old: TopicModelState | None, projection: Array, centroids: Array) -> Array:
    """The projection turned (and mirrored, if need be) so that topics lie as they did on the map before.

    Which way a layout points is chance; a map that flips with every refit would be no use.
    """
    if old is None or len(centroids) < 2 or old.projection.shape != projection.shape:
        return projection
    new, before = (centroids @ p[:-1] + p[-1] for p in (projection, old.projection))
    left, _, right = np.linalg.svd((new - new.mean(axis=0)).T @ (before - before.mean(axis=0)))
    return np.asarray(projection @ (left @ right), np.float32)


def _mark(memory: Memory) -> Mapping[str, object]:
    # Metadata may be the client's: nothing about it can be relied on.
    mark = memory.metadata.get(MARK)
    return mark if isinstance(mark, dict) else {}


def _strings(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, (list, tuple)) else ()


def assigned_topics(memory: Memory) -> tuple[str, ...]:
    """Those of the memory's topics that the platform gave it, not the client."""
    return _strings(_mark(memory).get("topics"))


def source_of(memory: Memory) -> str | None:
    """Where the memory's assigned topics come from; None when nothing was assigned."""
    source = _mark(memory).get("source")
    return source if isinstance(source, str) else None


def first_topic_id(memory: Memory) -> str | None:
    """The id of the fitted topic that the memory is in."""
    return next(iter(_strings(_mark(memory).get("ids"))), None)


def with_labels(memory: Memory, labels: Sequence[str], *, source: str) -> Memory:
    """The memory with these assigned topics instead of the ones assigned before; what the client gave stays."""
    return _with(memory, labels, (), (), source)


def with_topics(memory: Memory, topics: Sequence[Topic]) -> Memory:
    """The memory in these fitted topics: found by their labels, their ids, and the labels they had before."""
    aliases = [alias for topic in topics for alias in (topic.id, *topic.aliases)]
    return _with(memory, [t.label for t in topics], [t.id for t in topics], aliases, Source.BERTOPIC)


def given_by_client(memory: Memory) -> Memory:
    """The memory after its client has set its topics: all of them are the client's now, no refit touches them."""
    return replace(memory, topic_aliases=(), metadata={**memory.metadata, MARK: {"source": Source.CLIENT}})


def merged_topics(stored: Memory, enriched: Memory) -> Memory:
    """A stored memory with what enrichment found for it, unless it was given topics meanwhile (a refit, its client)."""
    if MARK in stored.metadata or MARK not in enriched.metadata:
        return stored
    topics = {topic.casefold(): topic for topic in (*stored.topics, *enriched.topics)}
    return replace(
        stored,
        topics=tuple(topics.values()),
        topic_aliases=enriched.topic_aliases,
        map_position=enriched.map_position,
        metadata={**stored.metadata, MARK: enriched.metadata[MARK]},
    )


def _with(memory: Memory, labels: Sequence[str], ids: Sequence[str], aliases: Sequence[str], source: str) -> Memory:
    before = {topic.casefold() for topic in assigned_topics(memory)}
    given = [topic for topic in memory.topics if topic.casefold() not in before]
    known = {topic.casefold() for topic in given}
    new = [label for label in dict.fromkeys(labels) if label.casefold() not in known]
    mark: dict[str, object] = {"source": source, "topics": new}
    if ids:
        mark["ids"] = list(ids)
    return replace(
        memory, topics=(*given, *new), topic_aliases=tuple(aliases), metadata={**memory.metadata, MARK: mark}
    )


def match(old: TopicModelState, centroids: Array) -> dict[int, str]:
    """New topic (by number) → id of the old topic that it continues; one to one, the closest pairs first."""
    if not len(old.ids) or not len(centroids) or old.centroids.shape[1] != centroids.shape[1]:
        return {}
    cosines = centroids @ old.centroids.T
    pairs = sorted(
        ((float(cosines[n, o]), n, o) for n, o in zip(*np.where(cosines >= SAME_TOPIC), strict=True)), reverse=True
    )
    taken: set[int] = set()
    continued: dict[int, str] = {}
    for _cosine, new, column in pairs:
        if new not in continued and column not in taken:
            continued[int(new)] = old.ids[column]
            taken.add(column)
    return continued


def absorbed(old: TopicModelState, centroids: Array) -> dict[str, int]:
    """Old topic id → the new topic nearest to it, for all old topics that are close to any."""
    if not len(old.ids) or not len(centroids) or old.centroids.shape[1] != centroids.shape[1]:
        return {}
    cosines = old.centroids @ centroids.T
    best = cosines.argmax(axis=1)
    return {
        topic_id: int(best[row]) for row, topic_id in enumerate(old.ids) if cosines[row, best[row]] >= SAME_TOPIC - 0.1
    }
