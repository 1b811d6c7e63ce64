"""Summary views (routes 14-20 of the contract)."""

from __future__ import annotations

from typing import Any

from app.api.resource import blueprint, engine
from app.api.schemas.base import AckSchema
from app.api.schemas.views import (
    PartitionQuerySchema,
    PartitionSchema,
    RunPartitionSchema,
    RunViewSchema,
    SummaryViewSchema,
)
from app.api.tasks import TaskSchema
from app.memory.models import SummaryView

bp = blueprint("summary-views", "/summary-views", "Summaries over long-term memory, by partition")


@bp.route("", methods=["GET"])
@bp.route("/", methods=["GET"])
@bp.response(200, SummaryViewSchema(many=True))
def list_views() -> Any:
    """List all views, oldest first."""
    return engine().summary_views.all()


@bp.route("", methods=["POST"])
@bp.route("/", methods=["POST"])
@bp.arguments(SummaryViewSchema)
@bp.response(200, SummaryViewSchema)
def create_view(view: SummaryView) -> Any:
    """Create a view."""
    return engine().summary_views.create(view)


@bp.route("/<view_id>", methods=["GET"])
@bp.route("/<view_id>/", methods=["GET"])
@bp.response(200, SummaryViewSchema)
def get_view(view_id: str) -> Any:
    """Get a view."""
    return engine().summary_views.get(view_id)


@bp.route("/<view_id>", methods=["DELETE"])
@bp.route("/<view_id>/", methods=["DELETE"])
@bp.response(200, AckSchema)
def delete_view(view_id: str) -> Any:
    """Delete a view with its partitions."""
    engine().summary_views.delete(view_id)
    return "ok"


@bp.route("/<view_id>/partitions/run", methods=["POST"])
@bp.route("/<view_id>/partitions/run/", methods=["POST"])
@bp.arguments(RunPartitionSchema)
@bp.response(200, PartitionSchema)
def run_partition(body: dict[str, Any], view_id: str) -> Any:
    """Summarize one partition now."""
    return engine().summary_views.run_partition(view_id, body["group"])


@bp.route("/<view_id>/partitions", methods=["GET"])
@bp.route("/<view_id>/partitions/", methods=["GET"])
@bp.arguments(PartitionQuerySchema, location="query")
@bp.response(200, PartitionSchema(many=True))
def list_partitions(query: dict[str, Any], view_id: str) -> Any:
    """List stored partition summaries."""
    return engine().summary_views.partitions(view_id, query)


@bp.route("/<view_id>/run", methods=["POST"])
@bp.route("/<view_id>/run/", methods=["POST"])
@bp.arguments(RunViewSchema)
@bp.response(200, TaskSchema)
def run_view(body: dict[str, Any], view_id: str) -> Any:
    """Summarize all partitions in the background; poll the task until its status is `success`."""
    return engine().summary_views.start_run(view_id, body.get("task_id"))
