"""Context windows: how much of one a session fills, and what fits into it. Pure but for the token counter."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from app.memory.models import Message
from app.providers.tokens import count_tokens


@dataclass(frozen=True, slots=True)
class ContextUse:
    """Percentages of wire contract 2.6; None when the caller named no window."""

    total_used: float | None = None
    until_summarization: float | None = None


@lru_cache(maxsize=1)
def _known_windows() -> dict[str, int]:
    known: dict[str, int] = json.loads(files("app.memory").joinpath("data/model_windows.json").read_text("utf-8"))
    return known


def window_of(model_name: str | None, context_window_max: int | None, default: int) -> int | None:
    """The window in tokens that the caller means: explicit size, else the model's, else None.

    A model that is not in the table has the default window: an unknown name is never an error.
    """
    if context_window_max:
        return context_window_max
    if model_name:
        return _known_windows().get(model_name, default)
    return None


@lru_cache(maxsize=4096)
def _line_tokens(role: str, content: str) -> int:
    return count_tokens(f"{role}: {content}")


def message_tokens(message: Message) -> int:
    """Tokens of one message as a line `role: content` (wire contract 2.5)."""
    return _line_tokens(message.role, message.content)


def context_use(messages: Sequence[Message], window: int | None, threshold: float) -> ContextUse:
    """How much of a window the messages fill, and of the share of it that triggers summarization."""
    if window is None or window < 0:
        return ContextUse()
    if not messages:
        return ContextUse(0.0, 0.0)
    tokens = sum(map(message_tokens, messages))
    limit = math.floor(window * threshold)
    total = min(100.0, tokens / window * 100.0)
    return ContextUse(total, min(100.0, tokens / limit * 100.0) if limit else 100.0)


def fit(messages: Sequence[Message], window: int | None) -> tuple[Message, ...]:
    """The newest messages whose tokens fit into the window; at least the last one."""
    if window is None or window <= 0 or not messages:
        return tuple(messages)
    kept = 0
    tokens = 0
    for message in reversed(messages):
        tokens += message_tokens(message)
        if tokens > window and kept:
            break
        kept += 1
    return tuple(messages[len(messages) - kept :])


def most_recent(messages: Sequence[Message], limit: int | None) -> tuple[Message, ...]:
    """The last `limit` messages by time, in chronological order; all if `limit` is None or not positive."""
    if limit is None or limit <= 0:
        return tuple(messages)
    return tuple(sorted(messages, key=lambda m: m.created_at)[-limit:])
