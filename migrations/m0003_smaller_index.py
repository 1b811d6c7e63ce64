"""Build the index of memories anew if it is from before numbers stood for ids; records stay as they are."""

from __future__ import annotations

import structlog

from app.config import Settings
from app.store import index
from app.store.client import RedisClient
from app.store.vectors import SpaceRepository, configured
from migrations import reindex

log = structlog.get_logger(__name__)


def up(client: RedisClient, settings: Settings) -> None:
    """Put an index with this version's fields in the place of one that lacks some of them."""
    spaces = SpaceRepository(client, configured(settings)).load().all
    info = index.describe(client, index.MEMORIES)
    if info is not None and index.missing_fields(info, spaces):
        reindex.rebuild_memories(client, spaces, log.info)


def down(client: RedisClient, settings: Settings) -> None:
    """Nothing: the index has all fields that the version before asks for (what was stored since lacks its id there)."""
