"""Forty steps through the Python, JavaScript and Java clients: each step's result must be the same in all.

The steps are data; a driver in each language takes them (`drivers/`). Python is the published client of the Redis Agent
Memory Server, so the two clients of ours are held to what it does.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.builders import unique
from tests.support.sdk import PACKAGE
from tests.support.stack import Server

DRIVERS = Path(__file__).parent / "drivers"
AT = "2026-11-24T10:00:00Z"
HELLO = {"role": "user", "content": "Hello!", "id": "NS-m1", "created_at": AT}
HI = {"role": "assistant", "content": "Hi there!", "id": "NS-m2", "created_at": AT}
TRAIN = {
    "id": "NS-train", "text": "Maya likes window seats on trains", "user_id": "maya", "memory_type": "semantic",
    "topics": ["travel"],
}  # fmt: skip
NUTS = {
    "id": "NS-nuts", "text": "Tom is allergic to peanuts", "user_id": "tom", "memory_type": "episodic",
    "topics": ["health"], "event_date": "2026-11-01T00:00:00Z",
}  # fmt: skip
CELLO = {"id": "NS-cello", "text": "Maya plays the cello", "user_id": "maya", "memory_type": "semantic"}
LOCKERS = [
    {"id": f"NS-{i}", "text": f"Locker {i} is red", "user_id": "lockers", "memory_type": "message"} for i in range(7)
]
MAYA, TOM = {"eq": "maya"}, {"eq": "tom"}
VIEW = {"name": "per user", "source": "long_term", "group_by": ["user_id"], "filters": {"namespace": "NS"}}

STEPS: list[tuple[str, dict[str, Any]]] = [
    ("health", {}),
    # sessions
    ("get_task", {"id": "none"}),
    ("get_or_create", {"id": "s 1/ü"}),
    ("get_or_create", {"id": "s 1/ü"}),
    ("put", {"id": "s1", "session": {"messages": [HELLO], "data": {"theme": "dark", "n": [1, {"deep": True}]}}}),
    ("get_or_create", {"id": "s1"}),
    ("append", {"id": "s1", "messages": [HI]}),
    ("get_or_create", {"id": "s1"}),
    ("set_data", {"id": "s1", "data": {"lang": "pt"}}),
    ("put", {"id": "s1", "session": {"messages": [{**HELLO, "content": " "}]}}),
    ("list_sessions", {"limit": 10, "offset": 0}),
    ("delete_session", {"id": "s1"}),
    # memories
    ("create", {"memories": [TRAIN, NUTS]}),
    ("search", {"request": {"text": "where does she sit?", "user_id": MAYA}}),
    ("search", {"request": {"text": "food", "topics": {"any": ["health", "food"]}, "limit": 5}}),
    ("search", {"request": {"text": "food", "user_id": TOM, "memory_type": {"eq": "semantic"}}}),
    ("search", {"request": {"text": "food", "user_id": {"any": ["tom", "maya"]}, "limit": 1, "offset": 1}}),
    ("search", {"request": {"text": "peanuts", "namespace": {"eq": "NS-elsewhere"}}}),
    ("search", {"request": {"text": "peanuts", "limit": 1000}}),
    ("create", {"memories": [{**TRAIN, "id": "NS-again"}]}),
    ("get", {"id": "NS-nuts"}),
    ("get", {"id": "NS-none"}),
    ("edit", {"id": "NS-nuts", "updates": {"text": "Tom is allergic to walnuts", "topics": ["health", "nuts"]}}),
    ("edit", {"id": "NS-nuts", "updates": {"text": ""}}),
    ("bulk", {"memories": LOCKERS, "batch": 3}),
    ("search_all", {"request": {"text": "locker", "user_id": {"eq": "lockers"}}, "batch": 10}),
    ("forget", {"policy": {"max_age_days": 30}}),
    ("delete", {"ids": ["NS-nuts", "NS-none"]}),
    # both together
    ("add_memories", {"id": "s2", "memories": [CELLO]}),
    ("promote", {"id": "s2"}),
    (
        "prompt",
        {"query": "What does Maya play?", "session": "s2", "search": {"text": "music", "user_id": MAYA, "limit": 1}},
    ),
    # summary views
    ("create_view", {"view": VIEW}),
    ("get_view", {}),
    ("list_views", {}),
    ("run_partition", {"group": {"user_id": "maya"}}),
    ("run_partition", {"group": {"wrong": "key"}}),
    ("run_view", {}),
    ("list_partitions", {}),
    ("delete_view", {}),
    ("get_view", {}),
]
# Of its own for each client, or a matter of when it ran (topics and entities are added in the background).
VOLATILE = {
    "topics", "entities", "metadata",
    "now", "created_at", "updated_at", "last_accessed", "persisted_at", "computed_at", "started_at", "completed_at",
    "discrete_memory_extracted", "memory_hash", "view_id", "score", "access_count",
}  # fmt: skip
NAMES_OF_THE_SERVERS_MAKING = {"create_view", "get_view", "list_views", "run_view"}


def comparable(value: Any, name: str) -> Any:
    """A result without what must differ: times, ids that the server makes, nulls, the last digits of distances."""
    if isinstance(value, list):
        items = [comparable(item, name) for item in value]
        return sorted(items) if all(isinstance(item, str) for item in items) else items
    if isinstance(value, float):
        return round(value, 3)
    if not isinstance(value, dict):
        return value
    unwanted = VOLATILE | ({"id"} if name in NAMES_OF_THE_SERVERS_MAKING else set())
    return {k: comparable(v, name) for k, v in value.items() if v is not None and k not in unwanted}


def contains(more: Any, less: Any) -> bool:
    """Whether a result shows all that another one does."""
    if isinstance(less, dict) and isinstance(more, dict):
        return all(key in more and contains(more[key], value) for key, value in less.items())
    if isinstance(less, list) and isinstance(more, list):
        return len(less) == len(more) and all(map(contains, more, less))
    return bool(more == less)


@pytest.fixture(scope="module")
def results(
    request: pytest.FixtureRequest, stack: Server, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Any]]:
    """The results of all steps, by language; the clients work in namespaces of their own."""
    folder = tmp_path_factory.mktemp("drivers")
    (folder / "node_modules" / PACKAGE).parent.mkdir(parents=True)
    (folder / "node_modules" / PACKAGE).symlink_to(request.getfixturevalue("javascript"))
    shutil.copy(DRIVERS / "driver.mjs", folder)
    commands = {
        "python": [sys.executable, str(DRIVERS / "driver.py")],
        "javascript": ["node", "driver.mjs"],
        "java": ["java", "-cp", request.getfixturevalue("java"), "dev.agentmemory.client.Driver"],
    }
    found: dict[str, list[Any]] = {}
    for language, command in commands.items():
        namespace = unique(language)
        done = subprocess.run(
            [*command, stack.base_url, namespace],
            input=json.dumps(STEPS).replace("NS", namespace),
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"{language}: {done.stderr}"
        steps = json.loads(done.stdout.replace(namespace, "NS"))
        found[language] = [comparable(s, name) for s, (name, _) in zip(steps, STEPS, strict=True)]
    return found


def test_there_are_forty_steps() -> None:
    assert len(STEPS) == 40


@pytest.mark.parametrize("number", range(len(STEPS)), ids=[f"{i + 1}-{name}" for i, (name, _) in enumerate(STEPS)])
def test_a_step_has_the_same_result_in_all_languages(results: dict[str, list[Any]], number: int) -> None:
    python, javascript, java = (results[language][number] for language in ("python", "javascript", "java"))
    assert javascript == java
    assert contains(javascript, python), f"{javascript}\n{python}"


def test_the_steps_do_something(results: dict[str, list[Any]]) -> None:
    by_name = {name: result for (name, _), result in zip(STEPS, results["python"], strict=True)}
    errors = [result["error"] for result in results["python"] if isinstance(result, dict) and "error" in result]
    assert sorted(errors) == [400, 400, 404, 404, 404, 422, 422]
    assert len(by_name["search_all"]) == len(LOCKERS)
    assert by_name["run_view"]["status"] == "success"
    assert "cello" in str(by_name["prompt"])
