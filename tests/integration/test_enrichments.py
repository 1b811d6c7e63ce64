"""What small creates leave for the background is gathered: the real store, the dispatcher, no worker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.config import Settings
from app.container import Container
from app.memory import enrichment
from app.memory.filters import MemoryFilter, TagFilter
from app.memory.models import BatchRef
from migrations import runner
from tests.support.builders import unique
from tests.support.engine import NoBackground, fact
from tests.support.redis_server import session_redis

pytestmark = pytest.mark.integration


class Recorder(NoBackground):
    """A `Background` that notes which batches it was given."""

    def __init__(self) -> None:
        self.processed: list[BatchRef] = []

    def process(self, batch: BatchRef) -> None:
        self.processed.append(batch)


@pytest.fixture(scope="module")
def engine() -> Iterator[Container]:
    with session_redis() as url:
        engine = Container(Settings(redis_url=url, enable_topic_extraction=False))
        engine.__dict__["background"] = Recorder()
        runner.up(engine.redis, engine.settings, lambda _line: None)
        yield engine


def create(engine: Container, namespace: str, *texts: str) -> None:
    for text in texts:
        memory = replace(fact(unique("m"), text), namespace=namespace)
        engine.long_term_memory.create([memory], deduplicate=False)


def dispatch(engine: Container) -> list[BatchRef]:
    time.sleep(enrichment.GATHER_SECONDS + 0.05)
    engine.background.processed.clear()  # type: ignore[attr-defined]
    engine.dispatcher.run()
    return list(engine.background.processed)  # type: ignore[attr-defined]


def waiting(engine: Container, namespace: str) -> int:
    return engine.outbox.stats([namespace], time.time()).total


def test_many_creates_become_one_batch_which_enriches_them_all(engine: Container):
    namespace = unique("gather")
    texts = [f"Ada Lovelace {what} in Lisbon." for what in ("lives", "works", "studied")]
    create(engine, namespace, *texts)
    assert waiting(engine, namespace) == 3
    (ref,) = dispatch(engine)
    assert waiting(engine, namespace) == 1
    for step in ("entities", "refresh", "acknowledge"):
        getattr(engine.promotion, step)(ref)
    scope = MemoryFilter().also("namespace", TagFilter(eq=namespace))
    keys, total = engine.records.list_page(scope, offset=0, limit=10)
    assert total == 3
    for memory in engine.records.read(keys):
        assert memory is not None
        assert {"Ada Lovelace", "Lisbon"} <= set(memory.entities)
    assert waiting(engine, namespace) == 0


def test_one_that_was_tried_before_goes_alone(engine: Container):
    namespace = unique("gather")
    create(engine, namespace, "Bob lives in Oslo.")
    (failed,) = dispatch(engine)
    engine.outbox.begin(failed, time.time() + 60)
    engine.outbox.retry_at(failed, time.time())
    create(engine, namespace, "Carla lives in Lima.", "Dora lives in Cork.")
    later = dispatch(engine)
    assert len(later) == 2
    assert failed in later


def test_a_memory_that_was_written_twice_is_enriched_as_it_is_now(engine: Container):
    namespace, memory_id = unique("gather"), unique("m")
    for text in ("Emma moved to Tartu.", "Emma moved to Quito.", "Emma moved to Quito."):
        memory = replace(fact(memory_id, text), namespace=namespace)
        engine.long_term_memory.create([memory], deduplicate=False)
    (ref,) = dispatch(engine)
    for step in ("entities", "refresh", "acknowledge"):
        getattr(engine.promotion, step)(ref)
    stored = engine.long_term_memory.get(memory_id, namespace=namespace)
    assert "Quito" in stored.entities
    assert "Tartu" not in stored.entities


def test_batches_stay_below_a_size(engine: Container, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(enrichment, "MOST_MEMORIES", 2)
    namespace = unique("gather")
    create(engine, namespace, *(f"Farid paid {n} euros." for n in range(5)))
    assert len(dispatch(engine)) == 3


def test_work_whose_batch_is_gone_is_handed_on_and_not_left_for_ever(engine: Container):
    namespace = unique("gather")
    create(engine, namespace, "Farid lives in Perth.", "Gita lives in Quito.", "Hana lives in Kyoto.")
    waiting_refs = engine.outbox.claim(namespace, now=time.time() + 1, limit=9, lease_seconds=0, max_tries=9)[0]
    gone = waiting_refs[0]
    assert isinstance(gone, BatchRef)
    engine.batches.delete(gone)
    handed_on = engine.enrichments.gathered(waiting_refs)
    assert gone in handed_on
    assert len(handed_on) == 2
