"""What operators see: request ids in every process's log, metrics, jobs, dead letters, the doctor."""

from __future__ import annotations

import json
import re
import subprocess
import time

import pytest
import redis

from app.memory.models import Scope, SessionRef
from app.store import keys
from app.store.outbox import Outbox
from tests.support.builders import a_memory, a_session, unique
from tests.support.stack import BIN, ROOT, Stack
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def own(stack) -> Stack:
    """The test session's own stack: these tests look into its logs and its Redis."""
    if not isinstance(stack, Stack):
        pytest.skip("needs a stack of our own")
    return stack


def log_lines(stack: Stack, name: str) -> list[dict]:
    lines = (stack.directory / f"{name}.log").read_text(errors="replace").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def test_a_request_can_be_followed_from_its_put_to_the_indexed_memory(own, api, namespace):
    request_id = unique("request")
    session = a_session().of(namespace, "u").with_messages("I live in Lisbon.")
    answer = own.http.put(
        f"/v1/working-memory/{session.session_id}", json=session.body, headers={"X-Request-ID": request_id}
    )
    assert answer.headers["X-Request-ID"] == request_id
    api.wait_until_promoted(session.session_id, **session.scope)

    def lines(name: str) -> list[dict]:
        return [line for line in log_lines(own, name) if line.get("request_id") == request_id]

    access = [line for line in lines("web") if line["logger"] == "app.access"]
    assert [(line["method"], line["status"]) for line in access] == [("PUT", 200)]
    finished = wait_until(
        lambda: [x for x in lines("worker") if x["event"] == "batch finished"], 10, "the batch's line"
    )
    assert finished[0]["step"] == "acknowledge"
    assert finished[0]["task"]


def samples(text: str) -> dict[str, float]:
    return {m[1]: float(m[2]) for m in re.finditer(r"^(\w+(?:\{[^}]*\})?) (\S+)$", text, re.MULTILINE)}


def test_metrics_of_the_web_process_tell_requests_queues_outbox_and_cache(own, api):
    api.create(a_memory("User likes tea"))
    api.memories("a question nobody asked before")
    api.memories("a question nobody asked before")
    answer = own.http.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    found = samples(answer.text)
    searches = 'agent_memory_http_requests_total{method="POST",route="/v1/long-term-memory/search",status="200"}'
    assert found[searches] >= 2
    assert found['agent_memory_memories_total{outcome="stored"}'] >= 1
    assert found['agent_memory_query_embeddings_total{source="model"}'] >= 1
    assert found['agent_memory_query_embeddings_total{source="process"}'] >= 1
    for queue in ("llm", "ml", "store"):
        assert found[f'agent_memory_queue_depth{{queue="{queue}"}}'] >= 0
    assert found["agent_memory_dead_letters"] >= 0
    assert found["agent_memory_outbox_members"] >= 0
    assert found['agent_memory_up{part="store"}'] == found['agent_memory_up{part="broker"}'] == 1


def test_metrics_of_a_worker_tell_the_steps_of_all_its_children(own, api, namespace):
    session = a_session().of(namespace, "u").with_memories("User likes tea")
    session.put(own.http)
    api.wait_until_promoted(session.session_id, **session.scope)

    def seen() -> dict[str, float]:
        text = own.http.get(f"http://127.0.0.1:{own.metrics_port}/metrics").text
        found = samples(text)
        assert found.get('agent_memory_step_seconds_count{step="index"}', 0) >= 1
        assert found.get('agent_memory_tasks_total{outcome="done",task="tasks.housekeeping.dispatch"}', 0) >= 1
        return found

    found = wait_until(seen, 10, "the steps are counted")
    assert any(name.startswith("agent_memory_queue_wait_seconds_count") for name in found)


def test_a_job_shows_its_last_run_and_can_be_paused(own):
    def dispatch() -> dict:
        return next(job for job in own.http.get("/v1/jobs").json() if job["name"] == "dispatch")

    def ran() -> dict:
        job = dispatch()
        assert job["last_run"]
        return job

    job = wait_until(ran, 10, "the dispatcher has run")
    assert job["enabled"]
    assert not job["paused"]
    assert job["last_error"] is None
    assert set(job["last_effect"]) == {"started"}
    try:
        assert own.http.patch("/v1/jobs/dispatch", json={"paused": True}).json()["paused"]
        time.sleep(1.0)  # what had begun may end
        stopped = dispatch()["last_run"]
        time.sleep(1.0)  # three ticks
        assert dispatch()["last_run"] == stopped
    finally:
        own.http.patch("/v1/jobs/dispatch", json={"paused": False})
    wait_until(lambda: dispatch()["last_run"] > stopped, 10, "the dispatcher runs again")


def test_only_jobs_that_exist_can_be_paused(http):
    assert http.patch("/v1/jobs/none-such", json={"paused": True}).status_code == 404
    assert http.patch("/v1/jobs/dispatch", json={}).status_code == 422


def test_dead_letters_are_listed_and_replayed(own, api, namespace):
    client = redis.Redis.from_url(own.environment["REDIS_URL"], protocol=2)
    session = a_session().of(namespace, "u").with_memories("User likes tea")
    own.http.patch("/v1/jobs/dispatch", json={"paused": True})
    try:
        session.put(own.http)
        given_up = SessionRef(Scope(namespace, "u"), session.session_id)
        Outbox(client).give_up(given_up, "as if a poison message")  # as the worker does after its last try
    finally:
        own.http.patch("/v1/jobs/dispatch", json={"paused": False})
    query = {"namespace": namespace}
    listed = own.http.get("/v1/dead-letters", params=query).json()
    assert listed == [
        {
            "namespace": namespace,
            "user_id": "u",
            "session_id": session.session_id,
            "batch_id": None,
            "view_id": None,
            "reason": "as if a poison message",
        }
    ]
    assert api.search(limit=1)["total"] == 0
    assert own.http.post("/v1/dead-letters/replay", params=query).json() == {"replayed": 1}
    api.wait_until_promoted(session.session_id, **session.scope)
    assert own.http.get("/v1/dead-letters", params=query).json() == []
    assert client.exists(keys.dead_letters(namespace)) == 0


def cli(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / "agent-memory"), *arguments], env=stack.environment, cwd=ROOT, capture_output=True, text=True
    )


def test_the_doctor_finds_what_is_ill_and_nothing_else(own):
    client = redis.Redis.from_url(own.environment["REDIS_URL"])
    client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        told = cli(own, "doctor")
    finally:
        client.config_set("maxmemory-policy", "noeviction")
    lines = told.stdout.splitlines()
    failed = [line for line in lines if line.startswith("fail")]
    assert len(failed) == 1, told.stdout
    assert "allkeys-lru" in failed[0]
    assert "→ set noeviction" in failed[0]
    assert told.returncode == 1
    subjects = {line.split()[1] for line in lines}
    assert {"settings", "redis", "search", "persistence", "memory", "clock", "migrations", "indexes", "outbox", "jobs",
            "workers", "broker", "models"} <= subjects  # fmt: skip


def test_jobs_and_outbox_on_the_command_line(own):
    assert "dispatch" in cli(own, "jobs").stdout
    assert cli(own, "jobs", "pause", "none-such").returncode == 1
    assert "given up" in cli(own, "outbox").stdout
