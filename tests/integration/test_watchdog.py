"""A worker that stays up and consumes nothing ends, with its children, and is started again."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import redis

from app.process_group import ProcessGroup
from tests.support.redis_server import embedded_redis
from tests.support.stack import BIN, FAST, ROOT
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_stalled_worker_says_so_ends_with_its_children_and_is_restarted(tmp_path):
    with embedded_redis() as server:
        environment = {
            **os.environ,
            **FAST,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "REDIS_URL": server.url,
            "WORKER_STALL_SECONDS": "2",
            "STALLED_ONCE": str(tmp_path / "stalled"),
        }
        commands = {
            "worker": "exec celery -A tests.support.stalling_worker worker -Q store -c 2 -l INFO "
            "--without-gossip --without-mingle",
            "beat": f"exec celery -A tasks.celery_app beat -s {tmp_path}/schedule --pidfile= -l INFO",
        }
        said: list[str] = []
        group = ProcessGroup(commands, environment, tmp_path, say=said.append)
        broker = redis.Redis.from_url(server.url.replace("/0", "/1"))
        try:
            group.start()
            process = group.children["worker"].process
            assert process is not None
            wait_until((tmp_path / "stalled").exists, 60, "the worker is up")
            pool = wait_until(lambda: children(process.pid), 10, "it has children")
            wait_until(lambda: process.poll() is not None, 30, "the stalled worker ends")
            assert process.returncode == 70
            wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pool), 5, "its children are gone")
            assert "worker stalled" in group.log("worker").read_text()
            waiting = broker.llen("store")
            assert 1 <= waiting <= 6, "beat sends no second tick of a job while one waits"
            started = time.monotonic()
            wait_until(lambda: group.watch() or broker.llen("store") == 0, 30, "the next worker does the work")
            assert said == ["worker ended with exit code 70; restarting it in 0.5 s"]
            print(f"restarted, and the queue empty, after {time.monotonic() - started:.1f} s")
        finally:
            group.stop()
