"""Builders: what a test does not say is sensible by default."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

Json = dict[str, Any]


def iso(moment: datetime) -> str:
    """A time as the wire shows it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def ago(**span: float) -> str:
    """A time in the past: `ago(days=3)`."""
    return iso(datetime.now(UTC) - timedelta(**span))


def unique(prefix: str) -> str:
    """A name that nothing else has."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def a_message(content: str, role: str = "user", **more: Any) -> Json:
    """A message with an id and a time."""
    return {"id": unique("msg"), "role": role, "content": content, "created_at": ago(seconds=30), **more}


def a_memory(text: str = "User likes tea", **more: Any) -> Json:
    """A record for a create; the id is fresh unless given."""
    return {"id": unique("mem"), "text": text, **more}


@dataclass(frozen=True)
class SessionBuilder:
    """A session in the making: each method returns a new builder."""

    session_id: str
    body: Json = field(default_factory=dict)

    def of(self, namespace: str | None = None, user_id: str | None = None) -> SessionBuilder:
        """Put it into a scope."""
        scope = {k: v for k, v in (("namespace", namespace), ("user_id", user_id)) if v is not None}
        return self.having(**scope)

    def having(self, **fields: Any) -> SessionBuilder:
        """Set any fields of the body."""
        return replace(self, body={**self.body, **fields})

    def with_messages(self, *messages: str | Json) -> SessionBuilder:
        """Add messages, plain strings being the user's."""
        made = [a_message(m) if isinstance(m, str) else m for m in messages]
        return self.having(messages=[*self.body.get("messages", []), *made])

    def with_memories(self, *memories: str | Json) -> SessionBuilder:
        """Add structured memories, plain strings being semantic ones."""
        made = [a_memory(m, memory_type="semantic") if isinstance(m, str) else m for m in memories]
        return self.having(memories=[*self.body.get("memories", []), *made])

    def put(self, http: httpx.Client, **query: Any) -> Json:
        """PUT it and return the answer."""
        answer = http.put(f"/v1/working-memory/{self.session_id}", json=self.body, params=query)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    @property
    def scope(self) -> dict[str, str]:
        """Its scope as query parameters."""
        return {k: self.body[k] for k in ("namespace", "user_id") if k in self.body}


def a_session(session_id: str | None = None) -> SessionBuilder:
    """A session with a fresh id."""
    return SessionBuilder(session_id or unique("session"))
