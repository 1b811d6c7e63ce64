"""The two indexes, each behind its alias."""

from __future__ import annotations

from app.config import Settings
from app.store import index
from app.store.client import RedisClient
from app.store.vectors import SpaceRepository, configured


def up(client: RedisClient, settings: Settings) -> None:
    """Create `ltm-v1` and `wm-v1` and point the aliases at them; existing hashes are indexed too."""
    spaces = SpaceRepository(client, configured(settings)).load().all
    memories = index.build(client, index.memories_schema(1, spaces))
    index.point_alias(client, index.MEMORIES, memories)
    sessions = index.build(client, index.sessions_schema(1))
    index.point_alias(client, index.SESSIONS, sessions)


def down(client: RedisClient, settings: Settings) -> None:
    """Drop the indexes; the hashes stay."""
    for name in client.execute_command("FT._LIST"):
        if name.decode().startswith((f"{index.MEMORIES}-v", f"{index.SESSIONS}-v")):
            client.execute_command("FT.DROPINDEX", name)
