"""Long-term memory (routes 6-8, 11, 12 of the contract)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from marshmallow import fields

from app.api.resource import blueprint, engine, links, refusals
from app.api.schemas.base import AckSchema
from app.api.schemas.fields import Text
from app.api.schemas.history import HistorySchema
from app.api.schemas.lifecycle import ForgetQuerySchema, ForgetReportSchema, ForgetSchema
from app.api.schemas.memory import CreatedSchema, CreateMemoriesSchema, MemoryRecordSchema, MemoryUpdateSchema
from app.api.schemas.search import SearchQuerySchema, SearchRequestSchema, SearchResultsSchema
from app.api.schemas.working import ScopeQuerySchema
from app.memory.errors import InvalidRequest
from app.memory.lifecycle import scope_filter
from app.memory.models import Memory
from app.memory.search import SearchRequest

bp = blueprint("long-term-memory", "/long-term-memory", "Long-term memory: self-contained, searchable memories")
_DISABLED = {400: "Long-term memory is disabled"}
_UNKNOWN = {404: "There is no such memory"}
_AMBIGUOUS = {409: "Several tenants have the id; name the scope in the query, or the id is taken in the new scope"}
_CREATED = {"memory_id": "$response.body#/results/0/memory_id"}
_CREATED_IDS = {"memory_ids": "$response.body#/results/0/memory_id"}


def _require_enabled() -> None:
    if not engine().settings.long_term_memory:
        raise InvalidRequest("Long-term memory is disabled")


class DeleteQuerySchema(ScopeQuerySchema):
    """Which memories to delete."""

    memory_ids = fields.List(Text(), load_default=list, metadata={"description": "Repeat it for each id"})


@bp.route("/", methods=["POST"])
@bp.arguments(CreateMemoriesSchema)
@bp.arguments(ScopeQuerySchema, location="query")
@bp.response(200, CreatedSchema)
@bp.doc(responses=refusals(_DISABLED))
@bp.doc(responses=links({"get_memory": _CREATED, "update_memory": _CREATED, "delete_memories": _CREATED_IDS}))
def create_memories(body: dict[str, Any], query: dict[str, Any]) -> Any:
    """Create memories. Small batches are searchable when this answers; a large one names the task that indexes it."""
    _require_enabled()
    memories: list[Memory] = body["memories"]
    if query.get("namespace"):
        memories = [m if m.namespace is not None else replace(m, namespace=query["namespace"]) for m in memories]
    outcome = engine().long_term_memory.create(memories, deduplicate=body["deduplicate"])
    answer: dict[str, Any] = {"status": "ok"}
    if outcome.task_id:
        answer["task_id"] = outcome.task_id
    else:
        answer["results"] = [
            {"id": m.id, "status": r.status, "memory_id": r.memory_id} | ({"reason": r.reason} if r.judged else {})
            for m, r in zip(memories, outcome.results, strict=True)
        ]
    return answer


@bp.route("", methods=["DELETE"])
@bp.arguments(DeleteQuerySchema, location="query")
@bp.response(200, AckSchema)
@bp.doc(responses=refusals({**_DISABLED, **_AMBIGUOUS}))
def delete_memories(query: dict[str, Any]) -> Any:
    """Delete memories by id; unknown ids are ignored."""
    _require_enabled()
    deleted = engine().long_term_memory.delete(
        query["memory_ids"], namespace=query.get("namespace"), user_id=query.get("user_id")
    )
    return f"ok, deleted {deleted} memories"


@bp.route("/search", methods=["POST"])
@bp.arguments(SearchRequestSchema)
@bp.arguments(SearchQuerySchema, location="query")
@bp.response(200, SearchResultsSchema)
@bp.doc(responses=refusals({400: "Long-term memory is disabled, or options contradict each other"}))
def search_memories(request: SearchRequest, query: dict[str, Any]) -> Any:
    """Search memories: semantic, keyword or hybrid, with filters; without text, list them."""
    _require_enabled()
    return engine().search.search(replace(request, optimize_query=query["optimize_query"]))


@bp.route("/forget", methods=["POST"])
@bp.arguments(ForgetSchema)
@bp.arguments(ForgetQuerySchema, location="query")
@bp.response(200, ForgetReportSchema)
@bp.doc(responses=refusals(_DISABLED))
def forget_memories(body: dict[str, Any], query: dict[str, Any]) -> Any:
    """Delete old and unused memories by policy; a dry run unless `dry_run=false`."""
    _require_enabled()
    return engine().lifecycle.forget(
        scope_filter(query.get("namespace"), query.get("user_id"), query.get("session_id")),
        body["policy"],
        limit=query["limit"],
        dry_run=query["dry_run"],
        pinned_ids=frozenset(body["pinned_ids"]),
    )


@bp.route("/compact", methods=["POST"])
@bp.arguments(ScopeQuerySchema, location="query")
@bp.response(200, AckSchema)
@bp.doc(responses=refusals(_DISABLED))
def compact_memories(query: dict[str, Any]) -> Any:
    """Fold duplicates into one; pinned memories are never touched."""
    _require_enabled()
    remaining = engine().compaction.compact(scope_filter(query.get("namespace"), query.get("user_id")))
    return f"ok, {remaining} memories remaining after compaction"


@bp.route("/<path:memory_id>/history", methods=["GET"])
@bp.arguments(ScopeQuerySchema, location="query")
@bp.response(200, HistorySchema)
@bp.doc(responses=refusals({**_DISABLED, **_UNKNOWN, **_AMBIGUOUS}))
def get_memory_history(query: dict[str, Any], memory_id: str) -> Any:
    """Get a memory's earlier states with the reasons of their changes (additive to the contract)."""
    _require_enabled()
    return engine().history.of(memory_id, namespace=query.get("namespace"), user_id=query.get("user_id"))


@bp.route("/<path:memory_id>/restore", methods=["POST"])
@bp.arguments(ScopeQuerySchema, location="query")
@bp.response(200, MemoryRecordSchema)
@bp.doc(responses=refusals({**_DISABLED, **_UNKNOWN, 409: "Nothing to undo, or later changes come first"}))
def restore_memory(query: dict[str, Any], memory_id: str) -> Any:
    """Undo the last change of a memory: an edit, a merge, a retirement, a deletion (additive to the contract)."""
    _require_enabled()
    return engine().history.restore(memory_id, namespace=query.get("namespace"), user_id=query.get("user_id"))


@bp.route("/<path:memory_id>", methods=["GET"])
@bp.arguments(ScopeQuerySchema, location="query")
@bp.response(200, MemoryRecordSchema)
@bp.doc(responses=refusals({**_DISABLED, **_UNKNOWN, **_AMBIGUOUS}))
def get_memory(query: dict[str, Any], memory_id: str) -> Any:
    """Get one memory by id."""
    _require_enabled()
    return engine().long_term_memory.get(memory_id, namespace=query.get("namespace"), user_id=query.get("user_id"))


@bp.route("/<path:memory_id>", methods=["PATCH"])
@bp.arguments(MemoryUpdateSchema)
@bp.arguments(ScopeQuerySchema, location="query")
@bp.response(200, MemoryRecordSchema)
@bp.doc(responses=refusals({400: "Nothing to change, or long-term memory is disabled", **_UNKNOWN, **_AMBIGUOUS}))
def update_memory(changes: dict[str, Any], query: dict[str, Any], memory_id: str) -> Any:
    """Change fields of a memory; it is re-embedded and re-indexed when this answers."""
    _require_enabled()
    return engine().long_term_memory.update(
        memory_id, changes, namespace=query.get("namespace"), user_id=query.get("user_id")
    )
