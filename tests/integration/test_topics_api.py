"""Topics and entities through the API of the running stack, before any fit; the life of a fit is tested beside this."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.api import Api
from tests.support.builders import a_memory, a_session, ago
from tests.support.shapes import problems, refusal
from tests.support.stack import ROOT, Stack
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


def enriched(api: Api, count: int = 1) -> list[dict[str, Any]]:
    """The namespace's memories once enrichment has been over all of them."""

    def done() -> list[dict[str, Any]]:
        found = api.memories()
        assert len(found) == count
        assert all("topic_assignment" in m["metadata"] for m in found)
        return found

    return wait_until(done, 90, "memories are enriched")


def test_before_a_fit_topics_are_keywords_and_say_so(api: Api) -> None:
    api.create(a_memory("User is allergic to peanuts", topics=["Snacks"]))
    (memory,) = enriched(api)
    assert memory["topics"][0] == "Snacks"
    assert "peanut allergy" in memory["topics"]
    mark = memory["metadata"]["topic_assignment"]
    assert mark["source"] == "keywords"
    assert "peanut allergy" in mark["topics"]
    assert "Snacks" not in mark["topics"]


def test_topics_that_a_client_sets_are_exactly_those(api: Api) -> None:
    api.create(a_memory("User is allergic to peanuts"))
    (memory,) = enriched(api)
    changed = api.http.patch(f"/v1/long-term-memory/{memory['id']}", json={"topics": ["peanut allergy"]}).json()
    assert changed["topics"] == ["peanut allergy"]
    assert changed["metadata"]["topic_assignment"] == {"source": "client"}


def test_one_person_has_one_name_in_a_conversation(api: Api) -> None:
    session = a_session().of(api.namespace, "u")
    texts = ["Dr. Priya Nair is User's cardiologist", "User meets Priya on Friday in Leeds"]
    session.with_memories(*texts).put(api.http)
    api.wait_until_promoted(session.session_id, 90, **session.scope)
    assert [m["entities"] for m in sorted(enriched(api, 2), key=lambda m: m["text"])] == [
        ["Priya Nair"],
        ["Priya Nair", "Leeds"],
    ]
    later = session.with_memories(*texts, "Priya moved to Leeds")
    later.put(api.http)
    api.wait_until_promoted(session.session_id, 90, **session.scope)
    assert all("Priya Nair" in m["entities"] for m in api.wait_for_memories(3))


def test_topics_and_entities_are_counted_with_their_types(api: Api) -> None:
    api.create("Alice works at Google in Zurich", "Alice met Bob in Zurich", "User likes tea", user_id="u")
    api.create(a_memory("Anna lives in Zurich", created_at=ago(days=40)), user_id="v")
    enriched(api, 4)

    def entities(**query: Any) -> dict[str, tuple[int, str | None]]:
        answer = api.http.get("/v1/entities", params={"namespace": api.namespace, **query})
        assert answer.status_code == 200, answer.text
        return {e["entity"]: (e["count"], e["type"]) for e in answer.json()["entities"]}

    everybody = entities()
    assert next(iter(everybody)) == "Zurich"
    assert everybody["Zurich"] == (3, "GPE")
    assert everybody["Alice"] == (2, "PERSON")
    assert entities(user_id="v") == {"Anna": (1, "PERSON"), "Zurich": (1, "GPE")}
    assert entities(created_after=ago(days=1))["Zurich"][0] == 2
    assert entities(created_before=ago(days=1)) == {"Anna": (1, "PERSON"), "Zurich": (1, "GPE")}
    page = api.http.get("/v1/entities", params={"namespace": api.namespace, "limit": 1, "offset": 1}).json()
    assert len(page["entities"]) == 1
    assert page["total"] == len(everybody)
    topics = api.http.get("/v1/topics", params={"namespace": api.namespace}).json()
    assert topics["model"] is None
    assert "tea" in {t["topic"] for t in topics["topics"]}
    assert api.ids(entities={"eq": "aLICE"}, topics={"none": ["tea"]}) != []


def test_a_namespace_without_memories_has_no_topics_no_entities_and_an_empty_map(api: Api) -> None:
    scope = {"namespace": api.namespace}
    assert api.http.get("/v1/topics", params=scope).json() == {"topics": [], "total": 0, "model": None}
    assert api.http.get("/v1/entities", params=scope).json() == {"entities": [], "total": 0}
    assert api.http.get("/v1/topics/map", params=scope).json() == {"points": [], "total": 0, "model": None}


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("/v1/topics", {"limit": "0"}, "limit"),
        ("/v1/entities", {"created_after": "soon"}, "created_after"),
        ("/v1/topics/map", {}, "namespace"),
        ("/v1/topics/map", {"namespace": "n", "limit": "5001"}, "limit"),
    ],
)
def test_wrong_queries_are_refused(http: httpx.Client, path: str, query: dict[str, str], field: str) -> None:
    assert problems(http.get(path, params=query))[0]["loc"] == ["query", field]


def test_a_refit_of_too_few_memories_is_refused(api: Api) -> None:
    assert "TOPIC_MIN_MEMORIES" in refusal(api.http.post("/v1/topics/refit", json={"namespace": api.namespace}), 400)
    assert "TOPIC_MIN_MEMORIES" in refusal(api.http.post("/v1/topics/refit"), 400)


def test_a_large_create_shows_how_far_it_is(api: Api) -> None:
    texts = [f"User visited place number {n} with Alice" for n in range(300)]
    task_id = api.create(*texts)["task_id"]
    seen: list[tuple[str, int]] = []

    def ended() -> dict[str, Any] | None:
        task = api.task(task_id)
        assert task["memories_total"] == 300
        if "step" in task:
            seen.append((task["step"], task["memories_done"]))
        return task if task["status"] == "success" else None

    task = wait_until(ended, 120, "the create has ended")
    assert (task["step"], task["memories_done"], task["stored"]) == ("done", 300, 300)
    assert {step for step, _ in seen} & {"entities", "embed", "topics"}, seen
    assert len(api.memories(entities={"eq": "Alice"})) == 100


_LIGHT = """
import sys
import app.wsgi, app.api.application, app.container, app.memory.topics.refit
import tasks.celery_app, tasks.base, tasks.steps, tasks.background, tasks.topics, flower.command
heavy = {"bertopic", "umap", "numba", "hdbscan", "sklearn", "torch", "spacy", "sentence_transformers"}
print(sorted(heavy & set(sys.modules)))
"""


def test_web_beat_and_flower_import_nothing_of_bertopic() -> None:
    environment = {**os.environ, "REDIS_URL": "redis://127.0.0.1:1/0", "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, "-c", _LIGHT], env=environment, capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "[]"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_no_process_of_the_stack_has_numba_in_memory(stack: Any, api: Api) -> None:
    if not isinstance(stack, Stack):
        pytest.skip("the server under test is not ours to look into")
    api.create("User is allergic to peanuts")
    enriched(api)
    for name in ("web", "beat", "worker"):
        root = stack.processes[name].pid
        children = Path(f"/proc/{root}/task/{root}/children").read_text().split()
        for pid in (str(root), *children):
            assert "llvmlite" not in Path(f"/proc/{pid}/maps").read_text(), name
