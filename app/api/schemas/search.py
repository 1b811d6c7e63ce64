"""Searches on the wire (contract 3.4, 3.5)."""

from __future__ import annotations

from typing import Any, ClassVar

import marshmallow as ma
from marshmallow import fields, validate

from app.api.schemas.base import WireSchema
from app.api.schemas.fields import Flag, Real, Text, Time, Whole, parse_time
from app.api.schemas.memory import MemoryResultSchema
from app.memory.filters import MemoryFilter, TagFilter, TimeFilter
from app.memory.models import MemoryType
from app.memory.ranking import RecencyWeights
from app.memory.search import SearchRequest, SearchResults

MODES = ("semantic", "keyword", "hybrid")
SCORERS = ("BM25STD", "BM25", "TFIDF", "TFIDF.DOCNORM", "DISMAX", "DOCSCORE")
MAX_FILTER_VALUES = 1000

# The published clients' names for the same operators.
_ALIASES = {"in_": "any", "not_eq": "ne", "not_in": "none"}
_TAG_OPERATORS = ("eq", "ne", "any", "all", "none", "startswith")
_TIME_OPERATORS = ("gt", "lt", "gte", "lte", "eq", "ne")


class TagFilterField(fields.Field):
    """A filter object on exact strings."""

    def __init__(self, *, choices: tuple[str, ...] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._choices = choices

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> TagFilter | None:
        if not isinstance(value, dict):
            raise ma.ValidationError('Input should be a filter object, for instance {"eq": "value"}')
        operators: dict[str, Any] = {}
        for given, operand in value.items():
            name = _ALIASES.get(given, given)
            if operand is None or name == "field":
                continue
            if name not in _TAG_OPERATORS:
                known = ", ".join((*_TAG_OPERATORS, *_ALIASES))
                raise ma.ValidationError(f"Unknown filter operator {given!r}; known are: {known}")
            if name in ("eq", "ne", "startswith"):
                operators[name] = self._text(operand)
            else:
                if not isinstance(operand, list) or not operand:
                    raise ma.ValidationError(f"{given} should be a list with at least one string")
                if len(operand) > MAX_FILTER_VALUES:
                    raise ma.ValidationError(f"{given} should have at most {MAX_FILTER_VALUES} values")
                operators[name] = tuple(self._text(item) for item in operand)
        for one, other in (("eq", "ne"), ("any", "all")):
            if one in operators and other in operators:
                raise ma.ValidationError(f"Value error, {one} and {other} cannot be combined")
        if "startswith" in operators and (not operators["startswith"] or len(operators) > 1):
            raise ma.ValidationError("Value error, startswith should be non-empty and stand alone")
        return TagFilter(**operators) if operators else None

    def _text(self, value: Any) -> str:
        if not isinstance(value, str):
            raise ma.ValidationError("Filter values should be strings")
        if len(value) > 255:
            raise ma.ValidationError("Filter values should have at most 255 characters")
        if self._choices and value not in self._choices:
            raise ma.ValidationError(f"Input should be one of: {', '.join(self._choices)}")
        return value


class TimeFilterField(fields.Field):
    """A filter object on a time."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> TimeFilter | None:
        if not isinstance(value, dict):
            raise ma.ValidationError('Input should be a filter object, for instance {"gte": "2026-01-01"}')
        operators: dict[str, Any] = {}
        for name, operand in value.items():
            if operand is None or name == "field":
                continue
            if name in _TIME_OPERATORS:
                operators[name] = parse_time(operand)
            elif name == "between":
                if not isinstance(operand, list) or len(operand) != 2:
                    raise ma.ValidationError("Value error, between should be a list of exactly 2 datetimes")
                operators[name] = (parse_time(operand[0]), parse_time(operand[1]))
            elif name == "inclusive":
                if operand not in ("both", "neither", "left", "right"):
                    raise ma.ValidationError("inclusive should be one of: both, neither, left, right")
                operators[name] = operand
            else:
                known = ", ".join((*_TIME_OPERATORS, "between", "inclusive"))
                raise ma.ValidationError(f"Unknown filter operator {name!r}; known are: {known}")
        if "between" in operators and operators.keys() & {"eq", "ne", "gt", "lt", "gte"}:
            raise ma.ValidationError("Value error, between cannot be combined with other operators")
        if not operators.keys() - {"inclusive"}:
            return None
        return TimeFilter(**operators)


_TAGS = ("session_id", "namespace", "user_id", "topics", "entities", "extraction_strategy", "memory_type")
_TIMES = ("created_at", "last_accessed", "event_date")
_RECENCY = {
    "recency_semantic_weight": "semantic",
    "recency_recency_weight": "recency",
    "recency_freshness_weight": "freshness",
    "recency_novelty_weight": "novelty",
    "recency_half_life_last_access_days": "half_life_last_access_days",
    "recency_half_life_created_days": "half_life_created_days",
}


class SearchRequestSchema(WireSchema):
    """A search. Unknown fields are refused: a misspelt filter must not search all tenants."""

    class Meta:
        """Unknown fields raise."""

        unknown = ma.RAISE

    # What published clients send besides the fields below; accepted and ignored.
    CLIENT_EXTRAS: ClassVar[tuple[str, ...]] = ("optimize_query", "recency", "id", "discrete_memory_extracted")

    text = Text(validate=validate.Length(max=20_000), metadata={"description": "Blank or absent: list by filter"})
    search_mode = Text(
        load_default="semantic", validate=validate.OneOf(MODES, error="Input should be one of: {choices}")
    )
    hybrid_alpha = Real(
        load_default=0.7, validate=validate.Range(min=0, max=1), metadata={"description": "Weight of the vector part"}
    )
    text_scorer = Text(
        load_default="BM25STD", validate=validate.OneOf(SCORERS, error="Input should be one of: {choices}")
    )
    session_id = TagFilterField()
    namespace = TagFilterField()
    user_id = TagFilterField()
    topics = TagFilterField()
    entities = TagFilterField()
    extraction_strategy = TagFilterField()
    memory_type = TagFilterField(choices=tuple(str(t) for t in MemoryType))
    created_at = TimeFilterField()
    last_accessed = TimeFilterField()
    event_date = TimeFilterField()
    as_of = Time(metadata={"description": "Search what was true at that moment; default: what is true now"})
    distance_threshold = Real(validate=validate.Range(min=0, max=2))
    limit = Whole(load_default=10, validate=validate.Range(min=1, max=100))
    offset = Whole(load_default=0, validate=validate.Range(min=0))
    recency_boost = Flag(load_default=True)
    recency_semantic_weight = Real()
    recency_recency_weight = Real()
    recency_freshness_weight = Real()
    recency_novelty_weight = Real()
    recency_half_life_last_access_days = Real()
    recency_half_life_created_days = Real()
    server_side_recency = Flag(load_default=False)

    @ma.pre_load
    def _known_names(self, data: Any, **_: Any) -> Any:
        if not isinstance(data, dict):
            return data
        unknown = [name for name in data if name not in self.fields and name not in self.CLIENT_EXTRAS]
        if unknown:
            known = ", ".join(sorted(self.fields))
            raise ma.ValidationError({name: [f"Unknown field; known are: {known}"] for name in unknown})
        return {k: v for k, v in data.items() if k in self.fields}

    @ma.post_load
    def _make(self, data: dict[str, Any], **_: Any) -> SearchRequest:
        weights = {ours: data[theirs] for theirs, ours in _RECENCY.items() if theirs in data}
        return SearchRequest(
            text=data.get("text"),
            mode=data["search_mode"],
            hybrid_alpha=data["hybrid_alpha"],
            text_scorer=data["text_scorer"],
            condition=MemoryFilter(
                {name: (data[name],) for name in _TAGS if data.get(name) is not None},
                {name: data[name] for name in _TIMES if data.get(name) is not None},
                as_of=data.get("as_of"),
            ),
            distance_threshold=data.get("distance_threshold"),
            limit=data["limit"],
            offset=data["offset"],
            recency_boost=data["recency_boost"],
            server_side_recency=data["server_side_recency"],
            recency=RecencyWeights(**weights),
        )


class SearchQuerySchema(WireSchema):
    """Query parameters of a search."""

    optimize_query = Flag(load_default=False, metadata={"description": "Let the fast model rewrite the text first"})


class SearchResultsSchema(WireSchema):
    """A page of hits."""

    memories = fields.List(fields.Nested(MemoryResultSchema))
    total = fields.Integer(metadata={"description": "True number of matches"})
    next_offset = fields.Integer(allow_none=True, metadata={"description": "Null: this was the last page"})

    _hit: ClassVar[MemoryResultSchema] = MemoryResultSchema()

    def to_wire(self, value: SearchResults) -> dict[str, Any]:
        """Hits, total and next offset."""
        return {
            "memories": [self._hit.to_wire(found) for found in value.memories],
            "total": value.total,
            "next_offset": value.next_offset,
        }
