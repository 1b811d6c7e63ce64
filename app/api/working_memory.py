"""Sessions (routes 2-5 of the contract, and append)."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from flask import g

from app.api.resource import blueprint, engine, links, refusals
from app.api.schemas.base import AckSchema
from app.api.schemas.working import (
    AppendedSchema,
    AppendSchema,
    GetSessionQuerySchema,
    ListSessionsQuerySchema,
    PromoteSchema,
    RevisionHeaderSchema,
    ScopeQuerySchema,
    SessionListSchema,
    WindowQuerySchema,
    WorkingMemorySchema,
    WorkingMemoryUpdateSchema,
)
from app.api.tasks import TaskSchema
from app.memory.errors import PreconditionFailed, ValidationFailed
from app.memory.models import Scope, Session, SessionRef, utc_now
from app.memory.windows import ContextUse
from app.memory.working import Window

bp = blueprint("working-memory", "/working-memory", "Working memory: one document per session")
MAX_ID_CHARS = 255
_ETAG = {"ETag": {"schema": {"type": "string"}, "description": "The stored revision, for If-Match"}}
_WARNING = {
    "X-Deprecation-Warning": {"schema": {"type": "string"}, "description": "Some messages came without created_at"}
}
_REVISION = re.compile(r'(?:W/)?"?([0-9]{1,18})"?')
_SESSION = {"session_id": "$response.body#/session_id"}


def _ref(session_id: str, values: dict[str, Any]) -> SessionRef:
    if len(session_id) > MAX_ID_CHARS:
        wrong = f"session_id should have at most {MAX_ID_CHARS} characters"
        raise ValidationFailed(
            [{"type": "value_error", "loc": ["path", "session_id"], "msg": wrong, "input": session_id}]
        )
    return SessionRef(Scope(values.get("namespace"), values.get("user_id")), session_id)


def _window(query: dict[str, Any]) -> Window:
    return Window(query.get("model_name"), query.get("context_window_max"))


def _expected_revision(header: str) -> int | None:
    """The revision named by an `If-Match`, if any."""
    header = header.strip()
    if not header or header == "*":
        return None
    named = _REVISION.fullmatch(header)
    if named is None:
        raise PreconditionFailed("If-Match names no revision of this session")
    return int(named[1])


def _with_etag(stored: tuple[Session, ContextUse]) -> tuple[Any, int, dict[str, str]]:
    return stored, 200, {"ETag": f'"{stored[0].revision}"'}


@bp.route("/", methods=["GET"])
@bp.arguments(ListSessionsQuerySchema, location="query")
@bp.response(200, SessionListSchema)
def list_sessions(query: dict[str, Any]) -> Any:
    """List session ids, most recently updated first."""
    found = engine().working_memory.list_ids(
        namespace=query.get("namespace"), user_id=query.get("user_id"), limit=query["limit"], offset=query["offset"]
    )
    return found, 200  # a bare pair would be read as body and status


@bp.route("/<path:session_id>/messages", methods=["POST"])
@bp.arguments(AppendSchema)
@bp.response(200, AppendedSchema, headers=_ETAG)
@bp.doc(responses=refusals({400: "A message is blank, or the session has too many"}))
def append_messages(body: dict[str, Any], session_id: str) -> Any:
    """Add messages at the end of a session; safe under concurrent writers (additive to the contract)."""
    stored = engine().working_memory.append(_ref(session_id, body), body["messages"])
    return stored, 200, {"ETag": f'"{stored.revision}"'}


@bp.route("/<path:session_id>/promote", methods=["POST"])
@bp.arguments(PromoteSchema)
@bp.response(200, TaskSchema)
@bp.doc(responses=refusals({404: "There is no such session, and nothing of it awaits promotion"}))
def promote_session(body: dict[str, Any], session_id: str) -> Any:
    """Promote what awaits it now, without the quiet time; the task says how far it is (additive to the contract)."""
    return engine().promotion.start(_ref(session_id, body))


@bp.route("/<path:session_id>", methods=["GET"])
@bp.arguments(GetSessionQuerySchema, location="query")
@bp.response(200, WorkingMemorySchema, headers=_ETAG)
@bp.doc(responses=refusals({404: "There is no such session, or several and the scope does not say which"}))
def get_session(query: dict[str, Any], session_id: str) -> Any:
    """Get a session, cut to the caller's context window if one is named."""
    session, use = engine().working_memory.get(
        _ref(session_id, query), _window(query), recent_messages_limit=query.get("recent_messages_limit")
    )
    # A read session always has an object here (wire contract 2.2).
    return _with_etag((replace(session, data=session.data or {}), use))


@bp.route("/<path:session_id>", methods=["PUT"])
@bp.arguments(WorkingMemoryUpdateSchema)
@bp.arguments(WindowQuerySchema, location="query")
@bp.arguments(RevisionHeaderSchema, location="headers")
@bp.response(200, WorkingMemorySchema, headers={**_ETAG, **_WARNING})
@bp.doc(responses=refusals({400: "A message is blank", 412: "The session is at another revision than If-Match says"}))
@bp.doc(responses=links({"get_session": _SESSION, "append_messages": _SESSION, "delete_session": _SESSION}))
def put_session(body: dict[str, Any], query: dict[str, Any], headers: dict[str, Any], session_id: str) -> Any:
    """Replace a session; its conversation is distilled in the background."""
    now = utc_now()
    session = Session(
        ref=_ref(session_id, body),
        messages=tuple(body["messages"]),
        memories=tuple(body["memories"]),
        data=body.get("data"),
        context=body.get("context"),
        tokens=body["tokens"],
        strategy=body["long_term_memory_strategy"],
        ttl_seconds=body.get("ttl_seconds"),
        created_at=body.get("created_at"),
        updated_at=now,
        last_accessed=body.get("last_accessed") or now,
    )
    stored = engine().working_memory.put(
        session, _window(query), expected_revision=_expected_revision(headers.get("if_match", ""))
    )
    answer, status, more = _with_etag(stored)
    if undated := sum(message.get("created_at") is None for message in g.body.get("messages") or ()):
        more["X-Deprecation-Warning"] = (
            f"{undated} message(s) came without created_at; the server's time was used. "
            "Send created_at: relative dates are counted from it."
        )
    return answer, status, more


@bp.route("/<path:session_id>", methods=["DELETE"])
@bp.arguments(ScopeQuerySchema, location="query")
@bp.response(200, AckSchema)
def delete_session(query: dict[str, Any], session_id: str) -> Any:
    """Delete a session; memories already distilled from it stay."""
    engine().working_memory.delete(_ref(session_id, query))
    return "ok"
