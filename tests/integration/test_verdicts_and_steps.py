"""What people see of the pipeline's work: what became of memories, and how far a run is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.container import Container
from app.memory.models import Memory, Scope, SessionRef, utc_now
from app.memory.steps import STEPS
from tests.support.api import Api
from tests.support.builders import a_memory, a_session, unique
from tests.support.engine import fact, promote_by_hand
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


def said(text: str) -> Memory:
    return fact(unique("fact"), text)


def told(engine: Container, scope: Scope, *memories: Memory, actor: Any = "pipeline") -> list[str]:
    """Store memories of the scope; their verdicts."""
    own = [replace(m, namespace=scope.namespace, user_id=scope.user_id, persisted_at=utc_now()) for m in memories]
    outcomes = engine.consolidation.store(
        own, engine.embedder.embed([m.text for m in own]), deduplicate=True, actor=actor
    )
    return [outcome.status for outcome in outcomes]


# -- verdicts --------------------------------------------------------------------------


def test_each_memory_counts_once_also_when_its_work_comes_twice(engine: Container, scope: Scope):
    begun = [said("Maya lives in Lisbon"), said("Maya has a red bicycle"), said("Maya lives in Lisbon.")]
    first = told(engine, scope, *begun)
    assert first == ["stored", "stored", "same"]
    after = {"stored": 2, "same": 1}
    assert engine.verdicts.of(namespace=scope.namespace) == after
    told(engine, scope, *begun)  # as a redelivered task would
    assert engine.verdicts.of(namespace=scope.namespace) == after
    assert told(engine, scope, said("Maya has a red bicycle")) == ["same"]
    assert engine.verdicts.of(namespace=scope.namespace) == {"stored": 2, "same": 2}


def test_counters_are_per_user_and_tenant_and_erasing_takes_the_users_away(engine: Container, scope: Scope):
    other = Scope(scope.namespace, "v")
    told(engine, scope, said("Maya likes tea"))
    told(engine, other, said("Ben likes coffee"), said("Ben has a dog"))
    assert engine.verdicts.of(namespace=scope.namespace, user_id="u") == {"stored": 1}
    assert engine.verdicts.of(namespace=scope.namespace) == {"stored": 3}
    assert engine.verdicts.of()["stored"] >= 3
    late = said("Maya said this before she was erased")
    assert engine.erasure.erase(scope).verified
    late = replace(late, namespace=scope.namespace, user_id="u", persisted_at=late.created_at.replace(year=2020))
    stored = engine.consolidation.store([late], engine.embedder.embed([late.text]), deduplicate=True, actor="pipeline")
    assert stored[0].status == "deleted"
    assert engine.verdicts.of(namespace=scope.namespace, user_id="u") == {}
    assert engine.verdicts.of(namespace=scope.namespace) == {"stored": 3}


def test_the_api_counts_what_clients_and_the_pipeline_stored(api: Api):
    api.create("I own a boat", user_id="maya")
    api.create("I own a boat", user_id="maya")
    session = a_session().of(api.namespace, "ben").with_messages("I work as a carpenter in Porto.")
    session.put(api.http)
    api.wait_until_promoted(session.session_id, **session.scope)

    def counts(**scope: str) -> dict[str, int]:
        answer = api.http.get("/v1/usage/verdicts", params={"namespace": api.namespace, **scope})
        assert answer.status_code == 200, answer.text
        assert answer.json()["total"] == sum(answer.json()["verdicts"].values())
        return dict(answer.json()["verdicts"])

    assert counts(user_id="maya") == {
        "stored": 1, "replaced": 0, "same": 1, "merged": 0, "updated": 0, "deleted": 0
    }  # fmt: skip
    promoted = counts(user_id="ben")["stored"]
    assert promoted == len(api.memories(user_id={"eq": "ben"})) >= 1
    assert counts()["stored"] == 1 + promoted


# -- steps -----------------------------------------------------------------------------


def states(engine: Container, session: SessionRef) -> list[str]:
    task = engine.promotion.latest(session)
    assert task is not None
    return [step["state"] for step in task.details["steps"]]


@pytest.fixture
def session(scope: Scope) -> SessionRef:
    return SessionRef(scope, "s")


def test_a_promotion_shows_its_steps_while_it_runs(engine: Container, session: SessionRef, monkeypatch: Any):
    run = promote_by_hand(engine, session, "I work as a carpenter in Porto.")
    seen: list[str] = []
    embed = engine.promotion.embed

    def watched(batch: Any) -> Any:
        seen.extend(states(engine, session))
        return embed(batch)

    monkeypatch.setattr(engine.promotion, "embed", watched)
    assert engine.promotion.latest(session) is None
    run("extract", "ground", "entities", "embed", "topics")
    assert seen == ["done"] * 3 + ["running"] + ["waiting"] * 4
    assert states(engine, session) == ["done"] * 5 + ["waiting"] * 3


def test_a_step_that_fails_is_shown_as_failed(engine: Container, session: SessionRef, monkeypatch: Any):
    run = promote_by_hand(engine, session, "I work as a carpenter in Porto.")
    monkeypatch.setattr(engine.promotion, "ground", lambda _batch: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run("extract", "ground")
    assert states(engine, session)[:3] == ["done", "failed", "waiting"]


def test_the_api_tells_of_the_last_promotion_of_a_session_and_of_a_large_create(api: Api):
    session = a_session(unique("a/b")).of(api.namespace, "maya").with_messages("I work as a carpenter in Porto.")
    asked = {"session_id": session.session_id, **session.scope}
    assert api.http.get("/v1/tasks", params=asked).status_code == 404
    api.http.put(f"/v1/working-memory/{session.session_id}", json=session.body).raise_for_status()

    def ended(params: dict[str, str] | None, path: str = "/v1/tasks") -> Any:
        answer = api.http.get(path, params=params)
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] == "success"
        # The last step ends its task before it has ended itself.
        assert answer.json()["steps"][-1]["state"] != "running"
        return answer.json()

    task = wait_until(lambda: ended(asked), 30, "the promotion has ended")
    assert [(step["step"], step["state"]) for step in task["steps"]] == [(name, "done") for name in STEPS["promotion"]]
    starts = [step["started_at"] for step in task["steps"]]
    assert starts == sorted(starts)
    assert "run" not in task
    assert api.http.get(f"/v1/tasks/{task['id']}").json()["steps"] == task["steps"]
    api.http.delete(f"/v1/working-memory/{session.session_id}", params=session.scope).raise_for_status()
    assert api.http.get("/v1/tasks", params=asked).status_code == 404

    made = api.create(*(a_memory(f"Maya's plant number {n} is green") for n in range(120)), user_id="maya")
    done = wait_until(lambda: ended(None, f"/v1/tasks/{made['task_id']}"), 60, "the create has ended")
    assert [step["step"] for step in done["steps"]] == list(STEPS["create_memories"])
    assert {step["state"] for step in done["steps"]} == {"done"}
