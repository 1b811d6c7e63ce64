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

MAX_CACHED_CHARS = 2_000
_SEPARATORS = ("", "-", ":", "@", "[")


@dataclass(frozen=True, slots=True)
class ContextUse:
    """Percentages of wire contract 2.6; None when the caller named no window."""

    total_used: float | None = None
    until_summarization: float | None = None


@lru_cache(maxsize=1)
def _known_windows() -> dict[str, int]:
    known: dict[str, int] = json.loads(files("app.memory").joinpath("data/model_windows.json").read_text("utf-8"))
    return known


@lru_cache(maxsize=512)
def model_window(model_name: str, default: int) -> int:
    """The window of a model: by its name, or by the longest name in the table that it is a version of.

    `openai/gpt-4o-2024-08-06` has that of `gpt-4o`. A model that is not in the table has the default window: an
    unknown name is never an error.
    """
    known = _known_windows()
    name = model_name.strip().lower()
    for candidate in (name, name.rpartition("/")[2]):
        stems = (candidate[:end] for end in range(len(candidate), 0, -1) if candidate[end : end + 1] in _SEPARATORS)
        if found := next((known[stem] for stem in stems if stem in known), None):
            return found
    return default


def window_of(model_name: str | None, context_window_max: int | None, default: int) -> int | None:
    """The window in tokens that the caller means: explicit size, else the model's, else None."""
    if context_window_max:
        return context_window_max
    if model_name:
        return model_window(model_name, default)
    return None


def answer_reserve(window: int) -> int:
    """Tokens of a model's window that its answer may need (wire contract 2.5)."""
    if window < 10_000:
        return max(512, window // 8)
    if window < 50_000:
        return max(1024, window // 10)
    return max(2048, window // 20)


def prompt_budget(window: int) -> int:
    """Tokens of a model's window that a prompt may have: without the answer's, and a margin for miscounting.

    Source: wire contract 2.5. At least a quarter of the window, for models that are hardly larger than the reserve.
    """
    margin = min(1000, max(230, window // 100))
    return max(window // 4, window - answer_reserve(window) - margin)


@lru_cache(maxsize=32_768)
def _line_tokens(role: str, content: str) -> int:
    return count_tokens(f"{role}: {content}")


def message_tokens(message: Message) -> int:
    """Tokens of one message as a line `role: content` (wire contract 2.5)."""
    if len(message.content) > MAX_CACHED_CHARS:
        return count_tokens(f"{message.role}: {message.content}")
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


def fit(messages: Sequence[Message], window: int | None, *, taken: int = 0) -> tuple[Message, ...]:
    """The newest messages whose tokens fit into what is left of the window; at least the last one."""
    if window is None or window <= 0 or not messages:
        return tuple(messages)
    kept = 0
    tokens = taken
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
