"""The life of a topic model: when it is due, the fit, the switch, and giving stored memories their new topics."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import structlog

from app.config import Settings
from app.memory.background import Background
from app.memory.errors import InvalidRequest, MemoryPlatformError
from app.memory.identity import new_id
from app.memory.models import Memory, TaskRecord, utc_now
from app.memory.topics import assignment
from app.memory.topics.enrichment import TopicEnrichment, fitted_topics
from app.memory.topics.naming import tenant_topics, topic_ids
from app.memory.topics.values import (
    SHARED,
    Corpus,
    CorpusSample,
    FoundTopics,
    Source,
    TenantTopics,
    TopicModelState,
)
from app.providers.interfaces import Generator
from app.store.batches import TaskRepository
from app.store.records import RecordRepository
from app.store.topics import CorpusState, TenantSize, TopicRepository

log = structlog.get_logger(__name__)
TASK_TYPE = "refit_topics"
BACKFILL_BATCH = 200
READ_BATCH = 500
UPDATE_TRIES = 5
# A refit that dies leaves its corpus locked for this long; one that lives renews the lock more often.
LOCK_SECONDS = 120
# After a failure beat leaves a corpus alone for this long; who asks for a refit gets one.
REST_SECONDS = 3600


# Finds the topics of a sample; the second argument is called now and then while it works.
FitTopics = Callable[[CorpusSample, Callable[[], object]], FoundTopics]


class TopicRefit:
    """Fits topic models in the background. Searches and filters go on: a memory has its old topics or its new ones."""

    def __init__(
        self,
        *,
        repository: TopicRepository,
        records: RecordRepository,
        tasks: TaskRepository,
        background: Background,
        enrichment: TopicEnrichment,
        fit: FitTopics,
        generator: Callable[[], Generator | None],
        settings: Settings,
    ) -> None:
        self._repository = repository
        self._records = records
        self._tasks = tasks
        self._background = background
        self._enrichment = enrichment
        self._fit = fit
        self._generator = generator
        self._settings = settings

    # -- when --------------------------------------------------------------------------------------------------------

    def start(self, namespace: str | None = None, *, everything: bool = False) -> list[TaskRecord]:
        """Start refits in the background, due or not: of one tenant, or of `everything`; their task records.

        A tenant with too few memories of its own is served by the model that such tenants share, so that one is
        fitted. Raises InvalidRequest when topics come from elsewhere, or there are too few memories for any fit.
        """
        if self._settings.topic_model_source != "bertopic":
            raise InvalidRequest(
                f"Topics come from {self._settings.topic_model_source}; set TOPIC_MODEL_SOURCE=bertopic to fit them"
            )
        sizes = self._repository.sizes()
        wanted = self._corpora(sizes)
        if not everything:
            own = Corpus(namespace)
            wanted = [own] if own in wanted else [corpus for corpus in wanted if corpus.shared]
        if not wanted:
            raise InvalidRequest(
                f"A fit needs at least {self._settings.topic_min_memories} memories (TOPIC_MIN_MEMORIES)"
            )
        return [self._start(corpus) for corpus in wanted]

    def check(self) -> list[TaskRecord]:
        """Start the refits that are due, and the backfills that were cut short. Run by beat."""
        if self._settings.topic_model_source != "bertopic":
            return []
        sizes = self._repository.sizes()
        started = []
        for corpus in self._corpora(sizes):
            if self._repository.busy(corpus):
                continue
            state = self._repository.state(corpus)
            if state is None or self._outgrown(corpus, sizes, state):
                started.append(self._start(corpus))
            elif state.pending:
                started.append(self._start(corpus, fit=False))
        return started

    def _corpora(self, sizes: Sequence[TenantSize]) -> list[Corpus]:
        """The corpora that have enough memories. Who has had a model of its own keeps it."""
        least = self._settings.topic_min_memories
        own = [Corpus(size.namespace) for size in sizes if size.count >= least]
        shared = sum(size.count for size in sizes if self._shares(size))
        return [*own, SHARED] if shared >= least else own

    def _shares(self, size: TenantSize) -> bool:
        return size.count < self._settings.topic_min_memories and size.state is None

    def _outgrown(self, corpus: Corpus, sizes: Sequence[TenantSize], state: CorpusState) -> bool:
        if state.space != self._enrichment.space:
            return True
        members = [s for s in sizes if (self._shares(s) if corpus.shared else s.namespace == corpus.namespace)]
        count = sum(size.count for size in members)
        new = sum(self._repository.count(size.namespace, since=state.fitted_at) for size in members)
        changed = max(abs(count - state.memory_count), new)
        return changed >= self._settings.topic_refit_share * max(1, state.memory_count)

    def _start(self, corpus: Corpus, *, fit: bool = True) -> TaskRecord:
        details = {"namespace": corpus.namespace, "shared": corpus.shared}
        task = TaskRecord(id=new_id(), type=TASK_TYPE, details=details)
        self._tasks.save(task)
        self._background.refit_topics(corpus, task.id, fit=fit)
        return task

    # -- how ---------------------------------------------------------------------------------------------------------

    def run(self, corpus: Corpus, task_id: str, *, fit: bool = True) -> None:
        """Fit a corpus, make the result current, give its memories their new topics. Safe to run twice.

        Without `fit`, only finish a backfill that was cut short.
        """
        token = new_id()
        if not self._repository.lock(corpus, token, LOCK_SECONDS):
            self._report(task_id, "failed", error="another refit of these memories is running")
            return
        try:
            self._run(corpus, task_id, token, fit=fit)
        except MemoryPlatformError as error:
            log.error("refit failed", namespace=corpus.namespace, shared=corpus.shared, error=str(error))
            self._failed(corpus, task_id, str(error))
        except Exception as error:
            self._failed(corpus, task_id, f"{type(error).__name__}: {error}")
            raise
        finally:
            self._repository.unlock(corpus, token)

    def _failed(self, corpus: Corpus, task_id: str, error: str) -> None:
        self._report(task_id, "failed", error=error)
        self._repository.rest(corpus, REST_SECONDS)

    def _run(self, corpus: Corpus, task_id: str, token: str, *, fit: bool) -> None:
        self._report(task_id, "running", phase="fitting" if fit else "backfill")
        sizes = self._repository.sizes()
        namespaces = (
            [size.namespace for size in sizes if self._shares(size) and size.count]
            if corpus.shared
            else [corpus.namespace]
        )
        state = self._repository.state(corpus)
        if not fit:
            served = [tenant for n in namespaces if (tenant := self._repository.tenant(n)) is not None]
            self._backfill(corpus, [tenant for tenant in served if tenant.corpus == corpus], task_id, token)
            # Whatever was on its way with topics of the version before has arrived by now.
            self._repository.settle(corpus)
            return
        keys = {namespace: self._repository.keys_of(namespace) for namespace in namespaces}
        sample, total = self._sample(keys)
        if total < self._settings.topic_min_memories:
            raise InvalidRequest(f"{total} memories are too few (TOPIC_MIN_MEMORIES)")

        def alive() -> None:
            self._repository.lock(corpus, token, LOCK_SECONDS)

        found = self._fit(sample, alive)
        tenants = self._switch(corpus, state, sample, found, total, alive)
        log.info("topics fitted", namespace=corpus.namespace, shared=corpus.shared, topics=len(found.centroids))
        self._backfill(corpus, tenants, task_id, token)

    def _sample(self, keys: dict[str | None, list[bytes]]) -> tuple[CorpusSample, int]:
        """Texts and vectors of a corpus, at most TOPIC_MAX_MEMORIES of them: the same ones every time."""
        pairs = [(place, key) for place, of_tenant in enumerate(keys.values()) for key in of_tenant]
        total = len(pairs)
        pairs.sort(key=lambda pair: (zlib.crc32(pair[1]), pair[1]))
        del pairs[self._settings.topic_max_memories :]
        texts: list[str] = []
        tenant_of: list[int] = []
        vectors: list[Any] = []
        for start in range(0, len(pairs), READ_BATCH):
            part = pairs[start : start + READ_BATCH]
            rows = self._records.read_keys_with_vectors([key for _, key in part])
            for (place, _), row in zip(part, rows, strict=True):
                if row is not None and len(row[2]):
                    texts.append(row[0].text)
                    tenant_of.append(place)
                    vectors.append(row[2])
        stacked = np.array(vectors, np.float32) if vectors else np.zeros((0, 0), np.float32)
        return CorpusSample(texts, list(keys), tenant_of, stacked), total

    def _switch(
        self,
        corpus: Corpus,
        state: CorpusState | None,
        sample: CorpusSample,
        found: FoundTopics,
        total: int,
        alive: Callable[[], None],
    ) -> list[TenantTopics]:
        """Name the topics and make them current: ids and labels go on where the topics do."""
        served = {namespace: self._repository.tenant(namespace) for namespace in sample.tenants}
        old = self._old_model(corpus, state, served)
        model = TopicModelState(
            corpus=corpus,
            version=(state.version if state else 0) + 1,
            fitted_at=utc_now(),
            memory_count=total,
            ids=topic_ids(found, old),
            centroids=found.centroids,
            floors=found.floors,
            typical=found.typical,
            projection=assignment.turned_like(old, found.projection, found.centroids),
            space=self._enrichment.space,
        )
        tenants = []
        for place, namespace in enumerate(sample.tenants):
            alive()  # naming may ask a language model
            tenants.append(
                tenant_topics(
                    place,
                    namespace,
                    model,
                    sample,
                    found,
                    old=old,
                    before=served[namespace],
                    generator=self._generator(),
                    fast_model=self._settings.fast_model,
                )
            )
        self._repository.save(model, found.files, tenants)
        return tenants

    def _old_model(
        self, corpus: Corpus, state: CorpusState | None, served: dict[str | None, TenantTopics | None]
    ) -> TopicModelState | None:
        if state is not None:
            return self._enrichment.model(corpus, state.version)
        before = None if corpus.shared else served.get(corpus.namespace)
        return self._enrichment.model(before.corpus, before.version) if before is not None else None

    # -- backfill ----------------------------------------------------------------------------------------------------

    def _backfill(self, corpus: Corpus, tenants: Sequence[TenantTopics], task_id: str, token: str) -> None:
        """Give all memories of the corpus the current topics, in batches; each memory changes in one step."""
        keys = [(tenant, self._repository.keys_of(tenant.namespace)) for tenant in tenants]
        total = sum(len(of_tenant) for _, of_tenant in keys)
        done = changed = 0
        for tenant, of_tenant in keys:
            model = self._enrichment.model(tenant.corpus, tenant.version)
            if model is None:
                continue
            for batch in _batches(of_tenant, BACKFILL_BATCH):
                changed += self._retag(model, tenant, batch)
                done += len(batch)
                self._repository.lock(corpus, token, LOCK_SECONDS)
                self._report(task_id, "running", phase="backfill", memories_done=done, memories_total=total)
        topics = len({topic.id for tenant in tenants for topic in tenant.topics})
        version = tenants[0].version if tenants else None
        self._report(
            task_id, "success", phase="done", memories_done=done, memories_total=total, memories_changed=changed,
            topics=topics, version=version,
        )  # fmt: skip

    def _retag(self, model: TopicModelState, tenant: TenantTopics, keys: Sequence[bytes]) -> int:
        """Give some memories their topics; how many changed. One that is changed meanwhile is looked at again."""
        changed = 0
        left = list(keys)
        for _ in range(UPDATE_TRIES):
            rows = [
                (key, row)
                for key, row in zip(left, self._records.read_keys_with_vectors(left), strict=True)
                if row is not None and len(row[2])
            ]
            if not rows:
                break
            vectors = np.array([row[2] for _, row in rows], np.float32)
            before = [row[0] for _, row in rows]
            made = fitted_topics(model, tenant, before, vectors, self._settings.top_k_topics)
            changes = []
            for (key, (memory, revision, _)), fitted in zip(rows, made, strict=True):
                after = _settled(memory, fitted)
                if after != memory:
                    changes.append((key, (memory, after, revision)))
            statuses = self._records.retag([change for _, change in changes])
            changed += statuses.count("stored")
            left = [key for (key, _), status in zip(changes, statuses, strict=True) if status == "conflict"]
            if not left:
                break
        return changed

    def _report(self, task_id: str, status: str, *, error: str | None = None, **details: Any) -> None:
        self._tasks.advance(task_id, status, utc_now(), error=error, details=details)


def _settled(memory: Memory, fitted: Memory | None) -> Memory:
    """What a stored memory becomes: topics that its client set stay, and keywords stay where no fitted topic holds it.

    So a memory that had topics never loses them for nothing; only a fitted topic that no longer holds it goes.
    """
    if fitted is None:
        return memory
    source = assignment.source_of(memory)
    outlier = not assignment.assigned_topics(fitted) and not assignment.first_topic_id(fitted)
    if source == Source.CLIENT or (outlier and source != Source.BERTOPIC):
        return replace(memory, map_position=fitted.map_position)
    return fitted


def _batches(keys: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]
