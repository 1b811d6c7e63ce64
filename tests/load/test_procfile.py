"""The Procfile runs under honcho as on a Heroku-style platform, and stops as one stops it."""

from __future__ import annotations

import signal
import time

import pytest

from app.child_process import kill_group
from tests.support.stack import Stack, free_port
from tests.support.waiting import wait_until


@pytest.mark.load
@pytest.mark.timeout(280)
def test_honcho_runs_every_process_of_the_procfile_and_stops_them():
    stack = Stack(MCP_PORT=str(free_port()), FLOWER_PORT=str(free_port()), FLOWER_BASIC_AUTH="operator:secret")
    try:
        stack.start_redis()
        assert stack._spawn("release", "honcho", "run", "agent-memory", "migrate").wait(60) == 0, stack.tail("release")
        honcho = stack._spawn("honcho", "honcho", "start", "web", "worker", "beat", "flower", "mcp")
        stack.wait_until_ready()
        flower = f"http://127.0.0.1:{stack.environment['FLOWER_PORT']}/api/workers"
        wait_until(lambda: stack.http.get(flower, auth=("operator", "secret")).status_code == 200, 30, "Flower answers")
        assert stack.http.get(flower).status_code == 401
        started = time.monotonic()
        honcho.send_signal(signal.SIGTERM)
        honcho.wait(30)
        print(f"stopped after {time.monotonic() - started:.1f} s")
        kill_group(honcho)
        assert "Traceback" not in stack.tail("honcho", 400)
    finally:
        stack.stop()
