"""What a record says of a memory, and what it leaves out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from app.memory.models import Memory, MemoryType, memory_hash
from app.store import codec, document, keys
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


ENRICHED = replace(
    HASHED, namespace="a b", user_id="u:1", topics=("boats", "sea"), entities=("Anna", "Oslo"), metadata={
        "entity_types": {"Anna": "PERSON", "Oslo": "GPE"},
        "topic_assignment": {"source": "keywords", "topics": ["boats", "sea"]},
        "trip": 3,
    },
)  # fmt: skip
EDITED = replace(
    ENRICHED, memory_hash=memory_hash(ENRICHED), topics=("boats",), entities=("Oslo", "Anna"),
    updated_at=NOW - timedelta(days=9), event_date=datetime(1, 1, 1, tzinfo=UTC), valid_from=NOW,
)  # fmt: skip
CLIENTS = replace(PLAIN, metadata={"entity_types": ["Anna"], "topic_assignment": {"source": 1, "topics": []}})
ANONYMOUS = replace(PLAIN, id="-", persisted_at=None, entities=("Anna",), metadata={"entity_types": {}})
MEMORIES = [PLAIN, HASHED, RICH, ENRICHED, EDITED, CLIENTS, ANONYMOUS]


def back(memory: Memory, **fields: bytes) -> Memory:
    stored = {**record_to_hash(memory, valid_from=NOW), **fields}
    row = [v if v is None or isinstance(v, bytes) else str(v).encode() for v in map(stored.get, document.FIELDS)]
    return record_from_row(keys.record(memory.scope, memory.id), row)


def doc_of(memory: Memory) -> Any:
    return codec.loads(record_to_hash(memory, valid_from=NOW)["doc"])


@pytest.mark.parametrize("memory", MEMORIES)
def test_a_memory_comes_back_as_it_was(memory):
    assert back(memory) == memory


@pytest.mark.parametrize("memory", MEMORIES)
def test_a_document_that_says_everything_as_earlier_ones_did_is_read(memory):
    accessed = repr(memory.last_accessed.timestamp()).encode()
    assert back(memory, doc=codec.dumps(codec.memory_to_json(memory)), accessed=accessed) == memory


def test_a_document_with_all_its_names_as_before_0_2_is_read():
    doc = {
        "c": round(NOW.timestamp() * 1e6), "p": 0, "t": ["boats", "sea"], "n": {"Anna": "PERSON", "Oslo": "GPE"},
        "a": "keywords", "m": {"trip": 3},
    }  # fmt: skip
    memory = replace(ENRICHED, memory_hash=memory_hash(ENRICHED))
    assert back(memory, doc=codec.dumps(doc)) == memory


@pytest.mark.parametrize("created", [datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC), datetime(1, 1, 1, tzinfo=UTC)])
def test_a_time_that_seconds_do_not_say_exactly_comes_back(created):
    memory = replace(PLAIN, created_at=created, last_accessed=NOW, updated_at=NOW, persisted_at=NOW)
    assert back(memory) == memory


@pytest.mark.parametrize("topics", [("Boats",), ("boats", "Sea"), (" sea",), ("sea", "sea"), ("São Paulo",), ("a,b",)])
def test_topics_come_back_as_they_were_written(topics):
    memory = replace(PLAIN, topics=topics)
    assert back(memory) == memory
    assert all(topic == topic.casefold() for topic in topics) or "t" in doc_of(memory)[-1]


def test_a_document_says_only_what_is_not_taken_for_granted():
    assert doc_of(HASHED) == [0]


def test_a_document_says_once_what_metadata_and_tags_repeat():
    memory = replace(ENRICHED, memory_hash=memory_hash(ENRICHED))
    assert doc_of(memory) == [0, None, {"Anna": "PERSON", "Oslo": "GPE"}, 1, {"m": {"trip": 3}}]
    assert "m" in doc_of(CLIENTS)[-1]


def test_a_record_leaves_out_what_goes_without_saying():
    fields = record_to_hash(HASHED, valid_from=NOW)
    assert not {"count", "all", "from", "id", "accessed", "sess", "type", "strat"} & fields.keys()
    shown = replace(RICH, last_accessed=NOW + timedelta(days=1))
    later = record_to_hash(shown, valid_from=NOW - timedelta(days=1))
    assert {"count", "from", "accessed", "sess", "type", "strat"} <= later.keys()


def test_a_turn_is_stored_with_its_own_words_and_those_of_its_context_apart():
    turn = replace(PLAIN, text="Nate: Yes, twice!", memory_type=MemoryType.MESSAGE, previous="Ann: Been to Oslo?")
    fields = record_to_hash(turn, valid_from=NOW)
    assert (fields["own"], fields["all"]) == ("nate yes twice", "4 may 2026 been oslo")


EVENT = {"kind": "created", "reason": "nothing like it was known", "actor": "client", "at": NOW, "ids": ["m"]}


@pytest.mark.parametrize(
    "event",
    [EVENT, EVENT | {"reason": "new", "by": "n"}, EVENT | {"by": "n"}, EVENT | {"quiet": True}, {"kind": "x"}],
    ids=["created", "by", "created by", "more", "less"],
)
def test_an_event_comes_back_as_it_was(event):
    stored = codec.event_to_json(event)
    assert codec.event_from_json(stored) == codec.loads(codec.dumps(event))
    assert codec.event_from_json(codec.dumps(event)) == codec.loads(codec.dumps(event))
    assert len(stored) <= len(codec.dumps(event))


def test_the_most_frequent_event_is_short():
    assert len(codec.event_to_json(EVENT)) < len(codec.dumps(EVENT)) * 0.4


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
