"""Summaries through the real broker and worker, with a scripted model: kills, progress, large views."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest

from app.memory.models import Memory
from tests.integration.test_folding import FACTS, conversation
from tests.support.api import Api
from tests.support.builders import Json, SessionBuilder, a_message, a_session, iso, unique
from tests.support.engine import engine_on
from tests.support.scripted_llm import LlmRequest, Reply, ScriptedLLM, as_text, error, scripted_llm_server, slowly
from tests.support.stack import Stack, private_stack
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(280)]
WINDOW = 4096


def telling(request: LlmRequest) -> Reply:
    """A model that keeps the facts of what it is given."""
    return as_text(" ".join(fact for fact in FACTS.values() if fact in request.text) or "Small talk.")


@pytest.fixture(scope="module")
def llm() -> Iterator[ScriptedLLM]:
    with scripted_llm_server() as server:
        yield server


@pytest.fixture(scope="module")
def stack(llm: ScriptedLLM) -> Iterator[Stack]:
    settings = llm.environment(
        EXTRACTION_BACKEND="rules",
        ENABLE_DISCRETE_MEMORY_EXTRACTION="false",
        GENERATION_MODEL="gpt-3.5-turbo",
        LLM_MAX_RETRIES="0",
        LLM_BREAKER_FAILURES="1000",
        SUMMARY_VIEW_REFRESH_EVERY_MINUTES="0.03",
        PROMOTION_LEASE_SECONDS="10",
        TASK_TIME_LIMIT_SECONDS="9",
        BROKER_VISIBILITY_TIMEOUT_SECONDS="10",
    )
    with private_stack(**settings) as own:
        yield own


@pytest.fixture
def api(stack: Stack, llm: ScriptedLLM, namespace: str) -> Api:
    llm.reply_always(telling)
    return Api(stack.http, namespace)


def a_long_session(api: Api) -> SessionBuilder:
    made = [a_message(m.content, m.role, id=m.id, created_at=iso(m.created_at)) for m in conversation()]
    return a_session().of(api.namespace, "u").with_messages(*made)


def read(api: Api, session: SessionBuilder) -> Json:
    """GET in the window; whatever the state, it fits."""
    shown = api.session(session.session_id, context_window_max=WINDOW, **session.scope)
    assert shown["context_percentage_total_used"] < 100
    return shown


def folded(api: Api, session: SessionBuilder) -> Json:
    shown = read(api, session)
    assert shown["context"]
    return shown


def test_a_killed_worker_leaves_the_session_as_it_was_until_it_is_folded_whole(stack: Stack, api: Api, llm):
    llm.reply_always(lambda request: slowly(1.5, telling(request)))
    asked = len(llm.chats)
    session = a_long_session(api)
    session.put(api.http, context_window_max=WINDOW)
    before = read(api, session)
    wait_until(lambda: len(llm.chats) >= asked + 2, 30, "the second pass has begun")
    stack.kill("worker")
    assert read(api, session) == before
    llm.reply_always(telling)
    stack.start_worker()
    shown = wait_until(lambda: folded(api, session), 90, "the session is folded")
    assert all(fact in shown["context"] for fact in FACTS.values())
    ids = [m["id"] for m in session.body["messages"]]
    kept = [m["id"] for m in shown["messages"]]
    assert kept == ids[-len(kept) :]


def test_a_failing_model_is_tried_again_and_puts_meanwhile_are_kept(stack: Stack, api: Api, llm):
    llm.reply(error(503), error(500))
    session = a_long_session(api)
    session.put(api.http, context_window_max=WINDOW)
    more = session.with_messages(a_message("Said meanwhile.", id="late"))
    more.put(api.http, context_window_max=WINDOW)
    shown = wait_until(lambda: folded(api, session), 60, "the session is folded")
    assert shown["messages"][-1]["id"] == "late"
    assert all(fact in shown["context"] for fact in FACTS.values())
    answer = more.put(api.http, context_window_max=WINDOW)
    assert (answer["context"], answer["messages"]) == (shown["context"], shown["messages"])


def test_of_five_thousand_memories_in_fifty_partitions_only_what_changed_is_asked_again(stack: Stack, api: Api, llm):
    def memories(users: range, count: int) -> list[Memory]:
        return [
            Memory(unique("m"), f"User {u} owns the book number {i}", namespace=api.namespace, user_id=f"user-{u}")
            for u in users
            for i in range(count)
        ]

    with engine_on(stack.environment["REDIS_URL"]) as engine:

        def store(made: list[Memory]) -> None:
            vectors = np.random.default_rng(2).standard_normal((len(made), 384)).astype(np.float32)
            engine.container.consolidation.store(made, vectors, deduplicate=False, actor="client")

        everything = memories(range(50), 100)
        for first in range(0, len(everything), 500):
            store(everything[first : first + 500])
        llm.reply_always(slowly(0.15, as_text("They own books.")))
        body = {"source": "long_term", "group_by": ["user_id"], "filters": {"namespace": api.namespace}}
        view = api.http.post("/v1/summary-views", json=body).json()

        def run() -> tuple[Json, list[int], int]:
            asked = len(llm.chats)
            task = api.http.post(f"/v1/summary-views/{view['id']}/run", json={}).json()
            seen: list[int] = []
            deadline = time.monotonic() + 60
            while task["status"] in ("pending", "running") and time.monotonic() < deadline:
                task = api.task(task["id"])
                if task["status"] == "running" and "partitions_done" in task:
                    assert task["partitions_total"] == 50
                    seen.append(task["partitions_done"])
                time.sleep(0.05)
            return task, seen, len(llm.chats) - asked

        task, seen, calls = run()
        assert (task["status"], task["partitions_done"], calls) == ("success", 50, 50)
        assert seen == sorted(seen)
        assert len({done for done in seen if 0 < done < 50}) > 5, f"progress can be watched: {seen}"
        found = api.http.get(f"/v1/summary-views/{view['id']}/partitions").json()
        assert {p["memory_count"] for p in found} == {100}
        store(memories(range(3), 1))
        task, _seen, calls = run()
        assert (task["status"], task["partitions_done"], calls) == ("success", 50, 3)
    api.http.delete(f"/v1/summary-views/{view['id']}")


def test_beat_keeps_continuous_views_up_to_date(stack: Stack, api: Api, llm):
    llm.reply_always(lambda request: as_text(f"{request.text.count('tea')} times tea"))
    body = {"source": "long_term", "group_by": ["user_id"], "filters": {"namespace": api.namespace}, "continuous": True}
    view = api.http.post("/v1/summary-views", json=body).json()

    def summary() -> str:
        found = api.http.get(f"/v1/summary-views/{view['id']}/partitions").json()
        return str(found[0]["summary"]) if found else ""

    api.create("User likes tea", user_id="ann")
    wait_until(lambda: summary() == "1 times tea", 20, "the view is refreshed")
    api.create("User grows tea", user_id="ann")
    wait_until(lambda: summary() == "2 times tea", 20, "the view is refreshed again")
    api.http.delete(f"/v1/summary-views/{view['id']}")
