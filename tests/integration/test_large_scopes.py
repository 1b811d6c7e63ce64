"""Searches in scopes with many memories: counted once, and the count is true nevertheless."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from app.container import Container
from app.memory.filters import MemoryFilter, TagFilter
from app.memory.models import Memory, Scope, utc_now
from app.memory.search import SearchRequest
from app.store import large_filters
from app.store.changes import Change
from tests.support.builders import unique
from tests.support.engine import engine_on
from tests.support.redis_server import session_redis

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with session_redis() as url:
        yield url


@pytest.fixture
def engine(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Container]:
    # Few memories are many here, and a short list of candidates is full.
    monkeypatch.setattr(large_filters, "LARGE", 5)
    monkeypatch.setattr("app.memory.search.BLOCK_EDGES", dict.fromkeys(("semantic", "keyword", "hybrid"), (4, 100)))
    with engine_on(redis_url, enable_ner=False, enable_topic_extraction=False) as made:
        yield made.container


def store(engine: Container, namespace: str, *numbers: int) -> None:
    memories = [Memory(f"m{n}", f"tea number {n}", namespace=namespace, user_id="u") for n in numbers]
    vectors = engine.embedder.embed([m.text for m in memories])
    engine.consolidation.store(memories, vectors, deduplicate=False, actor="client")


@pytest.mark.parametrize("mode", ["semantic", "hybrid"])
def test_totals_stay_true_while_others_write_and_a_change_costs_no_third_round_trip(engine, redis_url, mode):
    namespace = unique("many")
    mine = MemoryFilter().also("namespace", TagFilter(eq=namespace)).also("user_id", TagFilter(eq="u"))
    request = SearchRequest("tea", mode=mode, condition=mine, limit=3, track_access=False)
    store(engine, namespace, *range(8))
    engine.queries.embed("tea")
    engine.records.read([b"nothing"])  # Redis knows the script from here on
    sent, counts = _sent_by(engine)

    def search() -> tuple[int, int, int]:
        """The total, the round trips, and how often the matches were counted."""
        sent.clear(), counts.clear()
        found = engine.search.search(request)
        assert len(found.memories) == 3
        return found.total, len(sent), len(counts)

    # The first one also asks how many memories there are at all, which holds for minutes.
    assert [search() for _ in range(4)] == [(8, 3, 1), (8, 2, 1), (8, 2, 0), (8, 2, 0)]
    with engine_on(redis_url) as other:  # another process: it tells this one nothing
        store(other.container, namespace, 8, 9)
        assert search() == (10, 2, 1)
        assert search() == (10, 2, 0)
        scope = Scope(namespace, "u")
        other.container.changes.apply(scope, [Change(scope, "m9", history=False)], at=utc_now())
        assert search() == (9, 2, 1)
    assert search() == (9, 2, 0)


def test_other_conditions_than_one_scope_are_counted_every_time(engine):
    namespace = unique("many")
    store(engine, namespace, *range(8))
    everyone = MemoryFilter().also("namespace", TagFilter(eq=namespace))
    _sent, counts = _sent_by(engine)
    for _ in range(4):
        counts.clear()
        assert engine.search.search(SearchRequest("tea", condition=everyone, limit=3, track_access=False)).total == 8
        assert len(counts) >= 1


def _sent_by(engine: Container) -> tuple[list[Any], list[Any]]:
    """Lists that grow with what this engine sends to Redis: requests, and the counting commands in them."""
    sent: list[Any] = []
    counts: list[Any] = []
    make = engine.redis.connection_pool.connection_class

    class Watched(make):  # type: ignore[misc, valid-type]
        def pack_commands(self, commands: Any) -> Any:
            counts.extend(c for c in commands if c[0] == "FT.SEARCH" and c[3:6] == ("LIMIT", "0", "0"))
            return super().pack_commands(commands)

        def send_packed_command(self, *args: Any, **kwargs: Any) -> Any:
            sent.append(args)
            return super().send_packed_command(*args, **kwargs)

    engine.redis.connection_pool.disconnect()
    engine.redis.connection_pool.reset()
    engine.redis.connection_pool.connection_class = Watched
    engine.redis.ping()
    return sent, counts
