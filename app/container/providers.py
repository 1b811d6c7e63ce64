"""The providers' part of the composition root."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from typing import cast

from app.config import Settings
from app.container.stores import Stores
from app.memory.background import Background
from app.memory.errors import BackendUnavailable
from app.memory.extraction.base import ExtractionStrategy, Extractor
from app.memory.extraction.distiller import Distiller
from app.memory.extraction.registry import load_strategies
from app.memory.summarization.summarizers import ExtractiveSummarizer, LlmSummarizer, Summarizer
from app.providers.interfaces import Embedder, EntityRecognizer, Generator, Reranker, TopicModel
from app.providers.tokens import counting_method
from app.store.model_gate import GateLimits, ModelGate
from app.store.vectors import VectorSpace

BACKGROUND = "tasks.background:CeleryBackground"


class Providers(Stores):
    """Models, endpoints and the background, each loaded on first use."""

    _embedders: dict[VectorSpace, Embedder]

    @cached_property
    def embedder(self) -> Embedder:
        """The embedding model that searches use."""
        return self.embedder_of(self.spaces.serving)

    def embedder_of(self, space: VectorSpace) -> Embedder:
        """The embedding model of a space, for all threads of the process."""
        from app.providers.embeddings import AT_ONCE, create_embedder
        from app.providers.gathering import GatheringEmbedder

        if space not in self._embedders:
            settings = self.settings_of(space)
            embedder = create_embedder(settings)
            self._embedders[space] = GatheringEmbedder(embedder, at_once=AT_ONCE[settings.embedding_backend])
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
