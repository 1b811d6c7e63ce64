"""Is it alive, is it ready, what runs."""

from __future__ import annotations

import time
from typing import Any

from marshmallow import fields, validate

from app.api.resource import WireBlueprint, engine
from app.api.schemas.base import AnswerSchema
from app.memory.health import readiness

bp = WireBlueprint("health", "health", description="Health")


class HealthSchema(AnswerSchema):
    """The server's time."""

    now = fields.Integer(metadata={"description": "Unix milliseconds"})

    def to_wire(self, value: int) -> dict[str, Any]:
        """The time."""
        return {"now": value}


class LivenessSchema(AnswerSchema):
    """The process answers."""

    status = fields.String(validate=validate.OneOf(["alive"]))

    def to_wire(self, value: str) -> dict[str, Any]:
        """The word."""
        return {"status": value}


class ReadinessSchema(AnswerSchema):
    """What works, and which models are in use."""

    ready = fields.Boolean()

    def to_wire(self, value: dict[str, Any]) -> dict[str, Any]:
        """The whole report."""
        return value


@bp.route("/v1/health", methods=["GET"])
@bp.response(200, HealthSchema)
def get_health() -> Any:
    """Answer with the server's time in Unix milliseconds; touches nothing."""
    return int(time.time() * 1000)


@bp.route("/healthz", methods=["GET"])
@bp.response(200, LivenessSchema)
def get_liveness() -> Any:
    """Liveness: the process answers."""
    return "alive"


@bp.route("/readyz", methods=["GET"])
@bp.response(200, ReadinessSchema)
@bp.alt_response(503, schema=ReadinessSchema, description="Something that is needed does not work")
def get_readiness() -> Any:
    """Readiness: Redis, search, broker and a worker answer; says which models are in use."""
    report = readiness(engine())
    return (report, 200) if report["ready"] else (report, 503, {"Retry-After": "2"})
