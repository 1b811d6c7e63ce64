"""A batch stays with the thread that works on it: what others see of it, and what is left of it after a failure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.container import Container
from app.memory.identity import new_id
from app.memory.models import Batch, BatchRef, Message, Scope, Session, SessionRef, utc_now
from app.store.batches import BatchRepository
from tests.support.builders import a_message, unique
from tests.support.engine import Engine, fact
from tests.support.scripted_llm import ScriptedLLM, scripted_llm_server
from tests.support.stack import Stack, private_stack
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def batch(scope: Scope) -> Batch:
    memory = replace(fact("a", "User likes tea"), namespace=scope.namespace, user_id=scope.user_id)
    return Batch(BatchRef(scope.namespace, f"create-{new_id()}"), records=(memory,))


def noted(batch: Batch) -> Batch:
    return replace(batch, counts={"folded": 3})


def test_a_noted_state_is_stored_when_asked_for_and_kept_from_others_until_then(engine: Container, batch: Batch):
    own, others = BatchRepository(engine.redis), BatchRepository(engine.redis)
    own.save(batch)
    with own.held():
        own.note(noted(batch))
        assert own.load(batch.ref) == noted(batch)
        assert own.load(batch.ref, as_stored=True) == others.load(batch.ref) == batch
        own.store_noted()
        assert others.load(batch.ref) == noted(batch)
    with own.held():
        own.note(batch)  # never stored
    assert own.load(batch.ref) == noted(batch)


@pytest.mark.parametrize("by_itself", [False, True])
def test_a_batch_that_somebody_finished_does_not_come_back(engine: Container, batch: Batch, by_itself: bool):
    own, others = BatchRepository(engine.redis), BatchRepository(engine.redis)
    own.save(batch)
    with own.held():
        own.note(noted(batch))
        (own if by_itself else others).delete(batch.ref)
        own.store_noted()
        assert own.load(batch.ref) == (None if by_itself else noted(batch))
    assert others.load(batch.ref) is None


def test_a_step_without_a_holder_stores_at_once(engine: Container, batch: Batch):
    engine.batches.note(noted(batch))
    assert BatchRepository(engine.redis).load(batch.ref) == noted(batch)


def test_what_was_merged_meanwhile_is_not_replaced_by_who_holds_an_older_state(engine: Container, scope: Scope):
    session, own = SessionRef(scope, unique("s")), Engine(engine)
    own.put(Session(session, (Message(new_id(), "user", "I own a red boat in Lisbon.", utc_now()),)))
    ref = engine.promotion.extract(session, new_id())
    with engine.batches.held():
        for step in ("ground", "entities", "embed", "topics", "deduplicate"):
            getattr(engine.promotion, step)(ref)
        engine.batches.store_noted()
        behind = engine.batches.load(ref)
        engine.promotion.index(ref)
        engine.batches.note(behind)  # as another worker that was given the same task would have it
        (stored,) = own.memories(session)
        engine.long_term_memory.update(stored.id, {"text": "User owns a blue boat"})
        assert engine.promotion.index(ref) == ref
    assert [memory.text for memory in own.memories(session)] == ["User owns a blue boat"]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[ScriptedLLM]:
    with scripted_llm_server() as server:
        yield server


@pytest.fixture(scope="module")
def stack(endpoint: ScriptedLLM) -> Iterator[Stack]:
    settings = {
        **endpoint.environment(EXTRACTION_BACKEND="rules"),
        "EMBEDDING_BACKEND": "openai",
        "EMBEDDING_MODEL": "scripted",
        "LLM_MAX_RETRIES": "0",
    }
    with private_stack(**settings) as running:
        yield running


@pytest.mark.timeout(120)
def test_a_retry_goes_on_with_what_the_steps_before_it_did(stack: Stack, endpoint: ScriptedLLM):
    """Embedding fails twice: what was extracted and grounded before, in the same task, is still there."""
    namespace, session = unique("ns"), unique("s")
    endpoint.embeddings_to_fail = 2
    body = {"messages": [a_message("I own a red boat in Lisbon.")], "namespace": namespace, "user_id": "u"}
    stack.http.put(f"/v1/working-memory/{session}", json=body).raise_for_status()

    def found() -> list[str]:
        search = {"namespace": {"eq": namespace}, "limit": 10}
        answer = stack.http.post("/v1/long-term-memory/search", json=search).json()
        return [memory["text"] for memory in answer["memories"]]

    wait_until(found, 40, "the memory is there")
    assert endpoint.embeddings_to_fail == 0
    assert found() == ["User owns a red boat in Lisbon"]
