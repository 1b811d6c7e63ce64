"""Searches on the wire (contract 3.4, 3.5)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar

import marshmallow as ma
from marshmallow import fields, validate

from app.api.schemas.base import AnswerSchema, QuerySchema, WireSchema
from app.api.schemas.fields import Flag, Real, Text, Time, Whole
from app.api.schemas.filters import TagFilterField, TimeFilterField
from app.api.schemas.memory import ExplanationSchema, MemoryResultSchema
from app.memory.filters import MemoryFilter
from app.memory.models import MemoryType
from app.memory.ranking import RecencyWeights
from app.memory.search import SearchRequest, SearchResults, Why

MODES = ("semantic", "keyword", "hybrid")
SCORERS = ("BM25STD", "BM25", "TFIDF", "TFIDF.DOCNORM", "DISMAX", "DOCSCORE")
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
        load_default="semantic",
        validate=validate.OneOf(MODES, error="Input should be one of: {choices}"),
        metadata={"description": "By meaning, by words, or both"},
    )
    hybrid_alpha = Real(
        load_default=0.7, validate=validate.Range(min=0, max=1), metadata={"description": "Weight of the vector part"}
    )
    text_scorer = Text(
        load_default="BM25STD",
        validate=validate.OneOf(SCORERS, error="Input should be one of: {choices}"),
        metadata={"description": "How words are scored in keyword and hybrid mode"},
    )
    session_id = TagFilterField(metadata={"description": "Only from these sessions", "example": {"eq": "s1"}})
    namespace = TagFilterField(metadata={"description": "Only of these tenants", "example": {"eq": "support"}})
    user_id = TagFilterField(metadata={"description": "Only of these users", "example": {"eq": "ann"}})
    topics = TagFilterField(metadata={"description": "In any case", "example": {"any": ["food", "travel"]}})
    entities = TagFilterField(metadata={"description": "In any case", "example": {"all": ["Ann", "Lisbon"]}})
    extraction_strategy = TagFilterField(metadata={"description": "Only what these strategies made"})
    memory_type = TagFilterField(
        choices=tuple(str(t) for t in MemoryType), metadata={"description": "Only memories of these types"}
    )
    created_at = TimeFilterField(metadata={"description": "When they were made", "example": {"gte": "2026-01-01"}})
    last_accessed = TimeFilterField(metadata={"description": "When they were last used"})
    event_date = TimeFilterField(metadata={"description": "When what they tell happened"})
    as_of = Time(metadata={"description": "Search what was true at that moment; default: what is true now"})
    distance_threshold = Real(
        validate=validate.Range(min=0, max=2),
        metadata={"description": "Greatest cosine distance; semantic mode only (else 400)"},
    )
    limit = Whole(load_default=10, validate=validate.Range(min=1, max=100), metadata={"description": "Page size"})
    offset = Whole(load_default=0, validate=validate.Range(min=0), metadata={"description": "Where the page begins"})
    recency_boost = Flag(load_default=True, metadata={"description": "Rank recent and recently used ones higher"})
    recency_semantic_weight = Real(metadata={"description": "Weight of relevance; default: 0.8"})
    recency_recency_weight = Real(metadata={"description": "Weight of recency; default: 0.2"})
    recency_freshness_weight = Real(metadata={"description": "Share of the last use in recency; default: 0.6"})
    recency_novelty_weight = Real(metadata={"description": "Share of the making in recency; default: 0.4"})
    recency_half_life_last_access_days = Real(metadata={"description": "Half-life of freshness; default: 7"})
    recency_half_life_created_days = Real(metadata={"description": "Half-life of novelty; default: 30"})
    server_side_recency = Flag(load_default=False, metadata={"description": "The peer's other recency formula"})
    include_pending = Flag(
        load_default=False,
        metadata={
            "description": "Also search the messages of the session named by `session_id` that are not promoted yet, "
            "by their words; they come first, with `pending: true` in their metadata"
        },
    )

    explain = Flag(
        load_default=False,
        metadata={
            "description": "Give each hit the parts of its score (`explanation`); such a search does not count as a use"
        },
    )
    why = Text(
        validate=validate.Length(max=255),
        metadata={"description": "A memory's id: `why` in the answer says at which rank it is, or why nowhere"},
    )

    def prepared(self, data: dict[str, Any]) -> dict[str, Any]:
        """Without what published clients send besides; raises ValidationError for other unknown names."""
        unknown = [name for name in data if name not in self.fields and name not in self.CLIENT_EXTRAS]
        if unknown:
            known = ", ".join(sorted(self.fields))
            raise ma.ValidationError({name: [f"Unknown field; known are: {known}"] for name in unknown})
        return super().prepared({k: v for k, v in data.items() if k in self.fields})

    def made(self, data: dict[str, Any]) -> SearchRequest:
        """The search."""
        weights = {ours: data[theirs] for theirs, ours in _RECENCY.items() if theirs in data}
        return SearchRequest(
            text=data.get("text"),
            mode=data["search_mode"],
            hybrid_alpha=data["hybrid_alpha"],
            text_scorer=data["text_scorer"],
            condition=MemoryFilter(
                {name: data[name] for name in _TAGS if data.get(name) is not None},
                {name: data[name] for name in _TIMES if data.get(name) is not None},
                as_of=data.get("as_of"),
            ),
            distance_threshold=data.get("distance_threshold"),
            limit=data["limit"],
            offset=data["offset"],
            recency_boost=data["recency_boost"],
            server_side_recency=data["server_side_recency"],
            # A field of the MCP tool only; over HTTP it is a query parameter.
            optimize_query=data.get("optimize_query", False),
            recency=RecencyWeights(**weights),
            include_pending=data["include_pending"],
            explain=data["explain"],
            # Who looks at how a search works must not change how it works.
            track_access=not data["explain"],
            why=data.get("why"),
        )


class SearchQuerySchema(QuerySchema):
    """Query parameters of a search."""

    optimize_query = Flag(load_default=False, metadata={"description": "Let the fast model rewrite the text first"})


class WhySchema(AnswerSchema):
    """Where one memory is among all results, and why."""

    memory_id = fields.String()
    rank = fields.Integer(allow_none=True, metadata={"description": "1 is first; null: not among the results"})
    reason = fields.String()
    explanation = fields.Nested(ExplanationSchema, allow_none=True)

    def to_wire(self, value: Why) -> dict[str, Any]:
        """The place, the reason, the parts of its score."""
        shown = asdict(value.parts) if value.parts else None
        return {"memory_id": value.memory_id, "rank": value.rank, "reason": value.reason, "explanation": shown}


class SearchResultsSchema(AnswerSchema):
    """A page of hits."""

    OPTIONAL = frozenset({"why"})
    # Not worth a model's attention: MCP's tools do not list them.
    unlisted: ClassVar[tuple[str, ...]] = ("why", "memories.explanation")

    memories = fields.List(fields.Nested(MemoryResultSchema), metadata={"description": "Best first"})
    total = fields.Integer(metadata={"description": "True number of matches"})
    next_offset = fields.Integer(allow_none=True, metadata={"description": "Null: this was the last page"})

    why = fields.Nested(WhySchema, metadata={"description": "Only there when it was asked for"})

    _hit: ClassVar[MemoryResultSchema] = MemoryResultSchema()

    def to_wire(self, value: SearchResults) -> dict[str, Any]:
        """Hits, total and next offset."""
        shown: dict[str, Any] = {
            "memories": [self._hit.to_wire(found) for found in value.memories],
            "total": value.total,
            "next_offset": value.next_offset,
        }
        if value.why is not None:
            shown["why"] = WhySchema().to_wire(value.why)
        return shown
