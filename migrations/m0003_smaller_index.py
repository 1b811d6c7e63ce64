"""Build the index of memories anew if it is from before numbers stood for ids; records stay as they are."""

from __future__ import annotations

from app.config import Settings
from app.store import index
from app.store.client import RedisClient
from app.store.vectors import SpaceRepository, configured
from migrations import reindex


def up(client: RedisClient, settings: Settings) -> None:
    """Put an index with this version's fields in the place of one that lacks some of them."""
    spaces = SpaceRepository(client, configured(settings)).load().all
    info = index.describe(client, index.MEMORIES)
    if info is None or set(index.memories_schema(1, spaces).field_names) <= set(info.fields):
        return
    reindex.rebuild_memories(client, spaces, print)


def down(client: RedisClient, settings: Settings) -> None:
    """Nothing: the index has all fields that the version before asks for."""
