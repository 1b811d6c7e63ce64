"""Summary views (routes 14-20 of the contract)."""

from __future__ import annotations

from typing import Any

from app.api.resource import blueprint, engine, links, refusals
from app.api.schemas.base import AckSchema
from app.api.schemas.views import (
    NewSummaryViewSchema,
    PartitionQuerySchema,
    PartitionSchema,
    RunPartitionSchema,
    RunViewSchema,
    SummaryViewSchema,
)
from app.api.tasks import TaskSchema
from app.memory.models import SummaryView

bp = blueprint("summary-views", "/summary-views", "Summaries over long-term memory, by partition")
_UNKNOWN = {404: "There is no such view"}
_OPERATIONS = ("get_view", "delete_view", "run_partition", "list_partitions", "run_view")


@bp.route("", methods=["GET"])
@bp.response(200, SummaryViewSchema(many=True))
def list_views() -> Any:
    """List all views, oldest first."""
    return engine().summary_views.all()


@bp.route("", methods=["POST"])
@bp.arguments(NewSummaryViewSchema)
@bp.response(200, SummaryViewSchema)
@bp.doc(responses=refusals({400: "The source, a group_by or a filter is not supported"}))
@bp.doc(responses=links({name: {"view_id": "$response.body#/id"} for name in _OPERATIONS}))
def create_view(view: SummaryView) -> Any:
    """Create a view."""
    return engine().summary_views.create(view)


@bp.route("/<view_id>", methods=["GET"])
@bp.response(200, SummaryViewSchema)
@bp.doc(responses=refusals(_UNKNOWN))
def get_view(view_id: str) -> Any:
    """Get a view."""
    return engine().summary_views.get(view_id)


@bp.route("/<view_id>", methods=["DELETE"])
@bp.response(200, AckSchema)
def delete_view(view_id: str) -> Any:
    """Delete a view with its partitions."""
    engine().summary_views.delete(view_id)
    return "ok"


@bp.route("/<view_id>/partitions/run", methods=["POST"])
@bp.arguments(RunPartitionSchema)
@bp.response(200, PartitionSchema)
@bp.doc(responses=refusals({400: "The group has not the keys of the view's group_by", **_UNKNOWN}))
def run_partition(body: dict[str, Any], view_id: str) -> Any:
    """Summarize one partition now."""
    return engine().summary_views.run_partition(view_id, body["group"])


@bp.route("/<view_id>/partitions", methods=["GET"])
@bp.arguments(PartitionQuerySchema, location="query")
@bp.response(200, PartitionSchema(many=True))
@bp.doc(responses=refusals(_UNKNOWN))
def list_partitions(query: dict[str, Any], view_id: str) -> Any:
    """List stored partition summaries."""
    return engine().summary_views.partitions(view_id, query)


@bp.route("/<view_id>/run", methods=["POST"])
@bp.arguments(RunViewSchema, required=False)
@bp.response(200, TaskSchema)
@bp.doc(responses=refusals(_UNKNOWN))
@bp.doc(responses=links({"get_task": {"task_id": "$response.body#/id"}}))
def run_view(body: dict[str, Any], view_id: str) -> Any:
    """Summarize all partitions in the background; poll the task until its status is `success`."""
    return engine().summary_views.start_run(view_id, body.get("task_id"))
