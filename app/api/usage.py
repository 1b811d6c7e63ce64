"""What model calls cost (additive to the contract)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import marshmallow as ma
from marshmallow import validate

from app.api.resource import blueprint, engine
from app.api.schemas.base import AnswerSchema, QuerySchema
from app.api.schemas.fields import ScopeName, Whole
from app.memory.models import ModelUsage

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


@bp.route("", methods=["GET"])
@bp.arguments(UsageQuerySchema, location="query")
@bp.response(200, UsageSchema)
def get_usage(query: dict[str, Any]) -> Any:
    """Model calls of one tenant, or of all, by model and purpose."""
    ledger = engine().usage
    namespaces = [query["namespace"]] if "namespace" in query else ledger.namespaces()
    found = (query["days"], ledger.read(namespaces, days=query["days"]))
    return found, 200  # a bare pair would be read as body and status
