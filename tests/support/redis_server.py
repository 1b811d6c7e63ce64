"""One real search-capable Redis for the whole test session; tests take fresh namespaces instead of flushing it.

`REDIS_URL` in the environment is used instead, when it is set (CI against Redis 8).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.store.embedded import EmbeddedRedis


@contextmanager
def session_redis() -> Iterator[str]:
    """URL of a Redis with search: the one in `REDIS_URL`, else an embedded one that is gone afterwards."""
    if url := os.environ.get("REDIS_URL"):
        yield url
        return
    with embedded_redis() as server:
        yield server.url


@contextmanager
def embedded_redis() -> Iterator[EmbeddedRedis]:
    """An embedded server in a temporary directory, stopped and deleted at the end."""
    directory = Path(tempfile.mkdtemp(prefix="agent-memory-test-"))
    server = EmbeddedRedis(directory)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)
