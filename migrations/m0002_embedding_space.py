"""Write down which model the vectors come from: another setting alone must not mix vectors of two models."""

from __future__ import annotations

from app.config import Settings
from app.store import index
from app.store.client import RedisClient
from app.store.vectors import STATE, SpaceRepository, configured


def up(client: RedisClient, settings: Settings) -> None:
    """Note the model of the settings, which made all vectors so far, and the precision that the index has."""
    space = configured(settings)
    info = index.describe(client, index.MEMORIES)
    stored = info.precisions.get(space.field) if info else None
    SpaceRepository(client, space).note("float32" if stored == "float32" else "float16")


def down(client: RedisClient, settings: Settings) -> None:
    """Forget it, unless it was changed since: then only the note says which field is searched."""
    if SpaceRepository(client, configured(settings)).load().version == 0:
        client.delete(STATE)
