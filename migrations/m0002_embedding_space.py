"""Write down which model the vectors come from: another setting alone must not mix vectors of two models."""

from __future__ import annotations

from app.config import Settings
from app.store.client import RedisClient
from app.store.vectors import STATE, SpaceRepository, configured


def up(client: RedisClient, settings: Settings) -> None:
    """Note the model of the settings, which made all vectors so far."""
    SpaceRepository(client, configured(settings)).note()


def down(client: RedisClient, settings: Settings) -> None:
    """Forget it, unless it was changed since: then only the note says which field is searched."""
    if SpaceRepository(client, configured(settings)).load().version == 0:
        client.delete(STATE)
