"""The composition root: settings → store → providers → engine. The only place that wires them."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from typing import cast

from app.auth.authenticator import Authenticator, create_authenticator
from app.config import Settings, get_settings
from app.memory.access import AccessTracker
from app.memory.background import Background
from app.memory.compaction import Compaction
from app.memory.consolidation import Consolidation
from app.memory.context import SessionContext
from app.memory.dispatch import Dispatcher
from app.memory.embedding import OtherVectors
from app.memory.enrichment import Enrichments
from app.memory.entity_enrichment import EntityEnrichment
from app.memory.erasure import Erasure
from app.memory.errors import BackendUnavailable
from app.memory.events import EventDelivery
from app.memory.extraction.base import ExtractionStrategy, Extractor
from app.memory.extraction.distiller import Distiller
from app.memory.extraction.registry import load_strategies
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
from app.memory.summarization.partitions import PartitionWriter
from app.memory.summarization.sessions import SessionFolding
from app.memory.summarization.summarizers import ExtractiveSummarizer, LlmSummarizer, Summarizer
from app.memory.summary_views import SummaryViews
from app.memory.topics.catalog import TopicCatalog
from app.memory.topics.enrichment import TopicEnrichment
from app.memory.topics.refit import FitTopics, TopicRefit
from app.memory.working import WorkingMemory
from app.providers.interfaces import Embedder, EntityRecognizer, Generator, Reranker, TopicModel
from app.providers.tokens import counting_method
from app.providers.topic_process import BertopicProcess
from app.store.batches import BatchRepository, TaskRepository
from app.store.changes import ChangeRepository, Limits
from app.store.client import RedisClient, connect
from app.store.compaction import CompactionRepository
from app.store.events import EventRepository
from app.store.facets import FacetRepository
from app.store.folds import FoldRepository
from app.store.jobs import JobRepository
from app.store.model_gate import GateLimits, ModelGate
from app.store.neighbours import NeighbourRepository
from app.store.outbox import Outbox
from app.store.presence import Presence
from app.store.records import RecordRepository
from app.store.sessions import SessionRepository
from app.store.tenants import TenantKeys
from app.store.text_cache import TextCache
from app.store.tokens import TokenRepository
from app.store.topics import TopicRepository
from app.store.turns import TurnRepository
from app.store.usage import UsageRepository
from app.store.vector_cache import VectorCache
from app.store.vectors import SpaceRepository, Spaces, VectorSpace, configured
from app.store.views import ViewRepository

BACKGROUND = "tasks.background:CeleryBackground"
# What stays when the embedding model changes: connections, and models that took time to load.
_KEPT = (
    "redis", "background", "authenticator", "generator", "reranker", "entity_recognizer", "topic_model", "extractor",
    "summarizer", "strategies", "distiller",
)  # fmt: skip


@guarded_services
class Container:
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

    # -- store -----------------------------------------------------------------------------------------------------

    @cached_property
    def redis(self) -> RedisClient:
        """The store's client."""
        return connect(self.settings)

    @cached_property
    def sessions(self) -> SessionRepository:
        """Sessions."""
        return SessionRepository(self.redis, max_messages=self.settings.max_session_messages)

    @cached_property
    def records(self) -> RecordRepository:
        """Memories."""
        return RecordRepository(self.redis, self.spaces.serving)

    @cached_property
    def space_repository(self) -> SpaceRepository:
        """The embedding spaces as they are stored."""
        return SpaceRepository(self.redis, configured(self.settings))

    @cached_property
    def spaces(self) -> Spaces:
        """The embedding spaces. Raises BackendUnavailable while they cannot be read."""
        return self.space_repository.load()

    @cached_property
    def changes(self) -> ChangeRepository:
        """Changes of memories, and their undoing."""
        settings = self.settings
        return ChangeRepository(
            self.redis,
            Limits(
                versions=settings.history_max_versions,
                log=settings.change_log_max_entries,
                deleted_seconds=int(settings.deleted_retention_days * 86_400),
            ),
            self.events,
            self.spaces,
            OtherVectors(lambda: self.embedder_of(self.spaces.all[-1])),
        )

    @cached_property
    def neighbours(self) -> NeighbourRepository:
        """What is near an incoming memory."""
        return NeighbourRepository(self.redis, self.spaces.serving)

    @cached_property
    def batches(self) -> BatchRepository:
        """Batches of the pipeline."""
        return BatchRepository(self.redis)

    @cached_property
    def tasks(self) -> TaskRepository:
        """Task records."""
        return TaskRepository(self.redis)

    @cached_property
    def task_records(self) -> TaskRepository:
        """Task records, for those who may see them."""
        return self.tasks

    @cached_property
    def views(self) -> ViewRepository:
        """Summary views as they are stored."""
        return ViewRepository(self.redis)

    @cached_property
    def tokens(self) -> TokenRepository:
        """Tokens, as hashes."""
        return TokenRepository(self.redis)

    @cached_property
    def authenticator(self) -> Authenticator:
        """Lets callers in. Only where authentication is on."""
        authenticator = create_authenticator(self.settings, self.tokens)
        assert authenticator is not None, "authentication is off"
        return authenticator

    @cached_property
    def outbox(self) -> Outbox:
        """Unfinished work."""
        return Outbox(self.redis, self.events)

    @cached_property
    def usage(self) -> UsageRepository:
        """Counters of model calls."""
        return UsageRepository(self.redis, keep_days=self.settings.llm_usage_days)

    @cached_property
    def events(self) -> EventRepository:
        """What happened to memories."""
        return EventRepository(self.redis, self.settings.events_kept, webhook=bool(self.settings.webhook_url))

    @cached_property
    def presence(self) -> Presence:
        """Which processes were alive lately."""
        return Presence(self.redis)

    def store_ready(self) -> None:
        """Raise BackendUnavailable unless Redis answers and both indexes exist."""
        self.outbox.ping()

    # -- providers -------------------------------------------------------------------------------------------------

    @cached_property
    def embedder(self) -> Embedder:
        """The embedding model that searches use."""
        return self.embedder_of(self.spaces.serving)

    def embedder_of(self, space: VectorSpace) -> Embedder:
        """The embedding model of a space."""
        from app.providers.embeddings import create_embedder

        if space not in self._embedders:
            self._embedders[space] = create_embedder(self.settings_of(space))
        return self._embedders[space]

    def settings_of(self, space: VectorSpace) -> Settings:
        """The settings with the model of a space in place of their own."""
        return self.settings.model_copy(
            update={
                "embedding_backend": space.backend,
                "embedding_model": space.model,
                "embedding_dimensions": space.dimensions,
                "embedding_base_url": space.base_url,
            }
        )

    @cached_property
    def reranker(self) -> Reranker | None:
        """The reranker, if one is configured."""
        from app.providers.rerank import create_reranker

        return create_reranker(self.settings)

    @cached_property
    def entity_recognizer(self) -> EntityRecognizer:
        """The entity recognizer that the settings name."""
        from app.providers.entities import SpacyEntityRecognizer

        local = SpacyEntityRecognizer(self.settings.ner_model)
        if self.settings.ner_source == "llm" and self.generator is not None:
            from app.providers.llm_enrichment import LlmEntityRecognizer

            return LlmEntityRecognizer(self.generator, local, model=self.settings.fast_model)
        return local

    @cached_property
    def topic_model(self) -> TopicModel:
        """The topic model that works on texts, where nothing is fitted."""
        from app.providers.topics import KeywordTopicModel

        local = KeywordTopicModel(self.settings.ner_model)
        if self.settings.topic_model_source == "llm" and self.generator is not None:
            from app.providers.llm_enrichment import LlmTopicModel

            return LlmTopicModel(self.generator, local, model=self.settings.fast_model)
        return local

    @cached_property
    def generator(self) -> Generator | None:
        """The language model, if one is configured."""
        if not self.settings.llm_configured:
            return None
        from app.providers.llm import OpenAIGenerator

        settings = self.settings
        limits = GateLimits(
            max_concurrency=settings.llm_max_concurrency,
            requests_per_minute=settings.llm_requests_per_minute,
            slot_seconds=settings.llm_timeout_seconds + 30.0,
            breaker_failures=settings.llm_breaker_failures,
            breaker_seconds=settings.llm_breaker_seconds,
        )
        gate = ModelGate(self.redis, settings.llm_base_url or "https://api.openai.com/v1", limits)
        return OpenAIGenerator(settings, gate=gate, ledger=self.usage)

    @cached_property
    def extractor(self) -> Extractor:
        """The extraction backend that the settings name."""
        if self.settings.resolved_extraction_backend == "llm":
            from app.memory.extraction.llm import LlmExtractor

            assert self.generator is not None, "EXTRACTION_BACKEND=llm needs OPENAI_API_KEY or OPENAI_BASE_URL"
            return LlmExtractor(self.generator, self.settings)
        from app.memory.extraction.rules import RulesExtractor

        return RulesExtractor(self.settings.ner_model)

    @cached_property
    def summarizer(self) -> Summarizer:
        """What summarizes: a language model, or extraction."""
        if self.settings.resolved_summarization_backend == "llm":
            assert self.generator is not None, "SUMMARIZATION_BACKEND=llm needs OPENAI_API_KEY or OPENAI_BASE_URL"
            return LlmSummarizer(self.generator, self.settings)
        return ExtractiveSummarizer()

    @cached_property
    def strategies(self) -> Mapping[str, ExtractionStrategy]:
        """What sessions can ask extraction for."""
        return load_strategies(self.settings.extraction_strategies)

    @cached_property
    def distiller(self) -> Distiller:
        """Extraction and grounding."""
        keep = self.settings.ungrounded_memories == "keep"
        return Distiller(self.extractor, self.strategies, keep_ungrounded=keep)

    @cached_property
    def background(self) -> Background:
        """Celery, named by path: the engine's side must not import the tasks."""
        module, _, name = BACKGROUND.partition(":")
        return cast(Background, getattr(importlib.import_module(module), name)())

    def warm_queries(self) -> None:
        """Load what the first search needs: for a web process, before it takes requests."""
        self._warm_embedders()
        _ = self.reranker  # a wrong setting should end the start, not the first search
        counting_method()

    def _warm_embedders(self) -> None:
        """While Redis is away nobody knows which model it is; then the first search loads it."""
        with suppress(BackendUnavailable):
            for space in self.spaces.all:
                self.embedder_of(space).warm()

    def warm_pipeline(self) -> None:
        """Load what the first promotion needs: for a worker's child, before it takes tasks."""
        self._warm_embedders()
        if self.settings.enable_ner or self.settings.resolved_extraction_backend == "rules":
            from app.providers.entities import SpacyEntityRecognizer

            SpacyEntityRecognizer(self.settings.ner_model).recognize(["warm"])

    # -- engine ----------------------------------------------------------------------------------------------------

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
        return EntityEnrichment(self.entity_recognizer, FacetRepository(self.redis))

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
        return TopicCatalog(TopicRepository(self.redis), FacetRepository(self.redis), self.records)

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
