"""Hydration: a prompt made of the session's summary, its messages, memories that matter, and the query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from app.memory.errors import InvalidRequest, NotFound
from app.memory.filters import TagFilter
from app.memory.models import Message, SessionRef
from app.memory.search import FoundMemory, MemorySearch, SearchRequest
from app.memory.working import Window, WorkingMemory

SUMMARY_HEADING = "## Summary of the conversation so far"
MEMORIES_HEADING = "## Related long-term memories"
NO_MEMORIES = "No relevant long-term memories found."
DEFAULT_LIMIT = 20

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class PromptMessage:
    """One message of the prompt."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class HydratedPrompt:
    """The prompt, and the memories in it (None: no search, or no hits)."""

    messages: tuple[PromptMessage, ...]
    memories: tuple[FoundMemory, ...] | None


def compose(
    query: str, context: str | None, messages: Sequence[Message], found: Sequence[FoundMemory] | None
) -> tuple[PromptMessage, ...]:
    """The messages in the order of wire contract 4; `found` None means that no search was asked for."""
    prompt: list[PromptMessage] = []
    if context:
        prompt.append(PromptMessage("system", f"{SUMMARY_HEADING}\n{context}"))
    prompt += [PromptMessage("user" if m.role == "user" else "assistant", m.content) for m in messages]
    if found is not None:
        lines = "\n".join(f"- {hit.memory.text} (ID: {hit.memory.id})" for hit in found)
        prompt.append(PromptMessage("system", f"{MEMORIES_HEADING}\n {lines or NO_MEMORIES}"))
    prompt.append(PromptMessage("user", query))
    return tuple(prompt)


class PromptHydration:
    """Puts together what a model should see before it answers."""

    def __init__(self, working: WorkingMemory, search: MemorySearch) -> None:
        self._working = working
        self._search = search

    def hydrate(
        self,
        query: str,
        session: SessionRef | None,
        window: Window,
        long_term_search: SearchRequest | bool | None,
        *,
        optimize_query: bool = False,
    ) -> HydratedPrompt:
        """Compose the prompt. An unknown session counts as empty; nothing is created.

        Raises InvalidRequest when neither a session nor a search is given.
        """
        wanted = long_term_search is not None and long_term_search is not False
        if session is None and not wanted:
            raise InvalidRequest("Either session or long_term_search must be provided")
        context: str | None = None
        messages: tuple[Message, ...] = ()
        if session is not None:
            try:
                stored, _use = self._working.get(session, window)
                context, messages = stored.context, stored.messages
            except NotFound:
                pass
        found: tuple[FoundMemory, ...] | None = None
        if wanted:
            request = self._request(query, session, long_term_search)
            request = replace(request, optimize_query=optimize_query or request.optimize_query)
            found = self._search.search(request).memories
        return HydratedPrompt(compose(query, context, messages, found), found or None)

    @staticmethod
    def _request(query: str, session: SessionRef | None, given: SearchRequest | bool | None) -> SearchRequest:
        request = given if isinstance(given, SearchRequest) else SearchRequest(limit=DEFAULT_LIMIT)
        condition = request.condition
        if session is not None:
            if session.scope.user_id is not None and "user_id" not in condition.tags:
                condition = condition.also("user_id", TagFilter(eq=session.scope.user_id))
            if not isinstance(given, SearchRequest):
                # A bare `true`: what other sessions of this tenant and user know.
                condition = condition.also("session_id", TagFilter(ne=session.session_id))
                if session.scope.namespace is not None:
                    condition = condition.also("namespace", TagFilter(eq=session.scope.namespace))
        return replace(request, text=query, condition=condition)
