"""What a record says of a memory, and what it leaves out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from app.memory.models import Memory, MemoryType, memory_hash
from app.store import codec
from app.store.records import record_from_row, record_to_hash
from app.store.vectors import VectorSpace

NOW = datetime(2026, 5, 4, 3, 2, 1, 987654, tzinfo=UTC)
PLAIN = Memory("m", "Anna sails", created_at=NOW, last_accessed=NOW, updated_at=NOW, persisted_at=NOW)
HASHED = replace(PLAIN, memory_hash=memory_hash(PLAIN))
RICH = Memory(
    "m", "Anna sails", MemoryType.EPISODIC, "ns", "u", "s", created_at=NOW, last_accessed=NOW,
    updated_at=NOW.replace(year=2027), event_date=NOW, persisted_at=NOW, pinned=True, access_count=3,
    topics=("boats",), entities=("Anna",), extracted_from=("x",), memory_hash="h", discrete_memory_extracted="f",
    extraction_strategy="custom", extraction_strategy_config={"a": 1}, metadata={"b": [2]}, valid_from=NOW,
    valid_to=NOW, superseded_by="n", aliases=("o",), previous="Hi", topic_aliases=("ships",), map_position=(0.5, 1.0),
)  # fmt: skip


def row(memory: Memory, doc: bytes | None = None) -> list[bytes]:
    fields = record_to_hash(memory, valid_from=NOW)
    fields["doc"] = doc or fields["doc"]
    return [
        v if isinstance(v, bytes) else str(v).encode() for v in map(fields.get, ("text", "doc", "accessed", "count"))
    ]


@pytest.mark.parametrize("memory", [PLAIN, HASHED, RICH])
def test_a_memory_comes_back_as_it_was(memory):
    assert record_from_row(row(memory)) == memory


@pytest.mark.parametrize("memory", [PLAIN, HASHED, RICH])
def test_a_document_that_says_everything_as_earlier_ones_did_is_read(memory):
    assert record_from_row(row(memory, codec.dumps(codec.memory_to_json(memory)))) == memory


def test_a_document_says_only_what_is_not_taken_for_granted():
    said = codec.loads(record_to_hash(HASHED, valid_from=NOW)["doc"])
    assert set(said) == {"id", "memory_type", "created_at", "persisted_at"}


@pytest.mark.parametrize(("precision", "size"), [("float32", 4), ("float16", 2)])
def test_a_vector_keeps_its_direction_in_either_precision(precision, size):
    space = VectorSpace(precision=precision)
    vector = np.random.default_rng(1).normal(size=384).astype(np.float32)
    vector /= np.linalg.norm(vector)
    raw = space.to_bytes(vector)
    back = space.from_bytes(raw)
    assert len(raw) == 384 * size
    assert back.dtype == np.float32
    assert float(vector @ back) == pytest.approx(1.0, abs=1e-4)
    assert space.from_bytes(None).shape == (0,)
