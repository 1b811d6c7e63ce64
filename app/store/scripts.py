"""The Lua scripts beside this file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redis.client import Pipeline

from app.store.client import RedisClient

_FOLDER = Path(__file__).with_name("lua")


class Script:
    """One script: called by its hash on a connection, as its text inside a pipeline.

    By hash a pipeline would first have to ask whether the server still knows the script, one round trip for each
    pipeline; a few kilobytes more on the wire cost much less.
    """

    def __init__(self, client: RedisClient, text: str) -> None:
        self._text = text
        self._registered = client.register_script(text)

    def __call__(self, keys: Sequence[str | bytes], args: Sequence[Any] = (), client: Any = None) -> Any:
        """Run it, or queue it in a pipeline."""
        if isinstance(client, Pipeline):
            return client.eval(self._text, len(keys), *keys, *args)
        return self._registered(keys=keys, args=args, client=client)


def script(client: RedisClient, name: str) -> Script:
    """The script `lua/<name>.lua` bound to a client."""
    return Script(client, (_FOLDER / f"{name}.lua").read_text(encoding="utf-8"))
