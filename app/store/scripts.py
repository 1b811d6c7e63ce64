"""The Lua scripts beside this file, registered once per client (EVALSHA, loaded on first use)."""

from __future__ import annotations

from pathlib import Path

from redis.commands.core import Script

from app.store.client import RedisClient

_FOLDER = Path(__file__).with_name("lua")


def script(client: RedisClient, name: str) -> Script:
    """The script `lua/<name>.lua` bound to a client."""
    registered: Script = client.register_script((_FOLDER / f"{name}.lua").read_text(encoding="utf-8"))
    return registered
