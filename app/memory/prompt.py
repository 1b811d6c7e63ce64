"""Hydration: a prompt made of the session's summary, its messages, memories that matter, and the query."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

from app.memory.errors import InvalidRequest, NotFound
from app.memory.filters import TagFilter
from app.memory.models import Message, SessionRef
from app.memory.search import FoundMemory, MemorySearch, SearchRequest
from app.memory.summarization.extractive import condense
from app.memory.working import Window, WorkingMemory
from app.providers.tokens import count_tokens

SUMMARY_HEADING = "## Summary of the conversation so far"
MEMORIES_HEADING = "## Related long-term memories"
NO_MEMORIES = "No relevant long-term memories found."
DEFAULT_LIMIT = 20
SUMMARY_SHARE = 0.2
MEMORIES_SHARE = 0.3
# What chat formats add to each message, as OpenAI counts it.
TOKENS_PER_MESSAGE = 4

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


@dataclass(frozen=True, slots=True)
class Parts:
    """What a prompt is made of; `found` None means that no search was asked for."""

    query: str
    context: str | None = None
    messages: tuple[Message, ...] = ()
    found: tuple[FoundMemory, ...] | None = None


def compose(parts: Parts) -> tuple[PromptMessage, ...]:
    """The messages in the order of wire contract 4."""
    prompt: list[PromptMessage] = []
    if parts.context:
        prompt.append(PromptMessage("system", f"{SUMMARY_HEADING}\n{parts.context}"))
    prompt += [PromptMessage("user" if m.role == "user" else "assistant", m.content) for m in parts.messages]
    if parts.found is not None:
        lines = "\n".join(map(_memory_line, parts.found))
        prompt.append(PromptMessage("system", f"{MEMORIES_HEADING}\n {lines or NO_MEMORIES}"))
    prompt.append(PromptMessage("user", parts.query))
    return tuple(prompt)


def prompt_tokens(prompt: Sequence[PromptMessage]) -> int:
    """Tokens of a prompt: its texts, and what a chat format adds to each message."""
    return sum(count_tokens(message.text) + TOKENS_PER_MESSAGE for message in prompt)


def within(parts: Parts, window: int) -> Parts:
    """What of the parts makes a prompt that fits into the window.

    The query and the last message always stay. Of the room beside them, the summary may have `SUMMARY_SHARE` and the
    memories `MEMORIES_SHARE`, the newest messages the rest; what one does not need goes to the next: first to the
    memories, then to the summary. Memories go in from the most relevant on, a summary that is too long is condensed.
    """
    if prompt_tokens(compose(parts)) <= window:
        return parts
    last = parts.messages[-1:]
    room = window - prompt_tokens(compose(Parts(parts.query, messages=last)))
    for_summary = min(_summary_size(parts.context), int(room * SUMMARY_SHARE))
    for_memories = min(_memories_size(parts.found), int(room * MEMORIES_SHARE))
    messages, used = _newest(parts.messages[:-1], room - for_summary - for_memories)
    room -= used
    found, used = _most_relevant(parts.found, room - for_summary)
    room -= used
    return Parts(parts.query, _condensed(parts.context, room), (*messages, *last), found)


def _memory_line(found: FoundMemory) -> str:
    return f"- {found.memory.text} (ID: {found.memory.id})"


def _summary_size(context: str | None) -> int:
    return prompt_tokens(compose(Parts("", context))) - prompt_tokens(compose(Parts("")))


def _memories_size(found: Sequence[FoundMemory] | None) -> int:
    if found is None:
        return 0
    return prompt_tokens(compose(Parts("", found=tuple(found)))) - prompt_tokens(compose(Parts("")))


def _newest(messages: Sequence[Message], room: int) -> tuple[tuple[Message, ...], int]:
    """The newest of the messages that fit, without a gap, and their tokens."""
    used = 0
    kept = 0
    for message in reversed(messages):
        size = count_tokens(message.content) + TOKENS_PER_MESSAGE
        if used + size > room:
            break
        used += size
        kept += 1
    return tuple(messages[len(messages) - kept :]), used


def _most_relevant(found: Sequence[FoundMemory] | None, room: int) -> tuple[tuple[FoundMemory, ...] | None, int]:
    """The memories that fit, the most relevant first, and their tokens; one too long gives way to the next.

    None where not even the heading fits, or nothing of what was found.
    """
    if found is None:
        return None, 0
    kept: list[FoundMemory] = []
    used = _memories_size(())
    heading = count_tokens(f"{MEMORIES_HEADING}\n ") + TOKENS_PER_MESSAGE
    used = heading if found else used
    for hit in found:
        size = count_tokens(_memory_line(hit)) + 1
        if used + size <= room:
            kept.append(hit)
            used += size
    if used > room or (found and not kept):
        return None, 0
    return tuple(kept), used


def _condensed(context: str | None, room: int) -> str | None:
    if not context:
        return context
    heading = count_tokens(f"{SUMMARY_HEADING}\n") + TOKENS_PER_MESSAGE + 1
    return condense(context, room - heading) if room > heading else None


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
        """Compose the prompt, within the caller's window if one is named.

        An unknown session counts as empty; nothing is created. Raises InvalidRequest when neither a session nor a
        search is given.
        """
        wanted = long_term_search is not None and long_term_search is not False
        if session is None and not wanted:
            raise InvalidRequest("Either session or long_term_search must be provided")
        parts = Parts(query)
        if session is not None:
            with suppress(NotFound):
                stored, _use = self._working.get(session, Window())
                parts = replace(parts, context=stored.context, messages=stored.messages)
        if wanted:
            request = self._request(query, session, long_term_search)
            request = replace(request, optimize_query=optimize_query or request.optimize_query)
            parts = replace(parts, found=self._search.search(request).memories)
        size = self._working.window_size(window)
        if size is not None and size > 0:
            parts = within(parts, size)
        return HydratedPrompt(compose(parts), parts.found or None)

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
