"""Summary views on the wire (contract 5)."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from app.api.schemas.base import AnswerSchema, QuerySchema, WireSchema
from app.api.schemas.fields import Flag, Id, Json, Text, Whole
from app.api.schemas.filters import TagFilterField, TimeFilterField
from app.memory.errors import InvalidRequest
from app.memory.filters import MemoryFilter, TagFilter, TimeFilter
from app.memory.models import MemoryType, PartitionSummary, SummaryView
from app.memory.summary_views import GROUP_FIELDS

FILTER_KEYS = (*GROUP_FIELDS, "extraction_strategy", "topics", "event_date")
_TAG = TagFilterField()
_TYPE = TagFilterField(choices=tuple(str(t) for t in MemoryType))
_TIME = TimeFilterField()


def _tag_condition(name: str, value: Any) -> tuple[TagFilter, ...] | None:
    field = _TYPE if name == "memory_type" else _TAG
    if isinstance(value, list):
        value = {"any": value}
    elif not isinstance(value, dict):
        value = {"eq": value if isinstance(value, str) else str(value)}
    found: tuple[TagFilter, ...] | None = field.deserialize(value)
    return found


def _time_condition(value: Any) -> TimeFilter | None:
    found: TimeFilter | None = _TIME.deserialize(value if isinstance(value, dict) else {"eq": value})
    return found


def condition_of(filters: dict[str, Any]) -> MemoryFilter:
    """What a view's filters mean. Raises marshmallow's ValidationError on a wrong one."""
    tags: dict[str, tuple[TagFilter, ...]] = {}
    times: dict[str, TimeFilter] = {}
    for name, value in filters.items():
        try:
            if name == "event_date":
                if (time := _time_condition(value)) is not None:
                    times[name] = time
            elif (tag := _tag_condition(name, value)) is not None:
                tags[name] = tag
        except ma.ValidationError as error:
            raise ma.ValidationError({name: error.messages}, field_name="filters") from None
    return MemoryFilter(tags, times)


class NewSummaryViewSchema(WireSchema):
    """A view to make. Loading yields a `SummaryView` without id."""

    name = Text(validate=validate.Length(max=255), metadata={"description": "A name for people"})
    source = Text(
        required=True,
        validate=validate.OneOf(["long_term", "working_memory"], error="Input should be one of: {choices}"),
        metadata={"description": "Only `long_term` is supported", "enum": ["long_term"]},
    )
    group_by = fields.List(
        Text(metadata={"enum": list(GROUP_FIELDS)}),
        load_default=list,
        metadata={"description": "One partition per combination of these", "example": ["user_id"]},
    )
    filters = Json(
        load_default=dict,
        metadata={
            "description": f"Which memories: a value or a filter object for {', '.join(FILTER_KEYS)}",
            "example": {"namespace": "support"},
        },
    )
    time_window_days = Whole(
        validate=validate.Range(min=1, max=36_500), metadata={"description": "Only memories made in the last days"}
    )
    continuous = Flag(load_default=False, metadata={"description": "Refreshed by the server periodically"})
    prompt = Text(validate=validate.Length(max=20_000), metadata={"description": "Instructions instead of the usual"})
    model_name = Text(validate=validate.Length(max=255), metadata={"description": "Default: FAST_MODEL"})

    def made(self, data: dict[str, Any]) -> SummaryView:
        """The view, without an id. Raises InvalidRequest for what is not supported."""
        if data["source"] == "working_memory":
            raise InvalidRequest("source 'working_memory' is not supported; use 'long_term'")
        for what, given, known in (
            ("group_by", data["group_by"], GROUP_FIELDS),
            ("filters", data["filters"], FILTER_KEYS),
        ):
            unknown = sorted(set(given) - set(known))
            if unknown:
                raise InvalidRequest(f"Unsupported {what}: {', '.join(unknown)}; known are: {', '.join(known)}")
        return SummaryView(
            id="",
            condition=condition_of({k: v for k, v in data["filters"].items() if v is not None}),
            name=data.get("name"),
            source=data["source"],
            group_by=tuple(dict.fromkeys(data["group_by"])),
            filters=data["filters"],
            time_window_days=data.get("time_window_days"),
            continuous=data["continuous"],
            prompt=data.get("prompt"),
            model_name=data.get("model_name"),
        )


class SummaryViewSchema(AnswerSchema, NewSummaryViewSchema):
    """A summary view."""

    NULLABLE = frozenset({"name", "time_window_days", "prompt", "model_name"})

    id = fields.String()

    def to_wire(self, value: SummaryView) -> dict[str, Any]:
        """All fields of the contract."""
        return {
            "id": value.id,
            "name": value.name,
            "source": value.source,
            "group_by": list(value.group_by),
            "filters": dict(value.filters),
            "time_window_days": value.time_window_days,
            "continuous": value.continuous,
            "prompt": value.prompt,
            "model_name": value.model_name,
        }


class PartitionSchema(AnswerSchema):
    """The summary of one partition."""

    view_id = fields.String()
    group = fields.Dict(keys=fields.String(), values=fields.String(), metadata={"description": "Which partition it is"})
    summary = fields.String()
    memory_count = fields.Integer(metadata={"description": "How many memories it has, also those not shown to a model"})
    empty = fields.Boolean()
    empty_reason = fields.String(allow_none=True, metadata={"example": "no_matching_memories"})
    computed_at = fields.DateTime()

    def to_wire(self, value: PartitionSummary) -> dict[str, Any]:
        """All fields of the contract."""
        return {
            "view_id": value.view_id,
            "group": dict(value.group),
            "summary": value.summary,
            "memory_count": value.memory_count,
            "empty": value.empty_reason is not None,
            "empty_reason": value.empty_reason,
            "computed_at": value.computed_at,
        }


class RunPartitionSchema(WireSchema):
    """Which partition to run."""

    group = fields.Dict(
        keys=Text(),
        values=Text(),
        required=True,
        error_messages={"required": "Field required"},
        metadata={"description": "A value for each name in the view's group_by", "example": {"user_id": "ann"}},
    )

    def prepared(self, data: dict[str, Any]) -> dict[str, Any]:
        """The group, also when it comes bare: the Java client sends it so (wire contract 5.2)."""
        bare = not isinstance(data.get("group"), dict)
        if bare and data and all(isinstance(v, str) for v in data.values()):
            return {"group": data}
        return super().prepared(data)


class RunViewSchema(WireSchema):
    """How to run a view; the body may be empty."""

    body_optional = True
    task_id = Id(metadata={"description": "The id that the task shall have; default: a new one"})


class PartitionQuerySchema(QuerySchema):
    """Which stored partitions to show."""

    user_id = Text(metadata={"description": "Exactly this user's"})
    namespace = Text(metadata={"description": "Exactly this tenant's"})
    session_id = Text(metadata={"description": "Exactly this session's"})
    memory_type = Text(metadata={"description": "Exactly this type's"})
