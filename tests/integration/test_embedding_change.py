"""Changing the embedding model: two real models of different length, real processes, requests all the time."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from app.config import Settings
from app.container import Container
from app.evaluation.spaces import compare_spaces
from app.memory.errors import BackendUnavailable, Conflict, InvalidRequest, ModelFailure
from app.memory.models import Memory, Scope
from app.memory.search import SearchRequest
from app.store import index, keys
from app.store.tenants import TenantKeys
from app.store.vectors import Follower, Spaces, VectorSpace, configured
from migrations import embedding, reindex
from tests.support.api import Api
from tests.support.builders import a_memory, a_session
from tests.support.engine import engine_at, fact, running_engine
from tests.support.scripted_llm import ScriptedLLM, scripted_llm_server
from tests.support.stack import BIN, ROOT, Stack, stopped_and_explained
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration
OTHER_DIMENSIONS = 256
SCOPE = Scope("ns", "u")


@pytest.fixture
def endpoint() -> Iterator[ScriptedLLM]:
    with scripted_llm_server(dimensions=OTHER_DIMENSIONS) as server:
        yield server


@pytest.fixture(scope="module")
def store() -> Iterator[Container]:
    with running_engine() as engine:
        engine.settings = engine.settings.model_copy(update={"create_inline_limit": 100})
        yield engine


@pytest.fixture
def engine(store) -> Container:
    """The engine on an empty store with its first model."""
    from migrations import runner

    store.redis.flushall()
    for name in store.redis.execute_command("FT._LIST"):
        store.redis.execute_command("FT.DROPINDEX", name)
    runner.up(store.redis, store.settings, lambda _line: None)
    return fresh(store)


def fresh(engine: Container) -> Container:
    """A container as a process has it that has just heard of the spaces."""
    return engine.with_spaces(engine.space_repository.load())


def target(endpoint: ScriptedLLM) -> VectorSpace:
    return VectorSpace("", "openai", "words-256", OTHER_DIMENSIONS, endpoint.base_url)


def fields_of(engine: Container, memory_id: str) -> set[str]:
    names = engine.redis.hkeys(keys.record(SCOPE, memory_id))
    return {name.decode() for name in names if name.startswith(b"vec")}


def nearest(engine: Container, text: str) -> str | None:
    found = fresh(engine).search.search(SearchRequest(text, boosts=False, recency_boost=False, limit=1)).memories
    return found[0].memory.id if found else None


def store_facts(engine: Container, *memories: Memory) -> None:
    created = fresh(engine).long_term_memory.create(memories, deduplicate=False)
    assert len(created.results) == len(memories)


def quiet(_line: str) -> None:
    pass


def test_every_way_to_write_fills_both_vectors_until_the_change_is_settled(engine, endpoint):
    store_facts(engine, fact("old", "User plays the cello"), fact("retired", "User lives in Bonn"))
    fresh(engine).long_term_memory.update("old", {"text": "User plays the viola"})
    said: list[str] = []
    embedding.migrate(engine, target(endpoint), said.append)
    assert any("2 vectors made" in line for line in said)
    old, new = (space.field for space in engine.space_repository.load().all)
    assert fields_of(engine, "old") == fields_of(engine, "retired") == {old, new}

    both = fresh(engine)
    store_facts(engine, fact("made", "User bakes rye bread"))
    both.long_term_memory.update("old", {"text": "User plays the bassoon"})
    both.long_term_memory.update("retired", {"topics": ["homes"]})
    both.long_term_memory.update("made", {"user_id": "u"})
    for memory_id in ("old", "retired", "made"):
        assert fields_of(engine, memory_id) == {old, new}
    # A state from before the change comes back without a vector of the new model, and gets one.
    both.history.restore("old", namespace="ns", user_id="u")
    both.history.restore("old", namespace="ns", user_id="u")
    both.long_term_memory.delete(["made"])
    both.history.restore("made", namespace="ns", user_id="u")
    for memory_id, text in (("old", "User plays the cello"), ("made", "User bakes rye bread")):
        stored = both.records.read_with_vectors([(SCOPE, memory_id)])[0]
        other = fresh(engine).with_spaces(both.spaces.swapped("switched"))
        theirs = other.records.read_with_vectors([(SCOPE, memory_id)])[0]
        assert stored is not None
        assert theirs is not None
        assert stored[0].text == text
        np.testing.assert_allclose(stored[2], both.embedder.embed([text])[0], atol=1e-3)
        np.testing.assert_allclose(theirs[2], other.embedder.embed([text])[0], atol=1e-3)

    embedding.switch(engine, quiet)
    store_facts(engine, fact("later", "User grows tomatoes"))
    assert fields_of(engine, "later") == {old, new}
    embedding.settle(engine, quiet)
    assert {name for i in ("old", "retired", "made", "later") for name in fields_of(engine, i)} == {new}
    assert index.describe(engine.redis, index.MEMORIES).dimensions == {new: OTHER_DIMENSIONS}
    assert nearest(engine, "User grows tomatoes") == "later"
    with pytest.raises(Conflict):
        embedding.rollback(engine, quiet)
    # Rebuilding the indexes afterwards is about the model that the store has, whatever the settings say.
    reindex.reindex(engine.redis, engine.settings, quiet)
    assert nearest(engine, "User bakes rye bread") == "made"


def test_a_process_that_has_not_heard_yet_still_gets_right_answers_and_what_it_writes_is_completed(engine, endpoint):
    late = fresh(engine)
    store_facts(engine, fact("a", "User plays the cello"), fact("b", "User bakes rye bread"))
    embedding.migrate(engine, target(endpoint), quiet)
    late.long_term_memory.create([fact("c", "User grows tomatoes")], deduplicate=False)
    assert len(fields_of(engine, "c")) == 1
    embedding.switch(engine, quiet)
    late.long_term_memory.create([fact("d", "User restores old radios")], deduplicate=False)
    found = late.search.search(SearchRequest("repairing antique wireless sets", limit=4)).memories
    assert found[0].memory.id == "d"
    assert nearest(engine, "User grows tomatoes") == "c"
    assert fresh(engine).reembedding.close_gaps() == 1
    assert nearest(engine, "User restores old radios") == "d"


def test_a_run_that_was_killed_goes_on_where_it_was(engine, endpoint, monkeypatch):
    store_facts(engine, *[fact(f"m{i}", f"User owns book number {i}") for i in range(90)])

    def killed(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(reindex, "rebuild_memories", killed)
        with pytest.raises(KeyboardInterrupt):
            embedding.migrate(engine, target(endpoint), quiet)
    assert engine.space_repository.load().stage == "filling"
    with pytest.raises(Conflict, match="migrate"):
        embedding.switch(engine, quiet)
    with pytest.raises(Conflict, match="under way"):
        embedding.migrate(engine, replace(target(endpoint), model="a third one"), quiet)
    asked = len(endpoint.requests)
    said: list[str] = []
    embedding.migrate(engine, target(endpoint), said.append)
    assert any("0 vectors made for 90" in line for line in said)
    assert len(endpoint.requests) == asked
    embedding.settle(engine, quiet)
    assert fields_of(engine, "m7") == {"vec"}
    assert index.describe(engine.redis, index.MEMORIES).dimensions == {"vec": 384}
    # Given up and begun again: a field is never used for two models.
    embedding.migrate(engine, target(endpoint), quiet)
    assert "vec2" not in fields_of(engine, "m7")


def test_what_cannot_work_is_refused_before_anything_changes(engine, endpoint):
    store_facts(engine, fact("a", "User plays the cello"))
    before = engine.space_repository.load()
    with pytest.raises(ModelFailure, match="256"):
        embedding.migrate(engine, replace(target(endpoint), dimensions=512), quiet)
    with pytest.raises(InvalidRequest, match="already"):
        embedding.migrate(engine, before.serving, quiet)
    said: list[str] = []
    embedding.plan(engine, target(endpoint), said.append)
    assert any("1 memories to embed" in line for line in said)
    engine.space_repository.report(Follower("web-1", before.version, error="OSError: no such model here"))
    with pytest.raises(ModelFailure, match=r"web-1: OSError"):
        embedding.migrate(engine, target(endpoint), quiet)
    assert engine.space_repository.load().serving == before.serving
    assert engine.space_repository.load().other is None
    with engine.redis.lock("migrations:lock", timeout=30), pytest.raises(BackendUnavailable, match="another migration"):
        embedding.migrate(engine, target(endpoint), quiet)


def test_a_model_that_is_away_fails_no_write(engine):
    with scripted_llm_server(dimensions=OTHER_DIMENSIONS) as endpoint:
        embedding.migrate(engine, target(endpoint), quiet)
    patient = engine_at(engine.settings.redis_url, llm_max_retries=0)
    patient.long_term_memory.create([fact("a", "User plays the cello")], deduplicate=False)
    assert fields_of(engine, "a") == {"vec"}


def test_another_model_in_the_settings_alone_changes_nothing(engine, endpoint):
    store_facts(engine, fact("a", "User plays the cello"))
    other = Container(
        Settings(
            redis_url=engine.settings.redis_url, embedding_backend="openai", embedding_model="words-256",
            embedding_dimensions=OTHER_DIMENSIONS, embedding_base_url=endpoint.base_url,
        )
    )  # fmt: skip
    assert other.search.search(SearchRequest("which instrument?", limit=1)).memories[0].memory.id == "a"
    assert endpoint.requests == []


def test_a_tenant_is_carried_to_a_store_with_another_model(engine, endpoint):
    store_facts(engine, fact("a", "User plays the cello"), fact("b", "User bakes rye bread"))
    fresh(engine).long_term_memory.update("a", {"text": "User plays the viola"})
    lines = list(fresh(engine).erasure.export("ns"))
    embedding.migrate(engine, target(endpoint), quiet)
    embedding.switch(engine, quiet)
    embedding.settle(engine, quiet)
    here = fresh(engine)
    here.erasure.erase(SCOPE)
    here.redis.delete(keys.erased(SCOPE))
    assert list(here.erasure.load(iter(lines), "ns"))[-1] == len(lines) - 2
    assert fields_of(engine, "a") == {here.spaces.serving.field}
    assert nearest(engine, "User bakes rye bread") == "b"
    here.history.restore("a", namespace="ns", user_id="u")
    stored = here.records.read_with_vectors([(SCOPE, "a")])[0]
    assert stored is not None
    np.testing.assert_allclose(stored[2], here.embedder.embed(["User plays the cello"])[0], atol=1e-3)


@pytest.mark.load
def test_under_load_no_request_fails_and_nothing_is_missing_after_switch_and_rollback(endpoint):
    """Web and worker processes as in production; both models answer, and neither process is restarted."""
    stack = Stack(EMBEDDING_BASE_URL=endpoint.base_url)
    with stopped_and_explained(stack):
        stack.start()
        _change_under_load(stack)


def _change_under_load(stack: Stack) -> None:
    api = Api(stack.http, "load")
    api.create(*[f"User has read volume {i} of the encyclopedia" for i in range(40)], deduplicate=False)
    stop = threading.Event()
    statuses: list[int] = []
    made: list[str] = []
    lost: list[str] = []

    def one(number: int) -> None:
        text = f"User counted {number} geese on the pond"
        body = {"memories": [a_memory(text, namespace="load")], "deduplicate": False}
        statuses.append(stack.http.post("/v1/long-term-memory/", json=body).status_code)
        search = {"text": text, "namespace": {"eq": "load"}, "limit": 10}
        answer = stack.http.post("/v1/long-term-memory/search", json=search)
        statuses.append(answer.status_code)
        if text not in [m["text"] for m in answer.json()["memories"]]:
            lost.append(text)
        made.append(text)

    def load(part: int) -> None:
        number = part
        while not stop.is_set():
            one(number)
            number += 2
            stop.wait(0.02)

    def operate(*command: str) -> str:
        done = subprocess.run(
            [str(BIN / "agent-memory"), "embeddings", *command],
            env=stack.environment, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def everything_is_found() -> None:
        for text in made[:: max(1, len(made) // 40)]:
            found = api.texts(text, limit=10, search_mode="semantic")
            assert text in found, text

    new = ["--model", "words-256", "--backend", "openai", "--dimensions", str(OTHER_DIMENSIONS)]
    with ThreadPoolExecutor(2) as pool:
        loading = [pool.submit(load, part) for part in range(2)]
        try:
            operate("migrate", *new)
            session = a_session().of("load").with_messages("I adopted a parrot called Coco last week.")
            session.put(stack.http)
            compared = operate("compare", "--queries", "30")
            operate("switch")
            switched = len(made)
            wait_until(lambda: len(made) > switched + 20, 30, "requests go on with the new model")
            everything_is_found()
            wait_until(lambda: api.texts("parrot", search_mode="semantic"), 30, "the pipeline goes on")
            operate("rollback")
            back = len(made)
            wait_until(lambda: len(made) > back + 20, 30, "requests go on with the old model")
            everything_is_found()
        finally:
            stop.set()
            for one_of_them in loading:
                one_of_them.result()
    print(compared)
    assert "overlap" in compared or "the same among" in compared
    assert set(statuses) == {200}
    assert lost == []
    everything_is_found()
    operate("switch")
    operate("settle")
    everything_is_found()
    assert "searched  words-256" in operate("status")


def test_the_comparison_says_which_model_finds_more(engine, endpoint):
    texts = ("cello in the town orchestra", "rye bread on Sundays", "old radios from flea markets", "tall tomatoes")
    store_facts(engine, *[fact(f"m{i}", f"User number {i} cares about {texts[i % 4]} a lot") for i in range(60)])
    with pytest.raises(Conflict, match="ready"):
        compare_spaces(engine, queries=20)
    embedding.migrate(engine, target(endpoint), quiet)
    report = compare_spaces(engine, queries=20)
    assert report.queries == 20
    assert 0 < report.overlap <= 1
    assert report.figures[0]["ndcg@10"] > 0.2
    assert report.figures[1]["embed_ms"] > 0
    assert engine.space_repository.last_report()["verdict"] == report.verdict


def test_a_store_of_full_precision_stays_so_until_it_is_converted_without_asking_the_model(engine, monkeypatch):
    from migrations import runner

    engine.redis.flushall()
    for name in engine.redis.execute_command("FT._LIST"):
        engine.redis.execute_command("FT.DROPINDEX", name)
    before = engine.settings.model_copy(update={"embedding_precision": "float32"})
    runner.up(engine.redis, before, quiet)
    store_facts(engine, fact("a", "User plays the cello"), fact("b", "User bakes rye bread"))
    old = fresh(engine).spaces.serving
    assert old.precision == "float32"
    assert engine.redis.hstrlen(keys.record(SCOPE, "a"), old.field) == 4 * old.dimensions
    assert nearest(engine, "She is a cellist") == "a"

    monkeypatch.setattr("app.memory.reembedding.embed_memories", None)
    embedding.migrate(engine, configured(engine.settings), quiet)
    embedding.switch(engine, quiet)
    embedding.settle(engine, quiet)
    new = fresh(engine).spaces.serving
    assert new.precision == "float16"
    assert engine.redis.hstrlen(keys.record(SCOPE, "a"), new.field) == 2 * new.dimensions
    assert fields_of(engine, "a") == {new.field}
    assert index.describe(engine.redis, index.MEMORIES).precisions == {new.field: "float16"}
    assert nearest(engine, "She is a cellist") == "a"
    with pytest.raises(InvalidRequest):
        embedding.migrate(engine, configured(engine.settings), quiet)


def test_an_export_of_full_precision_comes_into_a_store_of_half_of_it(engine):
    full = configured(engine.settings.model_copy(update={"embedding_precision": "float32"}))
    store_facts(engine, fact("a", "User plays the cello"))
    record = keys.record(SCOPE, "a")
    vector = fresh(engine).records.read_with_vectors([(SCOPE, "a")])[0][2]
    engine.redis.hset(record, "vec", full.to_bytes(vector))
    exported = list(TenantKeys(engine.redis, Spaces(full)).export_lines("ns"))
    engine.redis.delete(record, keys.versions(SCOPE, "a"))
    here = fresh(engine)
    assert list(TenantKeys(engine.redis, here.spaces).import_lines(exported, "ns", any_namespace=False))
    np.testing.assert_allclose(here.records.read_with_vectors([(SCOPE, "a")])[0][2], vector, atol=1e-3)
    assert engine.redis.hstrlen(record, "vec") == 2 * full.dimensions
    assert nearest(engine, "She is a cellist") == "a"
