"""What model calls cost (additive to the contract)."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any, get_args

import marshmallow as ma
from marshmallow import validate

from app.api.resource import blueprint, engine
from app.api.schemas.base import AnswerSchema, QuerySchema
from app.api.schemas.fields import ScopeName, Whole
from app.api.schemas.working import ScopeQuerySchema
from app.memory.dedup.plan import Status
from app.memory.models import ModelUsage

VERDICTS: tuple[str, ...] = get_args(Status)

bp = blueprint("usage", "/usage", "Model calls, tokens and cost")


class UsageQuerySchema(QuerySchema):
    """Whose usage, and of how many days (today is one)."""

    namespace = ScopeName(metadata={"description": "One tenant; absent: all of them"})
    days = Whole(
        load_default=30,
        validate=validate.Range(min=1, max=366),
        metadata={"description": "How many days back, today included"},
    )


class UsageSchema(AnswerSchema):
    """Sums per tenant, model and purpose, and in all."""

    days = ma.fields.Integer()
    usage = ma.fields.List(ma.fields.Dict())
    total = ma.fields.Dict()

    def to_wire(self, value: tuple[int, list[ModelUsage]]) -> dict[str, Any]:
        """Rows and their total; a cost of null means that a price is not known (LLM_PRICES)."""
        days, rows = value
        names = ("calls", "failed_calls", "prompt_tokens", "completion_tokens")
        total: dict[str, Any] = {name: sum(getattr(row, name) for row in rows) for name in names}
        total["cost_usd"] = sum(row.cost_usd or 0.0 for row in rows)
        return {"days": days, "usage": [asdict(row) for row in rows], "total": total}


class VerdictsSchema(AnswerSchema):
    """How many memories each verdict was given to, since counting began."""

    verdicts = ma.fields.Dict(
        keys=ma.fields.String(validate=validate.OneOf(VERDICTS)), values=ma.fields.Integer(), required=True
    )
    total = ma.fields.Integer(required=True)

    def to_wire(self, value: Counter[str]) -> dict[str, Any]:
        """All verdicts, also those that were never given."""
        return {"verdicts": {name: value[name] for name in VERDICTS}, "total": value.total()}


@bp.route("/verdicts", methods=["GET"])
@bp.arguments(ScopeQuerySchema, location="query")
@bp.response(200, VerdictsSchema)
def count_verdicts(query: dict[str, Any]) -> Any:
    """Count what became of the memories that were to be stored: of one user, one tenant, or all."""
    return engine().verdicts.of(namespace=query.get("namespace"), user_id=query.get("user_id"))


@bp.route("", methods=["GET"])
@bp.arguments(UsageQuerySchema, location="query")
@bp.response(200, UsageSchema)
def get_usage(query: dict[str, Any]) -> Any:
    """Model calls of one tenant, or of all, by model and purpose."""
    ledger = engine().usage
    namespaces = [query["namespace"]] if "namespace" in query else ledger.namespaces()
    found = (query["days"], ledger.read(namespaces, days=query["days"]))
    return found, 200  # a bare pair would be read as body and status
