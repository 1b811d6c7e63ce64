"""A few calls that most tests make, with their status checked."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.builders import Json, SessionBuilder, a_memory, a_session
from tests.support.waiting import PROMOTION_SECONDS, wait_until


class Api:
    """The HTTP API, in one namespace unless a call says otherwise."""

    def __init__(self, http: httpx.Client, namespace: str) -> None:
        self.http = http
        self.namespace = namespace

    def create(self, *memories: str | Json, deduplicate: bool = True, **shared: Any) -> Json:
        """Create memories in the namespace; the answer."""
        made = [a_memory(m) if isinstance(m, str) else m for m in memories]
        body = {
            "memories": [{"namespace": self.namespace, **shared, **m} for m in made],
            "deduplicate": deduplicate,
        }
        answer = self.http.post("/v1/long-term-memory/", json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def search(self, text: str | None = None, **body: Any) -> Json:
        """Search in the namespace; the answer."""
        request = {"namespace": {"eq": self.namespace}, **body}
        if text is not None:
            request["text"] = text
        answer = self.http.post("/v1/long-term-memory/search", json=request)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def memories(self, text: str | None = None, **body: Any) -> list[Json]:
        """The hits of a search (100 at most), or of a listing."""
        return list(self.search(text, **{"limit": 100, **body})["memories"])

    def texts(self, text: str | None = None, **body: Any) -> list[str]:
        """The texts of the hits."""
        return [m["text"] for m in self.memories(text, **body)]

    def ids(self, text: str | None = None, **body: Any) -> list[str]:
        """The ids of the hits."""
        return [m["id"] for m in self.memories(text, **body)]

    def wait_for_memories(self, count: int, timeout: float = PROMOTION_SECONDS, **body: Any) -> list[Json]:
        """Wait until the namespace lists at least so many memories; them."""

        def enough() -> list[Json]:
            found = self.memories(**body)
            assert len(found) >= count, [m["text"] for m in found]
            return found

        return wait_until(enough, timeout, f"{count} memories in {self.namespace}")

    def session(self, session_id: str, **query: Any) -> Json:
        """GET a session that must exist."""
        answer = self.http.get(f"/v1/working-memory/{session_id}", params=query)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def wait_until_promoted(self, session_id: str, timeout: float = PROMOTION_SECONDS, **query: Any) -> Json:
        """Wait until everything in the session is marked as done; the session."""

        def done() -> Json:
            session = self.session(session_id, **query)
            open_messages = [m["id"] for m in session["messages"] if m["discrete_memory_extracted"] != "t"]
            open_memories = [m["id"] for m in session["memories"] if not m["persisted_at"]]
            assert not open_messages, f"not extracted: {open_messages[:5]}"
            assert not open_memories, f"not persisted: {open_memories[:5]}"
            return session

        return wait_until(done, timeout, f"session {session_id} is promoted")

    def task(self, task_id: str) -> Json:
        """GET a task that must exist."""
        answer = self.http.get(f"/v1/tasks/{task_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def wait_for_task(self, task_id: str, timeout: float = 60.0) -> Json:
        """Wait until a task has ended; it."""

        def ended() -> Json | None:
            task = self.task(task_id)
            return task if task["status"] in ("success", "failed") else None

        return wait_until(ended, timeout, f"task {task_id} ends") or {}


def something_stored(api: Api) -> tuple[SessionBuilder, Json]:
    """A promoted session ("I live in Lisbon.") and a memory ("User likes tea"), for what is tried on both."""
    session = a_session().of(api.namespace, "u").with_messages("I live in Lisbon.")
    session.put(api.http)
    memory = a_memory("User likes tea")
    api.create(memory)
    api.wait_until_promoted(session.session_id, **session.scope)
    return session, memory
