"""Build an index anew beside the old one, then let the alias name it: no request fails, none sees half an index.

Both indexes watch the same keys, so what is written meanwhile is in both; the old one stays, for `rollback`, until it
is dropped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from redisvl.schema import IndexSchema

from app.config import Settings
from app.memory.errors import Conflict, InvalidRequest
from app.store import index
from app.store.client import RedisClient
from app.store.vectors import SpaceRepository, VectorSpace, configured
from migrations.lock import exclusive

POLL_SECONDS = 0.2
SAY_EVERY_SECONDS = 5.0


def reindex(client: RedisClient, settings: Settings, say: Callable[[str], None] = print) -> None:
    """Rebuild both indexes with the schema of this version of the code, and switch to them."""
    with exclusive(client):
        spaces = SpaceRepository(client, configured(settings)).load().all
        for alias in (index.MEMORIES, index.SESSIONS):
            _rebuild(client, spaces, alias, say)


def rebuild_memories(client: RedisClient, spaces: Sequence[VectorSpace], say: Callable[[str], None]) -> None:
    """Rebuild the index of memories for these spaces; those that it replaces go. For holders of the lock.

    What a run that was killed left behind goes first: an index that no alias names costs memory.
    """
    _drop_old(client, index.MEMORIES, say)
    _rebuild(client, spaces, index.MEMORIES, say)
    _drop_old(client, index.MEMORIES, say)


def rollback(client: RedisClient, say: Callable[[str], None] = print) -> None:
    """Let each alias name the index that was there before the last `reindex`. Raises Conflict when it is gone."""
    with exclusive(client):
        for alias in (index.MEMORIES, index.SESSIONS):
            current = _current(client, alias)
            before = [version for version in _versions(client, alias) if version < current]
            if not before:
                raise Conflict(f"there is no index before {alias}-v{current}")
            index.point_alias(client, alias, f"{alias}-v{before[-1]}")
            say(f"{alias} → {alias}-v{before[-1]}")


def drop_old(client: RedisClient, say: Callable[[str], None] = print) -> int:
    """Drop the indexes that no alias names; the memories stay. How many that was."""
    with exclusive(client):
        return sum(_drop_old(client, alias, say) for alias in (index.MEMORIES, index.SESSIONS))


def _drop_old(client: RedisClient, alias: str, say: Callable[[str], None]) -> int:
    current = _current(client, alias)
    old = [version for version in _versions(client, alias) if version != current]
    for version in old:
        client.execute_command("FT.DROPINDEX", f"{alias}-v{version}")
        say(f"dropped {alias}-v{version}")
    return len(old)


def _rebuild(client: RedisClient, spaces: Sequence[VectorSpace], alias: str, say: Callable[[str], None]) -> None:
    old = index.describe(client, alias)
    if old is None:
        raise InvalidRequest(f"there is no index {alias}; run `agent-memory migrate` first")
    for space in spaces:
        if old.dimensions.get(space.field, space.dimensions) != space.dimensions:
            raise InvalidRequest(
                f"the vectors in {old.name} have {old.dimensions[space.field]} dimensions, EMBEDDING_DIMENSIONS is "
                f"{space.dimensions}: another model is brought in by `agent-memory embeddings migrate`"
            )
    name = index.build(client, _schema(spaces, alias, max(_versions(client, alias)) + 1))
    started = said = time.monotonic()
    while (new := index.describe(client, name)) is None or new.indexing:
        if time.monotonic() - said > SAY_EVERY_SECONDS and new is not None:
            said = time.monotonic()
            say(f"{name}: {new.share:.0%}, {new.documents:,} documents")
        time.sleep(POLL_SECONDS)
    if new.failures:
        say(f"{name}: {new.failures} records could not be indexed, see FT.INFO")
    index.point_alias(client, alias, name)
    say(f"{alias}: {old.name} → {name}, {new.documents:,} documents in {time.monotonic() - started:.1f} s")


def _schema(spaces: Sequence[VectorSpace], alias: str, version: int) -> IndexSchema:
    if alias == index.MEMORIES:
        return index.memories_schema(version, spaces)
    return index.sessions_schema(version)


def _current(client: RedisClient, alias: str) -> int:
    info = index.describe(client, alias)
    if info is None:
        raise InvalidRequest(f"there is no index {alias}; run `agent-memory migrate` first")
    return int(info.name.rpartition("-v")[2])


def _versions(client: RedisClient, alias: str) -> list[int]:
    names = [raw.decode() for raw in client.execute_command("FT._LIST")]
    return sorted(int(n.rpartition("-v")[2]) for n in names if n.startswith(f"{alias}-v"))
