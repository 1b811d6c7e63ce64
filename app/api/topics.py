"""Topics and entities of a deployment (additive routes: the contract has none)."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from app.api.resource import blueprint, engine
from app.api.schemas.base import WireSchema
from app.api.schemas.fields import Id, Time, Whole
from app.api.schemas.working import ScopeQuerySchema
from app.api.tasks import TaskSchema
from app.memory.errors import InvalidRequest
from app.memory.filters import MemoryFilter, TimeFilter
from app.memory.lifecycle import scope_filter
from app.memory.topics.catalog import MapPoint, TopicCount
from app.memory.topics.values import TenantTopics
from app.store.facets import FacetCount

MAX_POINTS = 5000

bp = blueprint("topics", "", "What the memories are about: topics, entities, and the topic map")


class FacetQuerySchema(ScopeQuerySchema):
    """Which memories to count, and which page of the counts to show."""

    created_after = Time(metadata={"description": "Only memories created at this time or later"})
    created_before = Time(metadata={"description": "Only memories created before this time"})
    limit = Whole(load_default=50, validate=validate.Range(min=1, max=1000))
    offset = Whole(load_default=0, validate=validate.Range(min=0))


class MapQuerySchema(ScopeQuerySchema):
    """Which memories to put on the map."""

    namespace = Id(required=True)
    created_after = Time(metadata={"description": "Only memories created at this time or later"})
    created_before = Time(metadata={"description": "Only memories created before this time"})
    limit = Whole(load_default=1000, validate=validate.Range(min=1, max=MAX_POINTS))


class RefitSchema(WireSchema):
    """Which memories to fit."""

    body_optional = True

    namespace = Id(metadata={"description": "One tenant; without it, all"})


class _Answer(WireSchema):
    def to_wire(self, value: Any) -> Any:
        """Views of this file build their answers themselves."""
        return value


class TopicCountsSchema(_Answer):
    """A page of topics, most frequent first."""

    topics = fields.List(fields.Dict())
    total = fields.Integer(metadata={"description": "Number of different topics"})
    model = fields.Dict(allow_none=True, metadata={"description": "The fitted model that serves the namespace"})


class EntityCountsSchema(_Answer):
    """A page of entities, most frequent first."""

    entities = fields.List(fields.Dict())
    total = fields.Integer(metadata={"description": "Number of different entities"})


class TopicMapSchema(_Answer):
    """Memories with their places, x and y mostly within -1 to 1."""

    points = fields.List(fields.Dict())
    total = fields.Integer(metadata={"description": "Memories that match, with a place or without"})
    model = fields.Dict(allow_none=True)


class RefitAnswerSchema(WireSchema):
    """The tasks that were started."""

    tasks = ma.fields.List(ma.fields.Nested(TaskSchema))

    def to_wire(self, value: Any) -> Any:
        """Each task as its own route shows it."""
        return {"tasks": [TaskSchema().to_wire(task) for task in value]}


def _require_enabled() -> None:
    if not engine().settings.long_term_memory:
        raise InvalidRequest("Long-term memory is disabled")


def _condition(query: dict[str, Any]) -> MemoryFilter:
    _require_enabled()
    condition = scope_filter(query.get("namespace"), query.get("user_id"))
    after, before = query.get("created_after"), query.get("created_before")
    if after is None and before is None:
        return condition
    return MemoryFilter(condition.tags, {"created_at": TimeFilter(gte=after, lt=before)})


@bp.route("/topics", methods=["GET"])
@bp.route("/topics/", methods=["GET"])
@bp.arguments(FacetQuerySchema, location="query")
@bp.response(200, TopicCountsSchema)
def topics(query: dict[str, Any]) -> Any:
    """Count memories by topic, in a scope and a time."""
    counts, total, model = engine().topic_catalog.topics(
        _condition(query), namespace=query.get("namespace"), limit=query["limit"], offset=query["offset"]
    )
    return {"topics": [_topic(count) for count in counts], "total": total, "model": _model(model)}


@bp.route("/entities", methods=["GET"])
@bp.route("/entities/", methods=["GET"])
@bp.arguments(FacetQuerySchema, location="query")
@bp.response(200, EntityCountsSchema)
def entities(query: dict[str, Any]) -> Any:
    """Count memories by entity, in a scope and a time."""
    counts, total = engine().topic_catalog.entities(_condition(query), limit=query["limit"], offset=query["offset"])
    return {"entities": [_entity(count) for count in counts], "total": total}


@bp.route("/topics/map", methods=["GET"])
@bp.route("/topics/map/", methods=["GET"])
@bp.arguments(MapQuerySchema, location="query")
@bp.response(200, TopicMapSchema)
def topic_map(query: dict[str, Any]) -> Any:
    """The newest memories of a namespace on a two-dimensional map, near when they are about similar things."""
    found = engine().topic_catalog.map(_condition(query), namespace=query["namespace"], limit=query["limit"])
    return {"points": [_point(point) for point in found.points], "total": found.total, "model": _model(found.model)}


@bp.route("/topics/refit", methods=["POST"])
@bp.route("/topics/refit/", methods=["POST"])
@bp.arguments(RefitSchema)
@bp.response(200, RefitAnswerSchema)
def refit(body: dict[str, Any]) -> Any:
    """Fit the topics anew in the background; poll the tasks until their status is `success`."""
    _require_enabled()
    namespace = body.get("namespace")
    return engine().topic_refit.start(namespace, everything=namespace is None)


def _topic(count: TopicCount) -> dict[str, Any]:
    fitted = count.fitted
    return {
        "topic": count.label,
        "count": count.count,
        "id": fitted.id if fitted else None,
        "words": list(fitted.words) if fitted else [],
        "aliases": list(fitted.aliases) if fitted else [],
    }


def _entity(count: FacetCount) -> dict[str, Any]:
    return {"entity": count.value, "count": count.count, "type": count.kind}


def _model(model: TenantTopics | None) -> dict[str, Any] | None:
    if model is None:
        return None
    return {"version": model.version, "shared": model.corpus.shared, "topics": len(model.topics)}


def _point(point: MapPoint) -> dict[str, Any]:
    memory = point.memory
    x, y = memory.map_position or (None, None)
    return {
        "id": memory.id,
        "user_id": memory.user_id,
        "text": memory.text,
        "x": x,
        "y": y,
        "topic": point.topic,
        "topic_id": point.topic_id,
        "source": point.source,
        "created_at": memory.created_at,
    }
