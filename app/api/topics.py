"""Topics and entities of a deployment (additive routes: the contract has none)."""

from __future__ import annotations

from typing import Any

from marshmallow import fields, validate

from app.api.resource import blueprint, engine, refusals
from app.api.schemas.base import WireSchema
from app.api.schemas.fields import Id, Time, Whole
from app.api.schemas.working import ScopeQuerySchema
from app.api.tasks import TaskSchema
from app.memory.errors import InvalidRequest
from app.memory.filters import MemoryFilter, TimeFilter
from app.memory.lifecycle import scope_filter
from app.memory.topics.catalog import EntityCounts, MapPoint, TopicCount, TopicCounts, TopicMap
from app.memory.topics.values import TenantTopics
from app.store.facets import FacetCount

MAX_POINTS = 5000
_DISABLED = {400: "Long-term memory is disabled"}

bp = blueprint("topics", "", "What the memories are about: topics, entities, and the topic map")


class FacetQuerySchema(ScopeQuerySchema):
    """Which memories to count, and which page of the counts to show."""

    created_after = Time(metadata={"description": "Only memories created at this time or later"})
    created_before = Time(metadata={"description": "Only memories created before this time"})
    limit = Whole(
        load_default=50, validate=validate.Range(min=1, max=1000), metadata={"description": "Most values of a page"}
    )
    offset = Whole(
        load_default=0, validate=validate.Range(min=0), metadata={"description": "Values to leave out first"}
    )


class MapQuerySchema(ScopeQuerySchema):
    """Which memories to put on the map."""

    namespace = Id(required=True, metadata={"description": "The tenant"})
    created_after = Time(metadata={"description": "Only memories created at this time or later"})
    created_before = Time(metadata={"description": "Only memories created before this time"})
    limit = Whole(
        load_default=1000, validate=validate.Range(min=1, max=MAX_POINTS), metadata={"description": "Most memories"}
    )


class RefitSchema(WireSchema):
    """Which memories to fit."""

    body_optional = True

    namespace = Id(metadata={"description": "One tenant; without it, all"})


class TopicModelSchema(WireSchema):
    """The fitted model that serves a namespace."""

    version = fields.Integer()
    shared = fields.Boolean(metadata={"description": "True: fitted together with other small namespaces"})
    topics = fields.Integer(metadata={"description": "Number of topics that the namespace has in it"})

    def to_wire(self, value: TenantTopics) -> dict[str, Any]:
        """A model, without its topics."""
        return {"version": value.version, "shared": value.corpus.shared, "topics": len(value.topics)}


class TopicCountSchema(WireSchema):
    """A topic and how many memories have it; the rest is there for fitted topics."""

    topic = fields.String()
    count = fields.Integer()
    id = fields.String(allow_none=True)
    words = fields.List(fields.String())
    aliases = fields.List(fields.String(), metadata={"description": "Former labels: filters on them still work"})

    def to_wire(self, value: TopicCount) -> dict[str, Any]:
        """A topic with its count."""
        fitted = value.fitted
        return {
            "topic": value.label,
            "count": value.count,
            "id": fitted.id if fitted else None,
            "words": list(fitted.words) if fitted else [],
            "aliases": list(fitted.aliases) if fitted else [],
        }


class TopicCountsSchema(WireSchema):
    """A page of topics, most frequent first."""

    topics = fields.List(fields.Nested(TopicCountSchema))
    total = fields.Integer(metadata={"description": "Number of different topics"})
    model = fields.Nested(TopicModelSchema, allow_none=True)

    def to_wire(self, value: TopicCounts) -> dict[str, Any]:
        """The page, the number of all, and the model."""
        shown = TopicCountSchema(many=True).dump(value.counts)
        return {"topics": shown, "total": value.total, "model": _model(value.model)}


class EntityCountSchema(WireSchema):
    """An entity and how many memories name it."""

    entity = fields.String()
    count = fields.Integer()
    type = fields.String(allow_none=True, metadata={"description": "PERSON, ORG, GPE, PRODUCT, …; null: not known"})

    def to_wire(self, value: FacetCount) -> dict[str, Any]:
        """An entity with its count."""
        return {"entity": value.value, "count": value.count, "type": value.kind}


class EntityCountsSchema(WireSchema):
    """A page of entities, most frequent first."""

    entities = fields.List(fields.Nested(EntityCountSchema))
    total = fields.Integer(metadata={"description": "Number of different entities"})

    def to_wire(self, value: EntityCounts) -> dict[str, Any]:
        """The page and the number of all."""
        return {"entities": EntityCountSchema(many=True).dump(value.counts), "total": value.total}


class MapPointSchema(WireSchema):
    """A memory and its place."""

    id = fields.String()
    user_id = fields.String(allow_none=True)
    text = fields.String()
    x = fields.Float(metadata={"description": "Mostly within -1 to 1, as y"})
    y = fields.Float()
    topic = fields.String(allow_none=True)
    topic_id = fields.String(allow_none=True)
    source = fields.String(allow_none=True, metadata={"description": "Where the topic comes from"})
    created_at = fields.DateTime()

    def to_wire(self, value: MapPoint) -> dict[str, Any]:
        """A point; only memories with a place are points."""
        memory = value.memory
        x, y = memory.map_position or (0.0, 0.0)
        return {
            "id": memory.id,
            "user_id": memory.user_id,
            "text": memory.text,
            "x": x,
            "y": y,
            "topic": value.topic,
            "topic_id": value.topic_id,
            "source": value.source,
            "created_at": memory.created_at,
        }


class TopicMapSchema(WireSchema):
    """Memories with their places, newest first."""

    points = fields.List(fields.Nested(MapPointSchema))
    total = fields.Integer(metadata={"description": "Memories that match, with a place or without"})
    model = fields.Nested(TopicModelSchema, allow_none=True)

    def to_wire(self, value: TopicMap) -> dict[str, Any]:
        """The map."""
        points = MapPointSchema(many=True).dump(value.points)
        return {"points": points, "total": value.total, "model": _model(value.model)}


def _model(model: TenantTopics | None) -> dict[str, Any] | None:
    return TopicModelSchema().to_wire(model) if model else None


class RefitAnswerSchema(WireSchema):
    """The tasks that were started."""

    tasks = fields.List(fields.Nested(TaskSchema))

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
@bp.arguments(FacetQuerySchema, location="query")
@bp.response(200, TopicCountsSchema)
@bp.doc(responses=refusals(_DISABLED))
def count_topics(query: dict[str, Any]) -> Any:
    """Count memories by topic, in a scope and a time."""
    return engine().topic_catalog.topics(
        _condition(query), namespace=query.get("namespace"), limit=query["limit"], offset=query["offset"]
    )


@bp.route("/entities", methods=["GET"])
@bp.arguments(FacetQuerySchema, location="query")
@bp.response(200, EntityCountsSchema)
@bp.doc(responses=refusals(_DISABLED))
def count_entities(query: dict[str, Any]) -> Any:
    """Count memories by entity, in a scope and a time."""
    return engine().topic_catalog.entities(_condition(query), limit=query["limit"], offset=query["offset"])


@bp.route("/topics/map", methods=["GET"])
@bp.arguments(MapQuerySchema, location="query")
@bp.response(200, TopicMapSchema)
@bp.doc(responses=refusals(_DISABLED))
def topic_map(query: dict[str, Any]) -> Any:
    """The newest memories of a namespace on a two-dimensional map, near when they are about similar things."""
    return engine().topic_catalog.map(_condition(query), namespace=query["namespace"], limit=query["limit"])


@bp.route("/topics/refit", methods=["POST"])
@bp.arguments(RefitSchema)
@bp.response(200, RefitAnswerSchema)
@bp.doc(responses=refusals({400: "There are too few memories, or topics do not come from a fit"}))
def refit_topics(body: dict[str, Any]) -> Any:
    """Fit the topics anew in the background; poll the tasks until their status is `success`."""
    _require_enabled()
    namespace = body.get("namespace")
    return engine().topic_refit.start(namespace, everything=namespace is None)
