"""The context of turns on a real Redis: whatever the batches, whatever happens to the neighbours afterwards."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from app.config import Settings
from app.container import Container
from app.evaluation.command import compare
from app.memory.context import in_order_of_arrival
from app.memory.errors import BackendUnavailable, InvalidRequest
from app.memory.filters import MemoryFilter, TagFilter
from app.memory.models import Memory, MemoryType, Scope, utc_now
from app.memory.search import SearchRequest
from migrations import runner
from tests.support.builders import unique
from tests.support.redis_server import embedded_redis

pytestmark = pytest.mark.integration
DAY = datetime(2023, 5, 8, 13, 56, tzinfo=UTC)
LINES = (
    "How was Oslo?",
    "Cold, but lovely.",
    "Did you see the opera?",
    "From outside only.",
    "And the fjord?",
    "Twice!",
)


class HashEmbedder:
    """Vectors that depend on the text alone."""

    model_id = "hash"
    dimensions = 384

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        seeds = [int.from_bytes(hashlib.blake2b(t.encode(), digest_size=8).digest()) for t in texts]
        vectors = np.array([np.random.default_rng(seed).normal(size=384) for seed in seeds], np.float32).reshape(
            -1, 384
        )
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class NoBackground:
    def process(self, _ref) -> None:
        """Nothing runs behind these tests."""


@pytest.fixture(scope="module")
def engine() -> Iterator[Container]:
    with embedded_redis() as server:
        settings = Settings(redis_url=server.url, enable_ner=False, enable_topic_extraction=False)
        container = Container(settings)
        container.__dict__ |= {"embedder": HashEmbedder(), "background": NoBackground()}
        runner.up(container.redis, settings, lambda _line: None)
        yield container


def a_talk(namespace: str, lines: Sequence[str] = LINES, *, minutes_apart: int = 0) -> list[Memory]:
    when = [DAY + timedelta(minutes=minutes_apart * i) for i in range(len(lines))]
    return [
        Memory(id=f"t{i}", text=f"{'Ann' if i % 2 == 0 else 'Nate'}: {line}", memory_type=MemoryType.EPISODIC,
               namespace=namespace, session_id="s", created_at=when[i], event_date=when[i])
        for i, line in enumerate(lines)
    ]  # fmt: skip


def stored(engine: Container, namespace: str, ids: Sequence[str]) -> dict[str, tuple[str | None, bytes]]:
    """Per id the context it is indexed with, and its vector as the record has it."""
    rows = engine.records.read_with_vectors([(Scope(namespace), i) for i in ids])
    return {row[0].id: (row[0].previous, engine.spaces.serving.to_bytes(row[2])) for row in rows if row is not None}


def expected(engine: Container, talk: Sequence[Memory]) -> dict[str, tuple[str | None, bytes]]:
    chained = [
        replace(m, previous=before.text if before else None) for before, m in zip((None, *talk), talk, strict=False)
    ]
    in_record = engine.spaces.serving.to_bytes
    return {m.id: (m.previous, in_record(v)) for m, v in zip(chained, engine.context.embed(chained), strict=True)}


@pytest.mark.parametrize("size", [1, 2, 4, 6])
@pytest.mark.parametrize("minutes_apart", [0, 1])
def test_the_context_does_not_depend_on_batches(engine, size, minutes_apart):
    namespace = unique("ns")
    talk = a_talk(namespace, minutes_apart=minutes_apart)
    for start in range(0, len(talk), size):
        engine.long_term_memory.create(talk[start : start + size], deduplicate=False)
    assert stored(engine, namespace, [m.id for m in talk]) == expected(engine, talk)


def test_batches_that_are_indexed_late_or_at_once_end_with_the_same_context(engine):
    for seed in range(6):
        namespace = unique("ns")
        talk = a_talk(namespace)
        now = utc_now()
        arrived = [replace(m, persisted_at=now + timedelta(milliseconds=i)) for i, m in enumerate(talk)]
        batches = [arrived[i : i + 2] for i in (0, 2, 4)]
        random.Random(seed).shuffle(batches)

        def index(batch: list[Memory]) -> None:
            completed = engine.context.complete(batch)
            vectors = engine.context.embed(completed)
            engine.consolidation.store(completed, vectors, deduplicate=False, actor="client")
            engine.context.settle(completed)

        if seed % 2:
            with ThreadPoolExecutor(3) as pool:
                list(pool.map(index, batches))
        else:
            for batch in batches:
                index(batch)
        assert stored(engine, namespace, [m.id for m in talk]) == expected(engine, talk), seed


def test_creating_a_turn_again_keeps_its_place(engine):
    namespace = unique("ns")
    talk = a_talk(namespace)
    engine.long_term_memory.create(talk, deduplicate=False)
    changed = replace(talk[2], text="Ann: Did you see the palace?")
    engine.long_term_memory.create([changed], deduplicate=False)
    assert stored(engine, namespace, [m.id for m in talk]) == expected(engine, [*talk[:2], changed, *talk[3:]])


def test_a_deleted_turn_leaves_nothing_in_its_neighbours(engine):
    namespace = unique("ns")
    talk = a_talk(namespace)
    engine.long_term_memory.create(talk, deduplicate=False)
    engine.long_term_memory.delete(["t2", "t3"], namespace=namespace)
    left = [m for m in talk if m.id not in ("t2", "t3")]
    assert stored(engine, namespace, [m.id for m in talk]) == expected(engine, left)
    in_namespace = MemoryFilter().also("namespace", TagFilter(eq=namespace))
    assert not engine.search.search(SearchRequest("opera", "keyword", condition=in_namespace)).memories
    for key in engine.redis.scan_iter(f"ltm:*{namespace.replace('-', '_2D')}*"):
        assert b"opera" not in b"".join(itertools.chain(*engine.redis.hgetall(key).items()))


def test_a_changed_turn_is_changed_in_the_context_of_the_next_one(engine):
    namespace = unique("ns")
    talk = a_talk(namespace)
    engine.long_term_memory.create(talk, deduplicate=False)
    engine.long_term_memory.update("t2", {"text": "Ann: Did you see the palace?"}, namespace=namespace)
    now = [*talk[:2], replace(talk[2], text="Ann: Did you see the palace?"), *talk[3:]]
    assert stored(engine, namespace, [m.id for m in talk]) == expected(engine, now)
    engine.long_term_memory.update("t4", {"session_id": "another"}, namespace=namespace)
    moved = expected(engine, [m for m in now if m.id != "t4"]) | expected(engine, [now[4]])
    assert stored(engine, namespace, [m.id for m in talk]) == moved


def test_a_turn_is_found_by_the_question_before_it_and_shown_bare(engine):
    namespace = unique("ns")
    talk = a_talk(namespace)
    engine.long_term_memory.create(talk, deduplicate=False)
    in_namespace = MemoryFilter().also("namespace", TagFilter(eq=namespace))
    found = engine.search.search(SearchRequest("opera", "keyword", condition=in_namespace)).memories
    assert [f.memory.text for f in found] == ["Ann: Did you see the opera?", "Nate: From outside only."]


def test_facts_of_one_session_share_no_context(engine):
    namespace = unique("ns")
    facts = [Memory(id=f"f{i}", text=text, namespace=namespace, session_id="s") for i, text in enumerate(LINES)]
    engine.long_term_memory.create(facts, deduplicate=False)
    assert {context for context, _vector in stored(engine, namespace, [m.id for m in facts]).values()} == {None}


def test_the_order_of_arrival_is_a_microsecond_apart():
    now = utc_now()
    given = [Memory(id=str(i), text="x", persisted_at=now) for i in range(3)]
    assert [m.persisted_at - now for m in in_order_of_arrival(given)] == [timedelta(microseconds=i) for i in range(3)]


def test_a_search_with_the_exact_text_of_a_turn_finds_it_first_in_every_mode(engine):
    namespace = unique("ns")
    talk = a_talk(namespace)
    engine.long_term_memory.create(talk, deduplicate=False)
    in_namespace = MemoryFilter().also("namespace", TagFilter(eq=namespace))
    for memory, mode in itertools.product(talk, ("semantic", "keyword", "hybrid")):
        found = engine.search.search(SearchRequest(memory.text, mode, condition=in_namespace)).memories
        assert found[0].memory.text == memory.text, mode


def test_a_small_tenants_name_does_not_count_as_a_word_and_every_word_of_a_memory_does(engine):
    """The search module counts tags as words, and beside a union it forgets words (docs/retrieval.md)."""
    crowd = unique("crowd")
    filler = [Memory(id=f"x{i}", text=f"nothing of interest {i}", namespace=crowd) for i in range(200)]
    vectors = HashEmbedder().embed([m.text for m in filler])
    engine.consolidation.store(filler, vectors, deduplicate=False, actor="client")
    namespace = unique("small")
    texts = [
        "red apples",
        "red apples and green pears in a very long sentence about the fruit of the autumn market",
        "red",
    ]
    memories = [Memory(id=f"m{i}", text=text, namespace=namespace) for i, text in enumerate(texts)]
    engine.consolidation.store(memories, HashEmbedder().embed(texts), deduplicate=False, actor="client")
    hits, total = engine.records.candidates(
        MemoryFilter().also("namespace", TagFilter(eq=namespace)), vector=None, text="red apples green pears", k=10
    )
    scores = {key.rpartition(b":")[2].decode(): bm25 for key, bm25 in zip(hits.keys, hits.bm25, strict=True)}
    assert total == 3
    assert scores["m1"] > scores["m0"] > scores["m2"]
    # Two words against one, and nothing else: the tag would add the same large amount to both.
    assert scores["m0"] / scores["m2"] > 1.5


class Reverse:
    """A reranker that likes the shortest texts; or none at all."""

    model_id = "reverse"
    fails = False

    def score(self, _query: str, texts: Sequence[str]) -> list[float]:
        if self.fails:
            raise BackendUnavailable("away")
        return [-float(len(text)) for text in texts]


def test_a_reranker_orders_the_first_hits_and_its_failure_only_costs_its_opinion(engine, monkeypatch):
    namespace = unique("ns")
    facts = [Memory(id=f"f{i}", text="tea " * (i + 1), namespace=namespace) for i in range(6)]
    engine.long_term_memory.create(facts, deduplicate=False)
    in_namespace = MemoryFilter().also("namespace", TagFilter(eq=namespace))
    request = SearchRequest("tea", "keyword", condition=in_namespace)
    plain = [f.memory.id for f in engine.search.search(request).memories]
    reverse = Reverse()
    monkeypatch.setattr(engine.search, "_reranker", reverse)
    pages = [
        engine.search.search(SearchRequest("tea", "keyword", condition=in_namespace, limit=4, offset=offset))
        for offset in (0, 4)
    ]
    assert [f.memory.id for page in pages for f in page.memories] == [f"f{i}" for i in range(6)]
    assert pages[1].next_offset is None
    reverse.fails = True
    assert [f.memory.id for f in engine.search.search(request).memories] == plain


def test_eval_compares_two_configurations_on_a_tenants_own_memories_and_changes_nothing(engine, tmp_path):
    namespace = unique("ns")
    things = ["apples", "pears", "violins", "boats", "chairs", "lamps", "maps", "coins", "stamps", "kites"]
    facts = [
        Memory(id=f"f{i}", text=f"Anna bought {thing} for {i} coins in Oslo, then {thing} again", namespace=namespace)
        for i, thing in enumerate(things * 3)
    ]
    engine.long_term_memory.create(facts[:20], deduplicate=False)
    engine.long_term_memory.create(facts[20:], deduplicate=False)
    before = {f.memory.id: f.memory for f in engine.search.search(_listing(namespace)).memories}
    report = compare(
        engine, namespace=namespace, user_id=None, dataset=None, queries=24, conversations=0,
        configurations=("mode=keyword", "mode=semantic"),
    )  # fmt: skip
    # The vectors are noise: words must win, and by far.
    assert report.verdict.better == "mode=keyword"
    assert report.as_json()["configurations"][0]["all"]["any@10"] > 0.9
    assert "mode=keyword is better" in report.as_text()
    assert {f.memory.id: f.memory for f in engine.search.search(_listing(namespace)).memories} == before
    with pytest.raises(InvalidRequest):
        compare(
            engine, namespace=unique("empty"), user_id=None, dataset=None, queries=5, conversations=0,
            configurations=("", ""),
        )  # fmt: skip


def test_eval_stores_a_data_set_for_as_long_as_it_runs(engine, tmp_path):
    turns = [{"id": m.id, "speaker": m.text.split(":")[0], "text": m.text.split(": ")[1]} for m in a_talk("x")]
    path = tmp_path / "data.json"
    path.write_text(
        json.dumps(
            [{
                "id": "c", "sessions": [{"session": 1, "date": "1:56 pm on 8 May, 2023", "turns": turns}],
                "questions": [{"question": "Was the opera seen?", "category": "single-hop", "evidence": ["t3"]}],
            }]
        )
    )  # fmt: skip
    everything = _keys(engine)
    report = compare(
        engine, namespace=None, user_id=None, dataset=path, queries=0, conversations=0,
        configurations=("mode=hybrid", "mode=keyword"),
    )  # fmt: skip
    assert report.outcomes[1].summary()["any@10"] == 1.0
    assert _keys(engine) == everything


def _keys(engine: Container) -> tuple[set[bytes], set[bytes]]:
    """All keys but the cached vectors of queries, and the known tenants."""
    names = {name for name in engine.redis.scan_iter(count=1_000) if not name.startswith(b"query-embeddings:")}
    return names, engine.redis.smembers("namespaces")


def _listing(namespace: str) -> SearchRequest:
    return SearchRequest(condition=MemoryFilter().also("namespace", TagFilter(eq=namespace)), limit=100)
