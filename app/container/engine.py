"""The engine's part of the composition root, and the process's container."""

from __future__ import annotations

import threading
from functools import cached_property

from app.config import Settings, get_settings
from app.container.providers import Providers
from app.memory.access import AccessTracker
from app.memory.compaction import Compaction
from app.memory.consolidation import Consolidation
from app.memory.context import SessionContext
from app.memory.dispatch import Dispatcher
from app.memory.enrichment import Enrichments
from app.memory.entity_enrichment import EntityEnrichment
from app.memory.erasure import Erasure
from app.memory.events import EventDelivery
from app.memory.guard import guarded_services
from app.memory.history import History
from app.memory.jobs import Jobs
from app.memory.lifecycle import Lifecycle
from app.memory.long_term import LongTermMemory
from app.memory.pending import PendingMessages
from app.memory.profile import Profiles
from app.memory.promotion import Promotion
from app.memory.prompt import PromptHydration
from app.memory.query_embedding import QueryEmbedder
from app.memory.query_optimization import QueryOptimizer
from app.memory.reembedding import Reembedding
from app.memory.search import MemorySearch
from app.memory.steps import TaskRecords
from app.memory.summarization.partitions import PartitionWriter
from app.memory.summarization.sessions import SessionFolding
from app.memory.summary_views import SummaryViews
from app.memory.topics.catalog import TopicCatalog
from app.memory.topics.enrichment import TopicEnrichment
from app.memory.topics.refit import FitTopics, TopicRefit
from app.memory.working import WorkingMemory
from app.providers.interfaces import Embedder
from app.providers.topic_process import BertopicProcess
from app.store.compaction import CompactionRepository
from app.store.facets import FacetRepository
from app.store.folds import FoldRepository
from app.store.jobs import JobRepository
from app.store.tenants import TenantKeys
from app.store.text_cache import TextCache
from app.store.topics import TopicRepository
from app.store.turns import TurnRepository
from app.store.vector_cache import VectorCache
from app.store.vectors import Spaces, VectorSpace
from app.store.views import ViewRepository

# What stays when the embedding model changes: connections, and models that took time to load.
_KEPT = (
    "redis", "background", "authenticator", "generator", "reranker", "entity_recognizer", "topic_model", "extractor",
    "summarizer", "strategies", "distiller",
)  # fmt: skip


@guarded_services
class Container(Providers):
    """Everything one process needs, built on first use: what is not used is never loaded.

    A container has one view of the embedding spaces for all its life: work that began with it ends with it, so that a
    vector is always of the model that it is taken for. When the spaces change, the process gets another container
    (`app/following.py`).
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._embedders: dict[VectorSpace, Embedder] = {}

    def with_spaces(self, spaces: Spaces) -> Container:
        """A container with another view of the spaces, and otherwise the same connections and models."""
        made = Container(self.settings)
        made.__dict__.update({name: value for name, value in self.__dict__.items() if name in _KEPT})
        made._embedders = self._embedders
        made.__dict__["spaces"] = spaces
        return made

    @cached_property
    def query_cache(self) -> VectorCache | None:
        """The shared cache of query vectors, if there is one."""
        ttl = self.settings.embedding_cache_ttl_seconds
        model = f"{self.embedder.model_id}/{self.embedder.dimensions}"
        return VectorCache(self.redis, model_id=model, ttl_seconds=ttl) if ttl else None

    @cached_property
    def queries(self) -> QueryEmbedder:
        """Embeddings of queries."""
        return QueryEmbedder(self.embedder, self.query_cache)

    @cached_property
    def working_memory(self) -> WorkingMemory:
        """Sessions."""
        return WorkingMemory(self.sessions, self.records, self.settings)

    @cached_property
    def context(self) -> SessionContext:
        """What turns are indexed with."""
        return SessionContext(
            self.records, self.changes, TurnRepository(self.redis), lambda: self.embedder, self.spaces.serving
        )

    @cached_property
    def long_term_memory(self) -> LongTermMemory:
        """Memories by id."""
        return LongTermMemory(
            self.records,
            self.batches,
            self.tasks,
            self.outbox,
            self.changes,
            self.consolidation,
            self.context,
            self.enrichments,
            self.background,
            self.settings,
        )

    @cached_property
    def enrichments(self) -> Enrichments:
        """What small creates leave for the background."""
        return Enrichments(self.batches, self.outbox, self.settings, self.spaces.serving.field)

    @cached_property
    def consolidation(self) -> Consolidation:
        """Storing memories, each fact once."""
        return Consolidation(
            self.changes, self.neighbours, lambda: self.embedder, lambda: self.generator, self.settings
        )

    @cached_property
    def search(self) -> MemorySearch:
        """Search."""
        return MemorySearch(
            self.records,
            self.queries,
            AccessTracker(self.records),
            PendingMessages(self.sessions),
            self.query_optimizer,
            self.reranker,
            self.settings,
        )

    @cached_property
    def query_optimizer(self) -> QueryOptimizer:
        """Rewrites queries where a search asks for it."""
        settings = self.settings
        name = f"{settings.fast_model}\x1f{settings.query_optimization_prompt_template or ''}"
        ttl = settings.embedding_cache_ttl_seconds
        return QueryOptimizer(lambda: self.generator, lambda: TextCache(self.redis, name, ttl_seconds=ttl), settings)

    @cached_property
    def lifecycle(self) -> Lifecycle:
        """Forgetting."""
        return Lifecycle(self.records, self.changes, self.context)

    @cached_property
    def compaction(self) -> Compaction:
        """Folding what is stored."""
        return Compaction(
            self.records,
            self.neighbours,
            self.changes,
            CompactionRepository(self.redis),
            self.tasks,
            self.consolidation,
            self.settings,
        )

    @cached_property
    def history(self) -> History:
        """The past of memories."""
        return History(self.records, self.changes, self.sessions, self.reembedding.complete)

    @cached_property
    def reembedding(self) -> Reembedding:
        """Vectors that are missing."""
        return Reembedding(self.spaces, self.space_repository, self.records, self.embedder_of)

    @cached_property
    def erasure(self) -> Erasure:
        """Erasing a user; export and import of a tenant."""
        return Erasure(
            TenantKeys(self.redis, self.spaces, self.reembedding.fill),
            self.batches,
            self.tasks,
            self.outbox,
            ViewRepository(self.redis),
            lambda: self.query_cache,
        )

    @cached_property
    def hydration(self) -> PromptHydration:
        """Prompts."""
        return PromptHydration(self.working_memory, self.search)

    @cached_property
    def folding(self) -> SessionFolding:
        """Summaries of long sessions."""
        folds = FoldRepository(self.redis, self.events)
        return SessionFolding(self.sessions, folds, lambda: self.summarizer, self.settings)

    @cached_property
    def summary_views(self) -> SummaryViews:
        """Summary views."""
        return SummaryViews(
            self.views,
            self.records,
            self.tasks,
            self.outbox,
            self.background,
            PartitionWriter(lambda: self.generator, self.views, self.settings),
            self.settings,
        )

    @cached_property
    def entity_enrichment(self) -> EntityEnrichment:
        """Entities for new memories."""
        return EntityEnrichment(self.entity_recognizer, FacetRepository(self.redis, self.records))

    @cached_property
    def topic_enrichment(self) -> TopicEnrichment:
        """Topics for new memories."""
        return TopicEnrichment(
            TopicRepository(self.redis), lambda: self.topic_model, self.settings, self.spaces.serving.field
        )

    @cached_property
    def topic_fit(self) -> FitTopics:
        """What fits topics: BERTopic, in a process of its own."""
        space = self.spaces.serving
        model = {
            "EMBEDDING_BACKEND": space.backend,
            "EMBEDDING_MODEL": space.model,
            "EMBEDDING_DIMENSIONS": str(space.dimensions),
            "EMBEDDING_BASE_URL": space.base_url or "",
        }
        return BertopicProcess(timeout_seconds=self.settings.topic_fit_timeout_seconds, environment=model).fit

    @cached_property
    def topic_refit(self) -> TopicRefit:
        """The life of topic models."""
        return TopicRefit(
            repository=TopicRepository(self.redis),
            records=self.records,
            tasks=self.tasks,
            background=self.background,
            enrichment=self.topic_enrichment,
            fit=self.topic_fit,
            generator=lambda: self.generator,
            settings=self.settings,
        )

    @cached_property
    def topic_catalog(self) -> TopicCatalog:
        """Counts of topics and entities, and the topic map."""
        return TopicCatalog(TopicRepository(self.redis), FacetRepository(self.redis, self.records), self.records)

    @cached_property
    def profiles(self) -> Profiles:
        """Users at a glance."""
        return Profiles(self.search, self.summary_views, self.working_memory)

    @cached_property
    def promotion(self) -> Promotion:
        """The pipeline's steps."""
        return Promotion(
            sessions=self.sessions,
            records=self.records,
            batches=self.batches,
            tasks=self.tasks,
            shown=TaskRecords(self.tasks, self.steps),
            outbox=self.outbox,
            distiller=lambda: self.distiller,
            changes=self.changes,
            consolidation=self.consolidation,
            context=self.context,
            entities=lambda: self.entity_enrichment,
            topics=lambda: self.topic_enrichment,
            settings=self.settings,
        )

    @cached_property
    def jobs(self) -> Jobs:
        """What runs by the clock."""
        return Jobs(self.background, JobRepository(self.redis))

    @cached_property
    def event_delivery(self) -> EventDelivery:
        """Events to the webhook."""
        from app.providers.webhook import Webhook

        settings = self.settings
        assert settings.webhook_url, "WEBHOOK_URL is not set"
        assert settings.webhook_secret, "WEBHOOK_URL needs WEBHOOK_SECRET"
        timeout = settings.webhook_timeout_seconds
        webhook = Webhook(settings.webhook_url, settings.webhook_secret, timeout_seconds=timeout)
        return EventDelivery(self.events, webhook, max_attempts=settings.webhook_max_attempts)

    @cached_property
    def dispatcher(self) -> Dispatcher:
        """Starts due work."""
        return Dispatcher(self.outbox, self.enrichments, self.background, self.settings)


_container: Container | None = None
_lock = threading.Lock()


def container() -> Container:
    """The process's container."""
    global _container
    if _container is None:
        with _lock:
            if _container is None:
                _container = Container(get_settings())
    return _container


def replace_container(made: Container | None) -> None:
    """Let new work use another container; what has begun goes on with the one that it has."""
    global _container
    _container = made


def reset() -> None:
    """Forget the container: for a child process after a fork, which must not share its parent's connections."""
    replace_container(None)
