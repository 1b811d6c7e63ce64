"""Everything of one user or one tenant at once: erase, export, import (additive to the contract)."""

from __future__ import annotations

from typing import Any

import flask
from flask import Response, request, stream_with_context
from marshmallow import fields

from app.api.resource import blueprint, engine
from app.api.schemas.base import AnswerSchema, QuerySchema
from app.api.schemas.fields import Id, ScopeName
from app.memory.erasure import Receipt
from app.memory.models import Scope

bp = blueprint("user-data", "/user-data", "Erasing one user; exporting and importing one namespace")


class EraseQuerySchema(QuerySchema):
    """Whom to erase."""

    user_id = Id(required=True, metadata={"description": "The user"})
    namespace = ScopeName(metadata={"description": "The tenant; absent: the one without a name"})


class ReceiptSchema(AnswerSchema):
    """What was erased, and how that was checked."""

    NULLABLE = frozenset({"namespace"})

    id = fields.String()
    erased_at = fields.DateTime()
    namespace = fields.String()
    user_sha256 = fields.String()
    deleted = fields.Dict()
    verified = fields.Boolean(metadata={"description": "A look at every key afterwards found nothing of the user"})
    append_only_file = fields.String()
    not_covered = fields.List(fields.String())

    def to_wire(self, value: Receipt) -> dict[str, Any]:
        """All of it."""
        return {name: getattr(value, name) for name in Receipt.__slots__}


@bp.route("", methods=["DELETE"])
@bp.arguments(EraseQuerySchema, location="query")
@bp.response(200, ReceiptSchema)
def erase_user(query: dict[str, Any]) -> Any:
    """Erase everything about one user in one namespace: sessions, memories, their history, summaries, caches."""
    return engine().erasure.erase(Scope(query.get("namespace"), query["user_id"]))


def _namespace() -> str | None:
    return request.args.get("namespace") or None


# JSON Lines, in and out, are no JSON document: these two are described in docs/memory-lifecycle.md.
def export_namespace() -> Response:
    """Export a namespace as JSON Lines, streamed."""
    lines = engine().erasure.export(_namespace())
    return Response(stream_with_context(lines), mimetype="application/x-ndjson")


def import_namespace() -> dict[str, Any]:
    """Read an export back into the namespace that it was made of."""
    return {"status": "ok", "lines": max(engine().erasure.load(request.stream, _namespace()), default=0)}


flask.Blueprint.add_url_rule(bp, "/export", "export_namespace", export_namespace, methods=["GET"])
flask.Blueprint.add_url_rule(bp, "/import", "import_namespace", import_namespace, methods=["POST"])
