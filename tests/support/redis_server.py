"""One real search-capable Redis for the whole test session; tests take fresh namespaces instead of flushing it.

`REDIS_URL` in the environment is used instead, when it is set (CI against Redis 8).
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from app.store.embedded import EmbeddedRedis


def answers(client: redis.Redis) -> bool:
    """Whether there is a server, and it is ready for commands."""
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


class FillableRedis(EmbeddedRedis):
    """An embedded server whose disk can be full: its files may not grow beyond what they are."""

    def _command(self, server: Path, module: Path, port: int) -> list[str]:
        # Ignored, the signal turns into an error of the write, as on a full disk; else it would kill the server.
        return [
            "/bin/sh",
            "-c",
            f"trap '' {int(signal.SIGXFSZ)}; exec \"$@\"",
            "sh",
            *super()._command(server, module, port),
        ]

    def fill_disk(self) -> None:
        """Let every write to the append-only file fail from now on."""
        largest = max(path.stat().st_size for path in self.directory.rglob("*.aof"))
        self._limit_files(largest)

    def free_disk(self) -> None:
        """Make room again."""
        self._limit_files(resource.RLIM_INFINITY)

    def _limit_files(self, size: int) -> None:
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


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
