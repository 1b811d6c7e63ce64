"""Lists of topics and entities: what the same value is."""

from __future__ import annotations

from collections.abc import Sequence


def union(first: Sequence[str], second: Sequence[str]) -> tuple[str, ...]:
    """Both, in order, without repetitions that differ only in case."""
    seen: dict[str, str] = {}
    for value in (*first, *second):
        seen.setdefault(value.casefold(), value)
    return tuple(seen.values())
