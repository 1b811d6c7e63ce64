"""Build the index of memories anew if it cannot tell which records leave a field out; records stay as they are."""

from __future__ import annotations

from migrations.m0003_smaller_index import down, up

__all__ = ["down", "up"]
