"""The life of topics on a real store, with a fit that is a few lines of numpy instead of BERTopic's minute.

What BERTopic finds is measured in tests/quality; here it is what becomes of it: versions, names, filters, backfill.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from app.api.application import build
from app.cli import main
from app.config import Settings
from app.container import Container
from app.memory.dedup.plan import put_change
from app.memory.errors import InvalidRequest, ModelFailure
from app.memory.filters import MemoryFilter, TagFilter, TimeFilter
from app.memory.lifecycle import scope_filter
from app.memory.models import Memory, TaskRecord, utc_now
from app.memory.topics.assignment import with_labels
from app.memory.topics.values import SHARED, Corpus, CorpusSample, FoundTopics, Source
from app.store.client import connect
from app.store.topics import TopicRepository
from migrations import runner
from tests.support.builders import unique
from tests.support.redis_server import embedded_redis
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration
DIM = 384
LEAST = 20


@dataclass
class Fit:
    """Finds the planted directions; its phrases can be changed from fit to fit. Answers per tenant and direction."""

    words: list[str] = field(default_factory=lambda: ["cooking", "travel", "music"])
    directions: list[int] = field(default_factory=lambda: [0, 1, 2])
    samples: list[CorpusSample] = field(default_factory=list)
    error: Exception | None = None

    def __call__(self, sample: CorpusSample, alive: Callable[[], object]) -> FoundTopics:
        alive()
        self.samples.append(sample)
        if self.error:
            raise self.error
        centroids = np.eye(DIM, dtype=np.float32)[self.directions]
        nothing = np.full(len(sample.texts), -1)
        labels = (sample.vectors @ centroids.T).argmax(axis=1) if self.directions else nothing
        tenants = range(len(sample.tenants))
        own = {
            t: sorted(
                {int(topic) for topic, of in zip(labels, sample.tenant_of, strict=True) if of == t and topic >= 0}
            )
            for t in tenants
        }
        phrases = {t: {n: [f"{self.words[n]} {sample.tenants[t]}".lower()] for n in own[t]} for t in tenants}
        count = len(centroids)
        projection = np.zeros((DIM + 1, 2), np.float32)
        projection[0, 0] = projection[1, 1] = 1.0
        return FoundTopics(
            centroids=centroids,
            floors=np.full(count, 0.5, np.float32),
            typical=np.full(count, 0.9, np.float32),
            projection=projection,
            phrases=phrases,
            sizes={t: dict.fromkeys(own[t], 1) for t in tenants},
            examples={t: {n: [0] for n in own[t]} for t in tenants},
            layout=np.zeros((len(labels), 2), np.float32),
            files={"topics.json": b"{}"},
        )


@dataclass
class Inline:
    """Runs a refit when it is asked for, in place of a worker."""

    engine: Container
    started: list[tuple[Corpus, bool]] = field(default_factory=list)

    def refit_topics(self, corpus: Corpus, task_id: str, *, fit: bool) -> None:
        self.started.append((corpus, fit))
        self.engine.topic_refit.run(corpus, task_id, fit=fit)


class Words:
    """Takes the last word of a text for its topic."""

    model_id = "words"

    def assign(self, texts: Sequence[str], *, top_k: int) -> list[list[str]]:
        return [text.split()[-1:] for text in texts]


class World:
    """An engine whose fits are fake, and a way to plant memories in it."""

    def __init__(self, engine: Container, fit: Fit, background: Inline) -> None:
        self.engine, self.fit, self.background = engine, fit, background
        self.repository = TopicRepository(engine.redis)

    def change(self, **settings: object) -> None:
        """Go on with other settings."""
        self.engine.settings = self.engine.settings.model_copy(update=settings)
        self.engine.__dict__.pop("topic_refit", None)

    def plant(self, namespace: str | None, count: int, *, prefix: str = "m", direction: int | None = None) -> None:
        """Store memories that have keywords, as enrichment leaves them: the n-th points in direction n mod 3."""
        memories, vectors = [], []
        for number in range(count):
            memory = Memory(f"{prefix}{number}", f"text {prefix}{number}", namespace=namespace, user_id="u")
            memories.append(with_labels(memory, [f"keyword {number}"], source=Source.KEYWORDS))
            vectors.append(pointing(number % 3 if direction is None else direction, number))
        self.engine.consolidation.store(memories, np.array(vectors), deduplicate=False, actor="client")

    def refit(self, namespace: str | None) -> TaskRecord:
        (started,) = self.engine.topic_refit.start(namespace)
        task = self.engine.tasks.get(started.id)
        assert task is not None
        return task

    def memories(self, namespace: str | None) -> list[Memory]:
        return [m for m in self.engine.records.read(self.repository.keys_of(namespace)) if m is not None]

    def topics(self, namespace: str | None) -> set[tuple[str, ...]]:
        return {m.topics for m in self.memories(namespace)}

    def found(self, namespace: str, **topics: str | tuple[str, ...]) -> int:
        condition = scope_filter(namespace, None).also("topics", TagFilter(**topics))  # type: ignore[arg-type]
        return self.engine.records.count(condition)


def pointing(direction: int, seed: int = 0, spread: float = 0.3) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=DIM) * spread / np.sqrt(DIM)
    vector[direction] += 1.0
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with embedded_redis() as server:
        assert server.url is not None
        yield server.url


@pytest.fixture
def world(redis_url: str) -> World:
    settings = Settings(redis_url=redis_url, topic_min_memories=LEAST, top_k_topics=3)
    client = connect(settings)
    client.flushall()
    runner.up(client, settings, lambda _line: None)
    engine, fit = Container(settings), Fit()
    background = Inline(engine)
    engine.background = background  # type: ignore[assignment]
    engine.__dict__["topic_fit"] = fit
    return World(engine, fit, background)


def test_a_fit_replaces_keywords_and_leaves_what_clients_gave(world: World) -> None:
    world.plant("ns", 30)
    mine = Memory("mine", "text", namespace="ns", topics=("Chess",))
    world.engine.consolidation.store([mine], np.array([pointing(0)]), deduplicate=False, actor="client")
    task = world.refit("ns")
    assert task.status == "success", task
    assert task.details["memories_done"] == task.details["memories_total"] == 31
    assert world.topics("ns") == {("cooking ns",), ("travel ns",), ("music ns",), ("Chess", "cooking ns")}
    assert all(m.map_position is not None for m in world.memories("ns"))
    assert {m.metadata["topic_assignment"]["source"] for m in world.memories("ns")} == {"bertopic"}


def test_filters_find_fitted_topics_in_any_case_and_by_id(world: World) -> None:
    world.plant("ns", 30)
    world.refit("ns")
    assert world.found("ns", eq="Cooking NS") == 10
    assert world.found("ns", eq="topic-1") == 10
    assert world.found("ns", any=("cooking ns", "MUSIC ns")) == 20
    assert world.found("ns", all=("cooking ns", "music ns")) == 0
    assert world.found("ns", ne="cooking ns") == 20
    assert world.found("ns", none=("cooking ns", "topic-2")) == 10
    assert world.found("ns", startswith="cook") == 10


def test_an_old_label_keeps_finding_its_memories_after_it_was_renamed(world: World) -> None:
    world.plant("ns", 30)
    world.refit("ns")
    world.fit.words = ["kitchen", "travel", "music"]
    world.refit("ns")
    assert ("kitchen ns",) in world.topics("ns")
    assert world.found("ns", eq="cooking ns") == world.found("ns", eq="kitchen ns") == 10
    assert world.found("ns", ne="cooking ns") == 20
    tenant = world.repository.tenant("ns")
    assert tenant is not None
    assert next((t.id, t.label) for t in tenant.topics) == ("topic-1", "kitchen ns")


def test_during_a_refit_no_memory_is_without_its_old_or_new_topics(world: World) -> None:
    world.plant("ns", 600)
    world.refit("ns")
    world.fit.words = ["kitchen", "trips", "songs"]
    problems: list[str] = []
    looks = 0
    done = threading.Event()

    def look() -> None:
        nonlocal looks
        while not done.is_set():
            empty = [m.id for m in world.memories("ns") if not m.topics]
            if empty:
                problems.append(f"without topics: {empty[:3]}")
            for old in ("cooking ns", "travel ns", "music ns"):
                if (count := world.found("ns", eq=old)) != 200:
                    problems.append(f"{old}: {count}")
            if (count := world.found("ns")) != 600:
                problems.append(f"listed: {count}")
            looks += 1

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        task = world.refit("ns")
    finally:
        done.set()
        watcher.join()
    assert task.details["memories_changed"] == 600
    assert not problems, problems[:5]
    assert looks >= 3
    assert world.topics("ns") == {("kitchen ns",), ("trips ns",), ("songs ns",)}


def test_new_memories_get_fitted_topics_without_a_text_model_and_outliers_get_none(world: World) -> None:
    world.plant("ns", 30)
    world.refit("ns")
    vectors = np.array([pointing(1), pointing(50)])
    fresh = [Memory("a", "about journeys", namespace="ns"), Memory("b", "about nothing known", namespace="ns")]
    world.engine.topic_enrichment._by_text = pytest.fail  # type: ignore[assignment]
    travel, stranger = world.engine.topic_enrichment.assign(fresh, vectors)
    assert travel.topics == ("travel ns",)
    assert stranger.topics == ()
    assert stranger.metadata["topic_assignment"]["source"] == "bertopic"


def test_an_outlier_keeps_the_keywords_it_had_before_the_first_fit(world: World) -> None:
    world.plant("ns", 30)
    world.plant("ns", 1, prefix="odd", direction=77)
    world.refit("ns")
    odd = next(m for m in world.memories("ns") if m.id == "odd0")
    assert odd.topics == ("keyword 0",)
    assert odd.metadata["topic_assignment"]["source"] == "keywords"


def test_a_fit_that_finds_nothing_leaves_keywords_and_is_no_failure(world: World) -> None:
    world.plant("ns", 30)
    world.fit.directions = []
    task = world.refit("ns")
    assert (task.status, task.details["topics"]) == ("success", 0)
    assert ("keyword 0",) in world.topics("ns")
    world.fit.directions = [0, 1, 2]
    assert world.refit("ns").details["topics"] == 3


def test_small_tenants_share_a_fit_but_no_word(world: World) -> None:
    world.plant("acme", 12)
    world.plant("bank", 12)
    world.plant("big", 40)
    started = world.engine.topic_refit.check()
    assert {(t.details["namespace"], t.details["shared"]) for t in started} == {("big", False), (None, True)}
    assert set(world.fit.samples[-1].tenants) == {"acme", "bank"}
    for namespace in ("acme", "bank"):
        assert world.topics(namespace) == {(f"{w} {namespace}",) for w in ("cooking", "travel", "music")}
    assert world.engine.topic_refit.check() != []  # the second pass over the memories, for those that were on their way
    assert world.engine.topic_refit.check() == []


def test_a_tenant_without_a_word_for_a_shared_topic_gets_keywords(world: World) -> None:
    world.plant("acme", 20)
    world.plant("bank", 10, direction=0)
    world.change(topic_min_memories=25)
    world.engine.topic_refit.check()
    world.engine.topic_enrichment._by_text = lambda: Words()
    memory = Memory("new", "User plays the guitar", namespace="bank")
    (made,) = world.engine.topic_enrichment.assign([memory], np.array([pointing(2)]))
    assert made.metadata["topic_assignment"]["source"] == "keywords"
    assert made.topics == ("guitar",)


def test_a_tenant_that_outgrows_the_shared_fit_takes_its_ids_and_labels_along(world: World) -> None:
    world.plant("acme", 15)
    world.plant("bank", 15)
    world.engine.topic_refit.check()
    shared = world.repository.tenant("acme")
    assert shared is not None
    assert shared.corpus == SHARED
    world.plant("acme", 30, prefix="more")
    world.refit("acme")
    own = world.repository.tenant("acme")
    assert own is not None
    assert own.corpus == Corpus("acme")
    assert [(t.id, t.label) for t in own.topics] == [(t.id, t.label) for t in shared.topics]


def test_a_refit_is_due_when_a_quarter_has_changed(world: World) -> None:
    world.plant("ns", 40)
    assert [t.details["namespace"] for t in world.engine.topic_refit.check()] == ["ns"]
    world.engine.topic_refit.check()
    world.plant("ns", 9, prefix="few")
    assert world.engine.topic_refit.check() == []
    world.plant("ns", 1, prefix="last")
    assert len(world.engine.topic_refit.check()) == 1
    assert world.background.started[-1] == (Corpus("ns"), True)


def test_a_backfill_that_was_cut_short_is_finished_without_a_fit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.plant("ns", 30)
    with monkeypatch.context() as patch:
        patch.setattr(world.engine.records, "retag", lambda _changes: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            world.engine.topic_refit.check()
    assert world.engine.topic_refit.check() == []  # what has just failed rests
    world.repository.rest(Corpus("ns"), 1)
    wait_until(lambda: not world.repository.busy(Corpus("ns")), 5, "it has rested")
    assert ("keyword 0",) in world.topics("ns")
    world.engine.topic_refit.check()
    assert world.background.started[-1] == (Corpus("ns"), False)
    assert world.topics("ns") == {("cooking ns",), ("travel ns",), ("music ns",)}
    assert len(world.fit.samples) == 1


def test_a_failed_fit_is_a_failed_task_and_changes_nothing(world: World) -> None:
    world.plant("ns", 30)
    world.fit.error = ModelFailure("the fit ended with exit code 1: boom")
    task = world.refit("ns")
    assert (task.status, task.error_message) == ("failed", "the fit ended with exit code 1: boom")
    assert world.repository.tenant("ns") is None
    assert world.engine.topic_refit.check() == []
    world.fit.error = None
    assert world.refit("ns").status == "success"


def test_two_refits_of_the_same_memories_do_not_run_at_once(world: World) -> None:
    world.plant("ns", 30)
    assert world.repository.lock(Corpus("ns"), "somebody else", 60)
    task = world.refit("ns")
    assert (task.status, task.error_message) == ("failed", "another refit of these memories is running")
    assert world.engine.topic_refit.check() == []


def test_too_few_memories_or_another_source_of_topics_are_refused(world: World) -> None:
    world.plant("ns", LEAST - 1)
    with pytest.raises(InvalidRequest, match="at least 20 memories"):
        world.engine.topic_refit.start("ns")
    world.change(topic_model_source="keywords")
    with pytest.raises(InvalidRequest, match="TOPIC_MODEL_SOURCE"):
        world.engine.topic_refit.start("ns")


def test_a_memory_that_is_changed_during_the_backfill_is_looked_at_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.plant("ns", 30)
    retag = world.engine.records.retag

    def meddling(changes: list[tuple[Memory, Memory, int]]) -> list[str]:
        monkeypatch.undo()
        memory, _, revision = changes[0]
        renamed = replace(memory, text="changed meanwhile")
        change = put_change(renamed, pointing(0), expected_revision=revision)
        assert world.engine.changes.apply(renamed.scope, [change], at=utc_now()) is not None
        return retag(changes)

    monkeypatch.setattr(world.engine.records, "retag", meddling)
    world.refit("ns")
    changed = next(m for m in world.memories("ns") if m.text == "changed meanwhile")
    assert changed.topics == ("cooking ns",)
    assert world.topics("ns") == {("cooking ns",), ("travel ns",), ("music ns",)}


def test_a_sample_is_bounded_and_all_memories_get_its_topics(world: World) -> None:
    world.plant("ns", 90)
    world.change(topic_max_memories=45)
    world.refit("ns")
    assert len(world.fit.samples[0].texts) == 45
    assert len(world.topics("ns")) == 3


def test_topics_and_entities_are_counted_within_scope_and_time(world: World) -> None:
    old, new = datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
    kinds = {"entity_types": {"Priya Nair": "PERSON"}}
    memories = [
        Memory("1", "a", namespace="ns", user_id="u", created_at=old, topics=("Tea",), entities=("Priya Nair", "Rome")),
        Memory("2", "b", namespace="ns", user_id="u", created_at=new, topics=("tea", "Chess")),
        Memory("3", "c", namespace="ns", user_id="v", created_at=new, entities=("priya nair",), metadata=kinds),
        Memory("4", "d", namespace="other", user_id="u", created_at=new, topics=("Secret",), entities=("Eve",)),
    ]
    vectors = np.array([pointing(n) for n in range(4)])
    world.engine.consolidation.store(memories, vectors, deduplicate=False, actor="client")
    catalog = world.engine.topic_catalog

    def topics(condition: MemoryFilter, limit: int = 10, offset: int = 0) -> tuple[list[tuple[str, int]], int]:
        page = catalog.topics(condition, namespace="ns", limit=limit, offset=offset)
        return [(count.label.lower(), count.count) for count in page.counts], page.total

    everywhere = scope_filter("ns", None)
    assert topics(everywhere) == ([("tea", 2), ("chess", 1)], 2)
    assert topics(everywhere, limit=1, offset=1) == ([("chess", 1)], 2)
    recent = MemoryFilter(everywhere.tags, {"created_at": TimeFilter(gte=new - timedelta(days=1))})
    assert topics(recent) == ([("chess", 1), ("tea", 1)], 2)
    assert topics(scope_filter("ns", "v")) == ([], 0)
    entities = catalog.entities(everywhere, limit=10, offset=0)
    assert [(e.value.lower(), e.count) for e in entities.counts] == [("priya nair", 2), ("rome", 1)]
    assert entities.total == 2
    assert catalog.entities(scope_filter("ns", "v"), limit=10, offset=0).counts[0].kind == "PERSON"


def test_the_routes_show_a_fit_and_start_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.plant("ns", 30)
    monkeypatch.setattr("app.api.topics.engine", lambda: world.engine)
    client = build(world.engine.settings).test_client()
    started = client.post("/v1/topics/refit", json={"namespace": "ns"})
    assert started.status_code == 200, started.text
    (task,) = started.json["tasks"]
    assert (task["type"], task["namespace"], task["shared"]) == ("refit_topics", "ns", False)
    assert len(client.post("/v1/topics/refit").json["tasks"]) == 1
    shown = client.get("/v1/topics?namespace=ns").json
    assert shown["model"] == {"version": 2, "shared": False, "topics": 3}
    assert shown["total"] == 3
    assert shown["topics"][0] == {
        "topic": "cooking ns", "count": 10, "id": "topic-1", "words": ["cooking ns"], "aliases": []
    }  # fmt: skip
    assert client.get("/v1/entities?namespace=ns").json == {"entities": [], "total": 0}
    points = client.get("/v1/topics/map?namespace=ns&limit=5").json["points"]
    assert len(points) == 5
    assert all(-1 <= p["x"] <= 1 and p["source"] == "bertopic" and p["topic_id"] for p in points)


def test_the_map_shows_the_newest_memories_with_their_places_and_topics(world: World) -> None:
    world.plant("ns", 30)
    assert world.engine.topic_catalog.map(scope_filter("ns", None), namespace="ns", limit=10).points == ()
    world.refit("ns")
    found = world.engine.topic_catalog.map(scope_filter("ns", None), namespace="ns", limit=10)
    assert (len(found.points), found.total) == (10, 30)
    for point in found.points:
        x, y = point.memory.map_position or (0.0, 0.0)
        assert point.topic == ("cooking ns" if x > 0.5 else "travel ns" if y > 0.5 else "music ns")


def test_a_model_survives_in_redis_without_pickle(world: World) -> None:
    world.plant("ns", 30)
    world.refit("ns")
    world.refit("ns")
    model = world.repository.load(Corpus("ns"), 2)
    assert model is not None
    assert model.centroids.dtype == np.float32
    assert model.ids == ("topic-1", "topic-2", "topic-3")
    assert world.repository.files(Corpus("ns"), 2) == {"topics.json": b"{}"}
    assert world.repository.load(Corpus(unique("none")), 1) is None


def test_the_command_line_refits_and_exports(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    world.plant("ns", 30)
    monkeypatch.setattr("app.container.container", lambda: world.engine)
    run = CliRunner()
    refitted = run.invoke(main, ["topics", "refit", "--namespace", "ns"])
    assert refitted.exit_code == 0, refitted.output
    assert "namespace ns" in refitted.output
    assert "success" in refitted.output
    exported = run.invoke(main, ["topics", "export", str(tmp_path / "model"), "--namespace", "ns"])
    assert "version 1" in exported.output
    assert (tmp_path / "model" / "topics.json").read_bytes() == b"{}"
    refused = run.invoke(main, ["topics", "export", str(tmp_path), "--namespace", "none"])
    assert (refused.exit_code, "no fitted model" in refused.output) == (1, True)
