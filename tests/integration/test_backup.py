"""Backup and restore: everything is lost, the copy is put in its place, counts and searches are equal."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import redis

from app.backup import MANIFEST, back_up
from app.memory.errors import InvalidRequest
from app.store import keys
from app.store.embedded import EmbeddedRedis
from tests.support.builders import a_memory, a_session
from tests.support.stack import Stack
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


def rows(client: redis.Redis, namespace: str) -> dict[bytes, Any]:
    """Every key of a tenant with its value."""
    read = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        b"set": client.smembers,
    }
    found = client.scan_iter(match=f"*{{{keys.encode(namespace)}}}*", count=1000)
    return {key: read[client.type(key)](key) for key in found}


def found(client: redis.Redis, namespace: str, words: str) -> list[bytes]:
    query = f"@ns:{{{keys.encode(namespace)}}} {words}"
    reply = client.execute_command("FT.SEARCH", "ltm", query, "NOCONTENT", "LIMIT", "0", "100", "DIALECT", "2")
    return sorted(reply[1:])


def test_a_copy_made_while_redis_serves_brings_everything_back(stack, api, namespace, tmp_path: Path):
    if not isinstance(stack, Stack):
        pytest.skip("needs a stack of our own")
    client = redis.Redis.from_url(stack.environment["REDIS_URL"], protocol=2)
    api.create(*[a_memory(f"User owns red book {i}") for i in range(15)], deduplicate=False)
    session = a_session().of(namespace, "u").with_memories("User likes tea")
    session.put(stack.http)
    api.wait_until_promoted(session.session_id, **session.scope)
    wait_until(lambda: not client.exists(keys.outbox(namespace)), 30, "nothing of the tenant is under way")
    stop = threading.Event()

    def go_on_writing() -> None:
        number = 0
        while not stop.is_set():
            client.set(f"noise:{number % 100}", number)
            number += 1

    writing = threading.Thread(target=go_on_writing)
    writing.start()
    try:
        described = back_up(client, tmp_path / "copy", directory=stack.redis.directory)
    finally:
        stop.set()
        writing.join()
    assert client.config_get("auto-aof-rewrite-percentage")["auto-aof-rewrite-percentage"] == "100"
    before, searched = rows(client, namespace), found(client, namespace, "book")
    assert len(searched) == 15
    assert json.loads((tmp_path / "copy" / MANIFEST).read_text()) == described
    assert described["documents"]["ltm"] >= 16
    # Another machine: nothing is left but the copy.
    place = tmp_path / "new-data" / "redis"
    place.parent.mkdir()
    (tmp_path / "copy").rename(place)
    restored = EmbeddedRedis(tmp_path / "new-data")
    try:
        anew = redis.Redis.from_url(restored.start(), protocol=2)
        assert rows(anew, namespace) == before
        assert found(anew, namespace, "book") == searched
    finally:
        restored.stop()


def test_a_backup_that_cannot_be_made_says_why(stack, tmp_path: Path):
    if not isinstance(stack, Stack):
        pytest.skip("needs a stack of our own")
    client = redis.Redis.from_url(stack.environment["REDIS_URL"], protocol=2)
    with pytest.raises(InvalidRequest, match="--redis-dir"):
        back_up(client, tmp_path / "copy", directory=tmp_path / "elsewhere")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(InvalidRequest, match="not empty"):
        back_up(client, tmp_path / "full", directory=stack.redis.directory)
