"""Task records (route 21 of the contract)."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from app.api.resource import blueprint, engine, refusals
from app.api.schemas.base import AnswerSchema
from app.api.schemas.fields import Id
from app.api.schemas.working import ScopeQuerySchema
from app.memory.errors import NotFound
from app.memory.models import Scope, SessionRef, TaskRecord

bp = blueprint("tasks", "/tasks", "State of background work")


class StepSchema(AnswerSchema):
    """One step of the pipeline; `seconds` of a running one: until now."""

    step = ma.fields.String(metadata={"example": "embed"})
    state = ma.fields.String(validate=ma.validate.OneOf(["waiting", "running", "done", "failed", "skipped"]))
    started_at = ma.fields.DateTime(allow_none=True)
    seconds = ma.fields.Float(allow_none=True)


class TaskSchema(AnswerSchema):
    """The state of one piece of background work, and details that depend on its kind."""

    OPTIONAL = frozenset({"steps"})

    id = ma.fields.String()
    type = ma.fields.String(metadata={"description": "What kind of work", "example": "summary_view_full_run"})
    status = ma.fields.String(validate=ma.validate.OneOf(["pending", "running", "success", "failed"]))
    view_id = ma.fields.String(allow_none=True)
    created_at = ma.fields.DateTime()
    started_at = ma.fields.DateTime(allow_none=True)
    completed_at = ma.fields.DateTime(allow_none=True)
    error_message = ma.fields.String(allow_none=True)
    steps = ma.fields.List(
        ma.fields.Nested(StepSchema), metadata={"description": "The steps of a promotion or a large create, in order"}
    )

    def to_wire(self, value: TaskRecord) -> dict[str, Any]:
        """The contract's fields, then the details of this kind of work."""
        shown = {
            "id": value.id,
            "type": value.type,
            "status": value.status,
            "view_id": value.view_id,
            "created_at": value.created_at,
            "started_at": value.started_at,
            "completed_at": value.completed_at,
            "error_message": value.error_message,
        }
        return {**value.details, **shown}


class LatestTaskQuerySchema(ScopeQuerySchema):
    """Whose task."""

    session_id = Id(required=True, metadata={"description": "The session"})


@bp.route("", methods=["GET"])
@bp.arguments(LatestTaskQuerySchema, location="query")
@bp.response(200, TaskSchema)
@bp.doc(responses=refusals({404: "Nothing of the session was promoted in the last seven days"}))
def get_latest_task(query: dict[str, Any]) -> Any:
    """Get the task of a session's promotion: the one that is not finished, or else the last one."""
    session = SessionRef(Scope(query.get("namespace"), query.get("user_id")), query["session_id"])
    task = engine().promotion.latest(session)
    if task is None:
        raise NotFound(f"No promotion of session {session.session_id} found")
    return task


@bp.route("/<path:task_id>", methods=["GET"])
@bp.response(200, TaskSchema)
@bp.doc(responses=refusals({404: "There is no such task (any more)"}))
def get_task(task_id: str) -> Any:
    """Get the state of background work; kept for seven days."""
    task = engine().task_records.get(task_id)
    if task is None:
        raise NotFound(f"Task {task_id} not found")
    return task
