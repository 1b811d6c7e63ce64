"""Hydration (route 13 of the contract)."""

from __future__ import annotations

from typing import Any

from app.api.resource import blueprint, engine, refusals
from app.api.schemas.prompt import PromptRequestSchema, PromptSchema
from app.api.schemas.search import SearchQuerySchema
from app.memory.errors import InvalidRequest
from app.memory.models import Scope, SessionRef
from app.memory.working import Window

bp = blueprint("memory", "/memory", "Prompts hydrated from memory")


@bp.route("/prompt", methods=["POST"])
@bp.arguments(PromptRequestSchema)
@bp.arguments(SearchQuerySchema, location="query")
@bp.response(200, PromptSchema)
@bp.doc(responses=refusals({400: "Neither a session nor a search is given, or options contradict each other"}))
def hydrate_prompt(body: dict[str, Any], query: dict[str, Any]) -> Any:
    """Compose a prompt: summary, messages, related memories, the query."""
    search = body.get("long_term_search")
    if search and not engine().settings.long_term_memory:
        raise InvalidRequest("Long-term memory is disabled")
    session, window = None, Window()
    if (given := body.get("session")) is not None:
        session = SessionRef(Scope(given.get("namespace"), given.get("user_id")), given["session_id"])
        window = Window(given.get("model_name"), given.get("context_window_max"))
    return engine().hydration.hydrate(body["query"], session, window, search)
