"""A store as version 0.1 wrote it: what to do is said, the index is brought up to date, every record goes on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from app.container import Container
from app.memory.errors import BackendUnavailable
from app.memory.filters import MemoryFilter, TagFilter, TimeFilter
from app.memory.models import Memory, MemoryType, Scope
from app.memory.search import SearchRequest
from app.store import index, keys
from app.store.index import IndexSchema
from migrations import runner
from tests.support.engine import engine_at, fact
from tests.support.redis_server import embedded_redis

pytestmark = pytest.mark.integration
SCOPE = Scope("ns", "u")
SAID = 1795661941.641519
NOW = datetime(2026, 12, 1, 12, 30, tzinfo=UTC)
TEXT = "Farid moved from Lima to Accra in 1997 because of a new job with a company for chess"
# A record and the entry of the change log as they were written, but for the names of tenant and user.
RECORD: dict[str, Any] = {
    "fp": "7e1f6213c267ef07f4d8eaca", "rev": "3", "put": "1795661950.280774", "id": "m_2Dold", "ns": "ns", "user": "u",
    "sess": "-", "type": "semantic", "strat": "discrete", "text": TEXT, "created": "1795661941.641519",
    "own": "farid move from lima accra 1997 becaus new job compani chess",
    "all": "farid move from lima accra 1997 becaus new job compani chess",
    "cues": "1795661941.641519\x1f\x1f\x1ffarid,lima,job,company,chess\x1f5096f7b0",
    "doc": '{"id":"m-old","memory_type":"semantic","namespace":"ns","user_id":"u",'
    '"created_at":"2026-11-26T02:59:01.641519Z","updated_at":"2026-11-26T02:59:01.642407Z",'
    '"persisted_at":"2026-11-26T02:59:01.642462Z","topics":["job","company","chess"],"entities":["Farid","Lima"],'
    '"metadata":{"entity_types":{"Farid":"PERSON","Lima":"GPE"},"topic_assignment":{"source":"keywords","topics":'
    '["job","company","chess"]}}}',
    "from": "1795661941.641519", "slot": "c7536cd8896ebe81", "topics": "job,company,chess", "ents": "farid,lima",
    "accessed": "1795661941.641519", "count": "0",
}  # fmt: skip
LOG = (
    b'\0\0\0\x011\0\0\0\x7c{"kind":"created","reason":"nothing like it was known","actor":"client",'
    b'"at":"2026-11-26T02:59:02.200766Z","ids":["m-old"]}'
)
# The same as it was written after migration 3, before records left out more.
NAMED: dict[str, Any] = {
    "mark": RECORD["fp"], "rev": "3", "put": RECORD["put"], "idn": keys.number("m-old"), "ns": "ns", "user": "u",
    "sess": "-", "type": "semantic", "strat": "discrete", "text": TEXT, "created": RECORD["created"],
    "own": RECORD["own"], "cues": RECORD["cues"],
    "doc": '{"c":1795661941641519,"p":943,"u":888,"t":["job","company","chess"],"n":{"Farid":"PERSON","Lima":"GPE"},'
    '"a":"keywords"}', "topics": RECORD["topics"], "ents": RECORD["ents"],
    "slotn": keys.number(RECORD["slot"]), "markn": keys.number(RECORD["fp"]), "accessed": RECORD["accessed"],
}  # fmt: skip
# Fields that the index got with migration 3.
SINCE = ("idn", "markn", "slotn")


@contextmanager
def store_of(record: dict[str, Any], *, lacking: Sequence[str], applied: Sequence[str]) -> Iterator[Container]:
    """An engine on an earlier store with one memory, whose index cannot tell which records lack a field."""
    with embedded_redis() as server:
        engine = engine_at(server.url)
        client, space = engine.redis, engine.spaces.serving
        schema = index.memories_schema(1, [space]).to_dict()
        schema["fields"] = [field for field in schema["fields"] if field["name"] not in lacking]
        for field in schema["fields"]:
            field["attrs"].pop("index_missing", None)
            if field["name"] == "own" and lacking:
                field["attrs"]["weight"] = 1
        for alias, old in ((index.MEMORIES, IndexSchema.from_dict(schema)), (index.SESSIONS, index.sessions_schema(1))):
            index.point_alias(client, alias, index.build(client, old))
        client.hset("migrations", mapping=dict.fromkeys(applied, "1.0"))
        engine.space_repository.note(space.precision)
        vector = space.to_bytes(engine.embedder.embed([TEXT])[0])
        client.hset(keys.record(SCOPE, "m-old"), mapping={**record, space.field: vector})
        client.hset(keys.fingerprints(SCOPE), RECORD["fp"], "m_2Dold")
        client.rpush(keys.change_log(SCOPE), LOG)
        client.set(keys.scope_version(SCOPE), 3)
        client.sadd(keys.NAMESPACES, "ns")
        yield engine


@pytest.fixture
def earlier() -> Iterator[Container]:
    """An engine on a store of version 0.1 with one memory."""
    with store_of(RECORD, lacking=SINCE, applied="12") as engine:
        yield engine


def found(engine: Container, text: str, mode: Any) -> list[str]:
    hits = engine.search.search(SearchRequest(text, mode=mode)).memories
    return [hit.memory.id for hit in hits]


def create(engine: Container, memory: Memory) -> str:
    return str(engine.long_term_memory.create([memory], deduplicate=True).results[0].status)


def test_a_store_of_the_version_before_goes_on_after_its_migration(earlier):
    client = earlier.redis
    with pytest.raises(BackendUnavailable, match=r"without idn, markn, missing.*slotn.*agent-memory migrate"):
        earlier.store_ready()
    assert runner.up(client, earlier.settings, lambda _line: None) == 2
    earlier.store_ready()
    assert index.describe(client, index.MEMORIES).name == "ltm-v2"

    long_term = earlier.long_term_memory
    old = long_term.get("m-old")
    assert (old.text, old.topics, old.entities) == (TEXT, ("job", "company", "chess"), ("Farid", "Lima"))
    assert old.metadata["topic_assignment"] == {"source": "keywords", "topics": ["job", "company", "chess"]}
    assert old.created_at == datetime.fromtimestamp(SAID, UTC)
    assert long_term.get("m-old", namespace="ns", user_id="u") == old
    assert found(earlier, "chess", "keyword") == found(earlier, "who plays chess?", "semantic") == ["m-old"]
    assert found(earlier, '"new job"', "keyword") == ["m-old"]

    # Stored again it takes today's form; what it was comes back as it was written.
    later = old.created_at + timedelta(days=1)
    assert create(earlier, fact("m-old", TEXT, created_at=later, last_accessed=later)) == "replaced"
    record = client.hgetall(keys.record(SCOPE, "m-old"))
    assert record[b"mark"] == RECORD["fp"].encode()
    assert not {b"fp", b"id", b"all", b"from", b"slot"} & record.keys()
    assert client.hgetall(keys.fingerprints(SCOPE)) == {RECORD["fp"].encode(): b"m_2Dold"}
    earlier.history.restore("m-old", namespace="ns", user_id="u")
    assert client.hget(keys.record(SCOPE, "m-old"), "fp") == RECORD["fp"].encode()

    # The same fact under another id, another one under its own.
    assert create(earlier, fact("m-again", TEXT, created_at=later, last_accessed=later)) == "same"
    long_term.update("m-old", {"text": "Farid lives in Accra"})
    assert [v.before.text for v in earlier.history.of("m-old").versions] == [TEXT]
    assert client.hkeys(keys.fingerprints(SCOPE)) != [RECORD["fp"].encode()]
    assert next(event["kind"] for _number, event in earlier.changes.log(SCOPE)) == "created"
    assert found(earlier, "Accra", "keyword") == ["m-old"]
    assert long_term.delete(["m-old"]) == 1
    assert earlier.history.rewind(SCOPE, 0) >= 1


def matching(engine: Container, **filters: TagFilter | TimeFilter) -> set[str]:
    tags = {name: (value,) for name, value in filters.items() if isinstance(value, TagFilter)}
    times = {name: value for name, value in filters.items() if isinstance(value, TimeFilter)}
    found, _total = engine.records.list_page(MemoryFilter(tags=tags, times=times), offset=0, limit=10)
    return {memory.id for memory in engine.records.read(found) if memory is not None}


def test_records_with_and_without_what_goes_without_saying_are_found_alike():
    with store_of(NAMED, lacking=(), applied="123") as engine:
        client = engine.redis
        with pytest.raises(BackendUnavailable, match="without missing sess, missing strat, missing type"):
            engine.store_ready()
        assert runner.up(client, engine.settings, lambda _line: None) == 1
        engine.store_ready()
        assert index.describe(client, index.MEMORIES).name == "ltm-v2"

        old = engine.long_term_memory.get("m-old")
        assert (old.topics, old.entities) == (("job", "company", "chess"), ("Farid", "Lima"))
        assert old.created_at == old.last_accessed == datetime.fromtimestamp(SAID, UTC)
        assert create(engine, fact("m-new", "Greta sails", created_at=NOW, last_accessed=NOW)) == "stored"
        assert create(engine, fact("m-said", "Greta rows", created_at=NOW, last_accessed=NOW, session_id="s",
                                   memory_type=MemoryType.EPISODIC)) == "stored"  # fmt: skip
        new = client.hgetall(keys.record(SCOPE, "m-new"))
        assert not {b"sess", b"type", b"strat", b"accessed"} & new.keys()

        both, every = {"m-old", "m-new"}, {"m-old", "m-new", "m-said"}
        assert matching(engine, memory_type=TagFilter(eq="semantic")) == both
        assert matching(engine, memory_type=TagFilter(any=("message", "semantic"))) == both
        assert matching(engine, memory_type=TagFilter(startswith="sem")) == both
        assert matching(engine, memory_type=TagFilter(ne="semantic")) == {"m-said"}
        assert matching(engine, memory_type=TagFilter(none=("semantic", "message"))) == {"m-said"}
        assert matching(engine, memory_type=TagFilter(ne="message")) == every
        assert matching(engine, session_id=TagFilter(eq="")) == both
        assert matching(engine, session_id=TagFilter(ne="s")) == both
        assert matching(engine, extraction_strategy=TagFilter(eq="discrete")) == every
        assert matching(engine, extraction_strategy=TagFilter(ne="discrete")) == set()

        # Not shown yet is last accessed when it was created; shown, it has a time of its own.
        assert matching(engine, last_accessed=TimeFilter(lt=NOW)) == {"m-old"}
        assert matching(engine, last_accessed=TimeFilter(eq=NOW)) == {"m-new", "m-said"}
        assert matching(engine, last_accessed=TimeFilter(ne=NOW)) == {"m-old"}
        engine.records.touch([keys.record(SCOPE, "m-new").encode()], NOW + timedelta(days=1))
        assert matching(engine, last_accessed=TimeFilter(gt=NOW)) == {"m-new"}
        assert matching(engine, last_accessed=TimeFilter(between=(NOW, NOW))) == {"m-said"}
        hits = engine.search.search(SearchRequest("Greta", mode="hybrid")).memories
        assert {hit.memory.id: hit.memory.last_accessed for hit in hits if hit.memory.id != "m-old"} == {
            "m-new": NOW + timedelta(days=1), "m-said": NOW,
        }  # fmt: skip

        # Told again later, it was last accessed then, not when it was shown before.
        later = NOW + timedelta(days=2)
        assert create(engine, fact("m-new", "Greta sails", created_at=later, last_accessed=later)) == "replaced"
        assert engine.long_term_memory.get("m-new").last_accessed == later


def test_a_new_store_needs_no_second_index(earlier):
    client: redis.Redis = earlier.redis
    client.flushall()
    for name in client.execute_command("FT._LIST"):
        client.execute_command("FT.DROPINDEX", name)
    assert runner.up(client, earlier.settings, lambda _line: None) == len(runner.steps())
    assert index.describe(client, index.MEMORIES).name == "ltm-v1"
    earlier.store_ready()
