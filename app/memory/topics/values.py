"""Values of topics: what a fit found, what a tenant calls it, what a memory was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Corpus:
    """Whose memories a model is fitted on: one tenant's, or (`shared`) those of all tenants too small for their own."""

    namespace: str | None = None
    shared: bool = False


SHARED = Corpus(shared=True)


@dataclass(frozen=True, slots=True)
class TopicModelState:
    """A fitted model without any word: k topics in the space of the embeddings.

    `ids` (k) stay the same over refits for topics that stay. `centroids` (k, dim) are unit rows. A memory whose cosine
    to a centroid is below its `floors` (k) is not in the topic; `typical` (k) is the median cosine of its members.
    `projection` (dim + 1, 2) maps a vector (and a 1) onto the map. All of it holds for vectors of one space only,
    which is named by its field (see `app.store.vectors`).
    """

    corpus: Corpus
    version: int
    fitted_at: datetime
    memory_count: int
    ids: tuple[str, ...]
    centroids: Array
    floors: Array
    typical: Array
    projection: Array
    space: str = "vec"


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as one tenant sees it. `label` is what its memories carry; `words` come from the tenant's own texts.

    `aliases` are labels that the topic (or one that it took in) had before: filters on them keep working. `size` is
    the number of the tenant's memories in it when the model was fitted.
    """

    id: str
    label: str
    words: tuple[str, ...] = ()
    size: int = 0
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TenantTopics:
    """The topics of one tenant under one version of a model."""

    namespace: str | None
    corpus: Corpus
    version: int
    topics: tuple[Topic, ...] = ()

    def by_id(self) -> dict[str, Topic]:
        """The topics by id."""
        return {topic.id: topic for topic in self.topics}


@dataclass(frozen=True, slots=True)
class CorpusSample:
    """What a fit works on: texts, the place of each text's tenant in `tenants`, and the stored vectors (n, dim)."""

    texts: Sequence[str]
    tenants: Sequence[str | None]
    tenant_of: Sequence[int]
    vectors: Array


@dataclass(frozen=True, slots=True)
class FoundTopics:
    """What a fit found in a sample; topics are numbered 0 to k-1.

    `phrases` gives per tenant (by place) and topic the telling phrases of that tenant's own texts, best first.
    `examples` gives, in the same way, places of texts close to the centre. `files` is the fitted BERTopic model as it
    saves itself (safetensors), without words of any text.
    """

    centroids: Array
    floors: Array
    typical: Array
    projection: Array
    phrases: Mapping[int, Mapping[int, Sequence[str]]]
    sizes: Mapping[int, Mapping[int, int]]
    examples: Mapping[int, Mapping[int, Sequence[int]]]
    layout: Array
    files: Mapping[str, bytes] = field(default_factory=dict)


class Source:
    """Where the assigned topics of a memory come from (the value of `metadata.topic_assignment.source`)."""

    KEYWORDS = "keywords"
    BERTOPIC = "bertopic"
    LLM = "llm"
    CLIENT = "client"
