"""A consistent copy of Redis' append-only files while it serves; run where its data directory can be read.

A rewrite in the middle of the copy would swap the files under it, so there is none meanwhile; the server itself goes
on. What is written during the copy may or may not be in it.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.memory.errors import BackendUnavailable, InvalidRequest
from app.store import index
from app.store.client import RedisClient

AUTO_REWRITE = "auto-aof-rewrite-percentage"
REWRITE_SECONDS = 600.0
MANIFEST = "agent-memory-backup.json"


def back_up(client: RedisClient, target: Path, *, directory: Path | None = None) -> dict[str, Any]:
    """Copy the append-only files to a new directory (`directory`: Redis' own, as seen from here); what was there."""
    if not int(client.info("persistence")["aof_enabled"]):
        raise InvalidRequest("Redis has no append-only file (appendonly no): there is nothing that could be copied")
    name = client.config_get("appenddirname")["appenddirname"]
    source = (directory or Path(client.config_get("dir")["dir"])) / name
    if not source.is_dir():
        raise InvalidRequest(f"{source} is not here: run this where Redis keeps its data, or say --redis-dir")
    if target.exists() and any(target.iterdir()):
        raise InvalidRequest(f"{target} is not empty")
    with _without_rewrites(client):
        described = {"at": time.time(), "documents": _documents(client), "keys": int(client.dbsize())}
        # What was acknowledged until now is in the file when this returns.
        client.execute_command("WAITAOF", "1", "0", "5000")
        shutil.copytree(source, target / name)
    (target / MANIFEST).write_text(json.dumps(described))
    return described


def _documents(client: RedisClient) -> dict[str, int]:
    found = {alias: index.describe(client, alias) for alias in (index.MEMORIES, index.SESSIONS)}
    return {alias: info.documents for alias, info in found.items() if info is not None}


@contextmanager
def _without_rewrites(client: RedisClient) -> Iterator[None]:
    before = client.config_get(AUTO_REWRITE)[AUTO_REWRITE]
    client.config_set(AUTO_REWRITE, 0)
    try:
        deadline = time.monotonic() + REWRITE_SECONDS
        while int(client.info("persistence")["aof_rewrite_in_progress"]):
            if time.monotonic() > deadline:
                raise BackendUnavailable(f"Redis has been rewriting its file for more than {REWRITE_SECONDS:g} s")
            time.sleep(0.2)
        yield
    finally:
        client.config_set(AUTO_REWRITE, before)
