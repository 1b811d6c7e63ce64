"""Everything of one user or one tenant at once: erase, export, import (additive to the contract)."""

from __future__ import annotations

from typing import Any

from flask import Response, request, stream_with_context
from marshmallow import fields

from app.api.resource import blueprint, engine
from app.api.schemas.base import WireSchema
from app.api.schemas.fields import ScopeName
from app.memory.erasure import Receipt
from app.memory.models import Scope

bp = blueprint("user-data", "/user-data", "Erasing one user; exporting and importing one namespace")


class EraseQuerySchema(WireSchema):
    """Whom to erase."""

    user_id = ScopeName(required=True, error_messages={"required": "Field required"})
    namespace = ScopeName()


class NamespaceQuerySchema(WireSchema):
    """Which tenant."""

    namespace = ScopeName(metadata={"description": "Absent: the tenant without a name"})


class ReceiptSchema(WireSchema):
    """What was erased, and how that was checked."""

    id = fields.String()
    erased_at = fields.DateTime()
    namespace = fields.String(allow_none=True)
    user_sha256 = fields.String()
    deleted = fields.Dict()
    verified = fields.Boolean(metadata={"description": "A look at every key afterwards found nothing of the user"})
    append_only_file = fields.String()
    not_covered = fields.List(fields.String())

    def to_wire(self, value: Receipt) -> dict[str, Any]:
        """All of it."""
        return {name: getattr(value, name) for name in Receipt.__slots__}


class ImportReportSchema(WireSchema):
    """How much was read."""

    status = fields.String()
    lines = fields.Integer()

    def to_wire(self, value: dict[str, Any]) -> dict[str, Any]:
        """As it is."""
        return value


@bp.route("", methods=["DELETE"])
@bp.route("/", methods=["DELETE"])
@bp.arguments(EraseQuerySchema, location="query")
@bp.response(200, ReceiptSchema)
def erase(query: dict[str, Any]) -> Any:
    """Erase everything about one user in one namespace: sessions, memories, their history, summaries, caches."""
    return engine().erasure.erase(Scope(query.get("namespace"), query["user_id"]))


@bp.route("/export", methods=["GET"])
@bp.arguments(NamespaceQuerySchema, location="query")
def export(query: dict[str, Any]) -> Any:
    """Export a namespace as JSON Lines, streamed."""
    lines = engine().erasure.export(query.get("namespace"))
    return Response(stream_with_context(lines), mimetype="application/x-ndjson")


@bp.route("/import", methods=["POST"])
@bp.arguments(NamespaceQuerySchema, location="query")
@bp.response(200, ImportReportSchema)
def load(query: dict[str, Any]) -> Any:
    """Read an export back into the namespace that it was made of (body: the JSON Lines)."""
    done = 0
    for done in engine().erasure.load(request.stream, query.get("namespace")):
        pass
    return {"status": "ok", "lines": done}
