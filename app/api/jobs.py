"""Background jobs and given-up work, for operators (additive to the contract)."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import marshmallow as ma

from app.api.resource import blueprint, engine, refusals
from app.api.schemas.base import AnswerSchema, QuerySchema, WireSchema
from app.api.schemas.fields import ScopeName
from app.memory.jobs import Job
from app.memory.models import BatchRef, FoldRef, SessionRef, ViewRunRef, Work

bp = blueprint("jobs", "", "Background jobs and dead letters")


class JobSchema(AnswerSchema):
    """A background job: its switch and schedule, its last run and what that did."""

    NULLABLE = frozenset({"last_run", "last_seconds", "last_effect", "last_error"})

    name = ma.fields.String(metadata={"example": "dispatch"})
    purpose = ma.fields.String()
    enabled = ma.fields.Boolean(metadata={"description": "False: switched off by its setting"})
    switch = ma.fields.String(metadata={"description": "The setting that switches it"})
    paused = ma.fields.Boolean(metadata={"description": "True: paused at run time, until it is resumed"})
    every_seconds = ma.fields.Float()
    last_run = ma.fields.DateTime()
    last_seconds = ma.fields.Float(metadata={"description": "How long the last run took"})
    last_effect = ma.fields.Raw(metadata={"description": "What the last run did: a count, or counts"})
    last_error = ma.fields.String()

    def to_wire(self, value: Job) -> dict[str, Any]:
        """The job and its last run."""
        last = value.last
        return {
            "name": value.schedule.name,
            "purpose": value.schedule.purpose,
            "enabled": value.schedule.enabled,
            "switch": value.schedule.switch,
            "paused": value.paused,
            "every_seconds": value.schedule.every_seconds,
            "last_run": datetime.fromtimestamp(last.started, UTC) if last else None,
            "last_seconds": round(last.seconds, 3) if last else None,
            "last_effect": last.effect if last else None,
            "last_error": last.error if last else None,
        }


class JobChangeSchema(WireSchema):
    """What can be changed about a job."""

    paused = ma.fields.Boolean(
        required=True, metadata={"description": "True: do nothing until it is resumed", "example": True}
    )


class TenantSchema(QuerySchema):
    """One tenant; without it, all."""

    namespace = ScopeName(metadata={"description": "The tenant; without it, all"})


class DeadLetterSchema(AnswerSchema):
    """Work that was given up after its tries; it waits to be replayed."""

    NULLABLE = frozenset({"namespace", "user_id", "session_id", "batch_id", "view_id"})

    namespace = ma.fields.String()
    user_id = ma.fields.String()
    session_id = ma.fields.String(metadata={"description": "Set when a session's promotion or folding was given up"})
    batch_id = ma.fields.String(metadata={"description": "Set when a create was given up"})
    view_id = ma.fields.String(metadata={"description": "Set when a run of a summary view was given up"})
    reason = ma.fields.String()

    def to_wire(self, value: tuple[Work, str]) -> dict[str, Any]:
        """The work by its names, and why it was given up."""
        ref, reason = value
        session = ref.session if isinstance(ref, FoldRef) else ref if isinstance(ref, SessionRef) else None
        batch = ref if isinstance(ref, BatchRef) else None
        return {
            "namespace": session.scope.namespace if session else batch.namespace if batch else None,
            "user_id": session.scope.user_id if session else None,
            "session_id": session.session_id if session else None,
            "batch_id": batch.batch_id if batch else None,
            "view_id": ref.view_id if isinstance(ref, ViewRunRef) else None,
            "reason": reason,
        }


class ReplayedSchema(AnswerSchema):
    """How much was made due again."""

    replayed = ma.fields.Integer()

    def to_wire(self, value: int) -> dict[str, Any]:
        """The count."""
        return {"replayed": value}


@bp.route("/jobs", methods=["GET"])
@bp.response(200, JobSchema(many=True))
def list_jobs() -> Any:
    """List the background jobs with their last runs."""
    return engine().jobs.list()


@bp.route("/jobs/<string:name>", methods=["PATCH"])
@bp.arguments(JobChangeSchema)
@bp.response(200, JobSchema)
@bp.doc(responses=refusals({404: "There is no such job"}))
def change_job(change: dict[str, Any], name: str) -> Any:
    """Pause a job, or let it run again; it takes effect with its next tick."""
    return engine().jobs.pause(name, change["paused"])


@bp.route("/dead-letters", methods=["GET"])
@bp.arguments(TenantSchema, location="query")
@bp.response(200, DeadLetterSchema(many=True))
def list_dead_letters(query: dict[str, Any]) -> Any:
    """List the work that was given up."""
    outbox = engine().outbox
    return [found for namespace in _tenants(query) for found in outbox.dead_letters(namespace)]


@bp.route("/dead-letters/replay", methods=["POST"])
@bp.arguments(TenantSchema, location="query")
@bp.response(200, ReplayedSchema)
def replay_dead_letters(query: dict[str, Any]) -> Any:
    """Make the work that was given up due again."""
    outbox = engine().outbox
    return sum(outbox.replay(namespace, time.time()) for namespace in _tenants(query))


def _tenants(query: dict[str, Any]) -> list[str | None]:
    return [query["namespace"]] if "namespace" in query else engine().outbox.namespaces()
