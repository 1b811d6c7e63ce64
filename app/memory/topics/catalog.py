"""What a deployment talks about: topics and entities with their counts, and the topic map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.memory.filters import MemoryFilter
from app.memory.models import Memory
from app.memory.topics.assignment import assigned_topics, first_topic_id, source_of
from app.memory.topics.values import Source, TenantTopics, Topic
from app.store.facets import FacetCount, FacetRepository
from app.store.records import RecordRepository
from app.store.topics import TopicRepository


@dataclass(frozen=True, slots=True)
class TopicCount:
    """A topic with its number of memories; `fitted` when it belongs to the tenant's current model."""

    label: str
    count: int
    fitted: Topic | None = None


@dataclass(frozen=True, slots=True)
class TopicCounts:
    """A page of topics, how many there are, and the tenant's model if a namespace was given and has one."""

    counts: tuple[TopicCount, ...]
    total: int
    model: TenantTopics | None


@dataclass(frozen=True, slots=True)
class EntityCounts:
    """A page of entities, and how many there are."""

    counts: tuple[FacetCount, ...]
    total: int


@dataclass(frozen=True, slots=True)
class MapPoint:
    """A memory on the map. `topic` is its first fitted topic, else the first of its topics, else None."""

    memory: Memory
    topic: str | None
    topic_id: str | None
    source: str | None


@dataclass(frozen=True, slots=True)
class TopicMap:
    """The newest memories of a tenant that have a place, how many match in all, and the model that placed them."""

    points: tuple[MapPoint, ...]
    total: int
    model: TenantTopics | None


class TopicCatalog:
    """Reads only: counts and places."""

    def __init__(self, repository: TopicRepository, facets: FacetRepository, records: RecordRepository) -> None:
        self._repository = repository
        self._facets = facets
        self._records = records

    def topics(self, condition: MemoryFilter, *, namespace: str | None, limit: int, offset: int) -> TopicCounts:
        """A page of topics, most frequent first. What is asked about one user does not show words of the others."""
        counts, total = self._facets.counts("topics", condition, limit=limit, offset=offset)
        model = self._repository.tenant(namespace) if namespace is not None else None
        shared = "user_id" in condition.tags
        topics = (replace(topic, words=()) if shared else topic for topic in (model.topics if model else ()))
        fitted = {topic.label.casefold(): topic for topic in topics}
        page = tuple(TopicCount(c.value, c.count, fitted.get(c.value.casefold())) for c in counts)
        return TopicCounts(page, total, model)

    def entities(self, condition: MemoryFilter, *, limit: int, offset: int) -> EntityCounts:
        """A page of entities, most frequent first."""
        counts, total = self._facets.counts("entities", condition, limit=limit, offset=offset)
        return EntityCounts(tuple(counts), total)

    def map(self, condition: MemoryFilter, *, namespace: str, limit: int) -> TopicMap:
        """The newest memories on the map. Two round trips and one for the model."""
        keys, total = self._records.list_page(condition, offset=0, limit=limit)
        memories = [m for m in self._records.read(keys) if m is not None and m.map_position is not None]
        return TopicMap(tuple(map(_point, memories)), total, self._repository.tenant(namespace))


def _point(memory: Memory) -> MapPoint:
    source = source_of(memory)
    assigned: Sequence[str] = assigned_topics(memory) if source == Source.BERTOPIC else ()
    topic = next(iter((*assigned, *memory.topics)), None)
    return MapPoint(memory, topic, first_topic_id(memory), source)
