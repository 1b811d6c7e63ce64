"""The `topics` step: memories get fitted topics where there is a fit, else keywords or the language model's."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import structlog

from app.config import Settings
from app.memory.models import Memory
from app.memory.topics import assignment
from app.memory.topics.values import Array, Corpus, Source, TenantTopics, TopicModelState
from app.providers.interfaces import TopicModel
from app.store.topics import TopicRepository

log = structlog.get_logger(__name__)
MODELS_IN_MEMORY = 64


class TopicEnrichment:
    """Assigns topics to whole batches: at most one model call and one dot product for each tenant in the batch."""

    def __init__(
        self, repository: TopicRepository, by_text: Callable[[], TopicModel], settings: Settings, space: str = "vec"
    ) -> None:
        """`space` names the embeddings that memories come with; a model that was fitted on others does not count."""
        self.space = space
        self._repository = repository
        self._by_text = by_text
        self._settings = settings
        self._models: OrderedDict[tuple[Corpus, int], TopicModelState] = OrderedDict()

    def assign(self, memories: Sequence[Memory], vectors: Array) -> list[Memory]:
        """The memories with topics and, where their tenant has a fitted model, places on the map.

        `vectors` (n, dim) are the memories' embeddings; empty when there are none yet, then nothing is fitted.
        A memory that no fitted topic holds gets none.
        """
        result = list(memories)
        by_text: list[int] = []
        fitted = self._settings.topic_model_source == "bertopic" and len(vectors) == len(memories)
        for namespace in dict.fromkeys(m.namespace for m in memories):
            rows = [row for row, memory in enumerate(memories) if memory.namespace == namespace]
            serving = self._serving(namespace) if fitted else None
            if serving is None:
                by_text += rows
                continue
            made = fitted_topics(*serving, [memories[row] for row in rows], vectors[rows], self._settings.top_k_topics)
            for row, memory in zip(rows, made, strict=True):
                if memory is None:  # a topic of other tenants' memories, that this tenant has no words for
                    by_text.append(row)
                else:
                    result[row] = memory
        if by_text:
            model = self._by_text()
            source = Source.LLM if model.model_id.startswith(Source.LLM) else Source.KEYWORDS
            found = model.assign([memories[row].text for row in by_text], top_k=self._settings.top_k_topics)
            for row, labels in zip(by_text, found, strict=True):
                result[row] = assignment.with_labels(memories[row], labels, source=source)
        return result

    def _serving(self, namespace: str | None) -> tuple[TopicModelState, TenantTopics] | None:
        tenant = self._repository.tenant(namespace)
        if tenant is None:
            return None
        model = self.model(tenant.corpus, tenant.version)
        if model is None:
            return None
        return model, tenant

    def model(self, corpus: Corpus, version: int) -> TopicModelState | None:
        """A version of a model, from this process's memory when it was used lately; None if it is of other vectors."""
        key = (corpus, version)
        model = self._models.pop(key, None) or self._repository.load(corpus, version)
        if model is not None:
            self._models[key] = model
            if len(self._models) > MODELS_IN_MEMORY:
                self._models.popitem(last=False)
        return model if model is None or model.space == self.space else None


def fitted_topics(
    model: TopicModelState, tenant: TenantTopics, memories: Sequence[Memory], vectors: Array, top_k: int
) -> list[Memory | None]:
    """The memories in their fitted topics, on their places; None where the tenant has no name for the topic."""
    named = tenant.by_id()
    kept = [assignment.first_topic_id(memory) for memory in memories]
    made: list[Memory | None] = []
    found = assignment.nearest(model, np.asarray(vectors, np.float32), top_k=top_k, kept=kept)
    for memory, ids, place in zip(memories, found, assignment.places(model, vectors), strict=True):
        topics = [named[topic_id] for topic_id in ids if topic_id in named]
        if ids and not topics:
            made.append(None)
        else:
            made.append(replace(assignment.with_topics(memory, topics), map_position=place))
    return made
