"""Who may call what: one row per operation of the OpenAPI document.

A new route needs a row here, and a line in `app/api/access.py` if its data come through guarded services of the engine;
without that line it is for administrators of the whole deployment (`everything`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from tests.support.builders import Json

# "tenant": an administrator whose credential is not limited to users; "everything": one who is not limited at all.
Needs = Literal["nothing", "read", "write", "admin", "tenant", "everything"]


@dataclass(frozen=True)
class World:
    """What calls are about: ids that exist, and the scope that a call names (theirs, part of it, or another)."""

    scope: dict[str, str]
    session_id: str
    memory_id: str
    view_id: str
    task_id: str

    @property
    def tenant(self) -> dict[str, str]:
        """The namespace of the scope."""
        return {name: value for name, value in self.scope.items() if name == "namespace"}

    @property
    def filters(self) -> Json:
        """The scope as filters of a search."""
        return {name: {"eq": value} for name, value in self.scope.items()}

    @property
    def group(self) -> dict[str, str]:
        """The scope as a partition of the view, which is grouped by user."""
        return {"user_id": self.scope.get("user_id", "nobody")}


@dataclass(frozen=True)
class Row:
    """One operation: what it needs, what one who may see none of the data is answered, a call of it, its success."""

    needs: Needs
    foreign: int
    method: str
    call: Callable[[World], tuple[str, Json]]
    done: tuple[int, ...] = (200,)

    def request(self, world: World) -> dict[str, Any]:
        """Arguments for `httpx.Client.request`."""
        path, rest = self.call(world)
        return {"method": self.method, "url": path, **rest}


_LTM, _WM, _VIEWS = "/v1/long-term-memory", "/v1/working-memory", "/v1/summary-views"
_MESSAGE = {"role": "user", "content": "hello", "created_at": "2026-01-01T00:00:00Z", "discrete_memory_extracted": "t"}


def export_of(world: World) -> bytes:
    """An export of the scope's namespace without any data."""
    head = {"format": "agent-memory-export", "version": 1, "namespace": world.scope.get("namespace")}
    return b"\n".join(json.dumps(line).encode() for line in (head, {"end": True, "lines": 0}))


# 403 where the call names the scope, 404 where it names an id, 200 where it finds nothing.
ROWS: dict[str, Row] = {
    "get_health": Row("nothing", 200, "GET", lambda w: ("/v1/health", {})),
    "get_liveness": Row("nothing", 200, "GET", lambda w: ("/healthz", {})),
    "get_readiness": Row("nothing", 503, "GET", lambda w: ("/readyz", {})),  # no worker runs here
    "list_sessions": Row("read", 403, "GET", lambda w: (f"{_WM}/", {"params": w.scope})),
    "get_session": Row("read", 403, "GET", lambda w: (f"{_WM}/{w.session_id}", {"params": w.scope})),
    "put_session": Row("write", 403, "PUT", lambda w: (f"{_WM}/{w.session_id}", {"json": {**w.scope, "messages": []}})),
    "append_messages": Row(
        "write",
        403,
        "POST",
        lambda w: (f"{_WM}/{w.session_id}/messages", {"json": {**w.scope, "messages": [_MESSAGE]}}),
    ),
    "delete_session": Row("write", 403, "DELETE", lambda w: (f"{_WM}/{w.session_id}", {"params": w.scope})),
    "create_memories": Row(
        "write", 403, "POST", lambda w: (f"{_LTM}/", {"json": {"memories": [{"id": "n", "text": "tea", **w.scope}]}})
    ),
    "get_memory": Row("read", 404, "GET", lambda w: (f"{_LTM}/{w.memory_id}", {})),
    "update_memory": Row("write", 404, "PATCH", lambda w: (f"{_LTM}/{w.memory_id}", {"json": {"pinned": True}})),
    "delete_memories": Row("write", 403, "DELETE", lambda w: (_LTM, {"params": {**w.scope, "memory_ids": "another"}})),
    "search_memories": Row("read", 403, "POST", lambda w: (f"{_LTM}/search", {"json": {"text": "x", **w.filters}})),
    "forget_memories": Row(
        "admin", 403, "POST", lambda w: (f"{_LTM}/forget", {"params": w.scope, "json": {"policy": {"budget": 0}}})
    ),
    "compact_memories": Row("admin", 403, "POST", lambda w: (f"{_LTM}/compact", {"params": w.scope})),
    "get_memory_history": Row("read", 404, "GET", lambda w: (f"{_LTM}/{w.memory_id}/history", {})),
    # 409: there is nothing more to undo.
    "restore_memory": Row("write", 404, "POST", lambda w: (f"{_LTM}/{w.memory_id}/restore", {}), (200, 409)),
    "promote_session": Row("write", 403, "POST", lambda w: (f"{_WM}/{w.session_id}/promote", {"json": w.scope})),
    "count_topics": Row("read", 403, "GET", lambda w: ("/v1/topics", {"params": w.scope})),
    "count_entities": Row("read", 403, "GET", lambda w: ("/v1/entities", {"params": w.scope})),
    "topic_map": Row("read", 403, "GET", lambda w: ("/v1/topics/map", {"params": w.scope})),
    # 400: there are too few memories to find topics in.
    "refit_topics": Row("tenant", 403, "POST", lambda w: ("/v1/topics/refit", {"json": w.tenant}), (200, 400)),
    "export_namespace": Row("tenant", 403, "GET", lambda w: ("/v1/user-data/export", {"params": w.tenant})),
    "import_namespace": Row(
        "everything", 403, "POST", lambda w: ("/v1/user-data/import", {"params": w.tenant, "content": export_of(w)})
    ),
    "get_usage": Row("everything", 403, "GET", lambda w: ("/v1/usage", {})),
    "get_metrics": Row("everything", 403, "GET", lambda w: ("/metrics", {})),
    "list_jobs": Row("everything", 403, "GET", lambda w: ("/v1/jobs", {})),
    "change_job": Row("everything", 403, "PATCH", lambda w: ("/v1/jobs/dispatch", {"json": {"paused": False}})),
    "list_dead_letters": Row("everything", 403, "GET", lambda w: ("/v1/dead-letters", {"params": w.tenant})),
    "replay_dead_letters": Row("everything", 403, "POST", lambda w: ("/v1/dead-letters/replay", {"params": w.tenant})),
    "hydrate_prompt": Row(
        "read",
        403,
        "POST",
        lambda w: (
            "/v1/memory/prompt",
            {"json": {"query": "x", "session": {"session_id": w.session_id, **w.scope}, "long_term_search": True}},
        ),
    ),
    "list_views": Row("read", 200, "GET", lambda w: (_VIEWS, {})),
    "create_view": Row(
        "write",
        403,
        "POST",
        lambda w: (_VIEWS, {"json": {"source": "long_term", "group_by": ["user_id"], "filters": w.scope}}),
    ),
    "get_view": Row("read", 404, "GET", lambda w: (f"{_VIEWS}/{w.view_id}", {})),
    "delete_view": Row("write", 200, "DELETE", lambda w: (f"{_VIEWS}/{w.view_id}", {})),
    "run_partition": Row(
        "write", 404, "POST", lambda w: (f"{_VIEWS}/{w.view_id}/partitions/run", {"json": {"group": w.group}})
    ),
    "list_partitions": Row("read", 404, "GET", lambda w: (f"{_VIEWS}/{w.view_id}/partitions", {})),
    "run_view": Row("write", 404, "POST", lambda w: (f"{_VIEWS}/{w.view_id}/run", {"json": {}})),
    # 404: the session's messages came distilled.
    "get_latest_task": Row(
        "read", 403, "GET", lambda w: ("/v1/tasks", {"params": {**w.scope, "session_id": w.session_id}}), (200, 404)
    ),
    "count_verdicts": Row("read", 403, "GET", lambda w: ("/v1/usage/verdicts", {"params": w.scope})),
    "get_task": Row("read", 404, "GET", lambda w: (f"/v1/tasks/{w.task_id}", {})),
    # It takes what the other calls are about away, so it comes last.
    "erase_user": Row("admin", 403, "DELETE", lambda w: ("/v1/user-data", {"params": w.scope})),
}
