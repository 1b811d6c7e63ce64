"""A large create is stored part by part, each while the next one is embedded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from app.container import Container
from app.memory.errors import BackendUnavailable
from app.memory.models import Batch, BatchRef, Memory, MemoryType, Scope, utc_now
from tests.support.builders import unique
from tests.support.engine import fact

pytestmark = pytest.mark.integration
PART = 4


class InParts:
    """The real embedder, with small parts; notes what was stored when each part came."""

    texts_per_call = PART

    def __init__(self, engine: Container, scope: Scope) -> None:
        self.model = engine.embedder
        self.model_id, self.dimensions = self.model.model_id, self.model.dimensions
        self.engine, self.scope = engine, scope
        self.parts: list[list[str]] = []

    def warm(self) -> None:
        """Loaded already."""

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.parts.append(list(texts))
        return self.model.embed(texts)


@pytest.fixture
def in_parts(engine: Container, scope: Scope, monkeypatch: pytest.MonkeyPatch) -> InParts:
    embedder = InParts(engine, scope)
    monkeypatch.setattr(engine.promotion._context, "_embedder", lambda: embedder)
    return embedder


def a_batch(engine: Container, scope: Scope, *memories: Memory, deduplicate: bool = True) -> BatchRef:
    ref = BatchRef(scope.namespace, unique("create"))
    own = tuple(replace(m, namespace=scope.namespace, user_id=scope.user_id, persisted_at=utc_now()) for m in memories)
    engine.batches.save(Batch(ref, records=own, deduplicate=deduplicate))
    return ref


def ran(engine: Container, ref: BatchRef, *names: str) -> Batch:
    for name in names:
        assert getattr(engine.promotion, name)(ref) == ref
    batch = engine.batches.load(ref)
    assert batch is not None
    return batch


def texts(engine: Container, scope: Scope, ids: Sequence[str]) -> list[str | None]:
    found = engine.records.read_with_vectors([(scope, memory_id) for memory_id in ids])
    return [row and row[0].text for row in found]


def test_it_becomes_what_storing_it_in_one_piece_becomes(engine: Container, scope: Scope, in_parts: InParts):
    said = [f"Maya's plant number {n} is green" for n in range(10)]
    said[7] = said[1]  # a copy in another part
    said[9] = "Maya lives in Lisbon"
    memories = [fact(f"m{n}", text, day=n) for n, text in enumerate(said)]
    batch = ran(engine, a_batch(engine, scope, *memories), "deduplicate", "index")
    assert [len(part) for part in in_parts.parts] == [PART, PART, 1]
    assert batch.counts == {"folded": 1, "stored": 9, "memories_indexed": 9}

    ids = [m.id for m in batch.records]
    rows = engine.records.read_with_vectors([(scope, memory_id) for memory_id in ids])
    alone = in_parts.model.embed([m.text for m in batch.records])
    kept = np.frombuffer(batch.vectors, np.float32).reshape(len(ids), -1)
    np.testing.assert_allclose((kept * alone).sum(axis=1), 1, atol=1e-5)
    for row, vector in zip(rows, kept, strict=True):
        assert row is not None
        np.testing.assert_allclose(row[2], vector, atol=1e-3)  # stored with half the bytes


def test_what_a_later_part_says_changes_what_an_earlier_one_said(engine: Container, scope: Scope, in_parts: InParts):
    filler = [fact(f"f{n}", f"Maya's plant number {n} is green", day=n) for n in range(PART)]
    first, last = fact("first", "Maya lives in Lisbon"), fact("last", "Maya lives in Oslo now", day=30)
    ref = a_batch(engine, scope, first, *filler, last)
    batch = ran(engine, ref, "deduplicate", "index")
    assert len(in_parts.parts) == 2
    alone = Scope(scope.namespace, "whole")
    whole = [replace(m, namespace=alone.namespace, user_id=alone.user_id, persisted_at=utc_now())
             for m in (first, *filler, last)]  # fmt: skip
    vectors = in_parts.model.embed([m.text for m in whole])
    outcomes = engine.consolidation.store(whole, vectors, deduplicate=True, actor="client")
    statuses = [str(outcome.status) for outcome in outcomes]
    assert statuses[-1] != "stored"
    assert batch.counts == {"folded": 0, "memories_indexed": 6, **{s: statuses.count(s) for s in statuses}}


def test_a_part_that_cannot_be_stored_ends_the_step_and_a_retry_stores_all_once(
    engine: Container, scope: Scope, in_parts: InParts, monkeypatch: pytest.MonkeyPatch
):
    ids = [f"m{n}" for n in range(3 * PART)]
    ref = a_batch(engine, scope, *(fact(name, f"Maya's plant number {name} is green") for name in ids))
    store, calls = engine.consolidation.store, 0

    def second_fails(memories: Sequence[Memory], *args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise BackendUnavailable("Redis is away")
        return store(memories, *args, **kwargs)

    with monkeypatch.context() as away:
        away.setattr(engine.promotion._consolidation, "store", second_fails)
        with pytest.raises(BackendUnavailable):
            engine.promotion.index(ref)
    assert calls == 2, "what comes later is not stored before what could not be"
    assert [text is not None for text in texts(engine, scope, ids)] == [True] * PART + [False] * 2 * PART

    batch = ran(engine, ref, "index")
    assert None not in texts(engine, scope, ids)
    assert batch.counts["memories_indexed"] == len(ids)
    assert engine.verdicts.of(namespace=scope.namespace)["stored"] == len(ids)


def test_messages_get_what_was_said_before_them_across_parts(engine: Container, scope: Scope, in_parts: InParts):
    said = ["How was Oslo?", "Cold, but lovely.", "Did you see it?", "From outside.", "And the fjord?", "Twice!"]
    turns = [
        fact(f"t{n}", text, session_id="s", memory_type=MemoryType.MESSAGE, discrete_memory_extracted="t")
        for n, text in enumerate(said)
    ]
    batch = ran(engine, a_batch(engine, scope, *turns), "deduplicate", "index")
    assert len(in_parts.parts) == 2
    stored = engine.records.read_with_vectors([(scope, turn.id) for turn in turns])
    assert [row[0].previous for row in stored if row] == [m.previous for m in batch.records]
    assert batch.records[PART].previous == said[PART - 1]


def test_a_batch_that_was_embedded_before_an_upgrade_is_stored_as_it_came(
    engine: Container, scope: Scope, in_parts: InParts
):
    ref = a_batch(engine, scope, *(fact(f"m{n}", f"Maya's plant number {n} is green") for n in range(5)))
    ran(engine, ref, "embed", "deduplicate")
    asked = len(in_parts.parts)
    batch = ran(engine, ref, "index")
    assert len(in_parts.parts) == asked
    assert batch.counts["stored"] == 5
