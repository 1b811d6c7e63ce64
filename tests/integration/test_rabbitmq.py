"""The pipeline over RabbitMQ, where its server is installed (`apt-get install rabbitmq-server`); else skipped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.child_process import kill_group, spawn
from app.config import Settings
from app.container import Container
from app.store import keys
from tests.support.api import Api
from tests.support.builders import a_session, unique
from tests.support.stack import BIN, ROOT, free_port, private_stack
from tests.support.waiting import wait_until

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
pytestmark = [
    pytest.mark.load,
    pytest.mark.skipif(not SERVER.exists() or shutil.which("erl") is None, reason="RabbitMQ is not installed"),
]


@pytest.fixture
def amqp_url(tmp_path: Path) -> Iterator[str]:
    """A node of its own, on loopback, in a temporary directory."""
    port = free_port()
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "RABBITMQ_NODENAME": f"test{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_MNESIA_BASE": str(tmp_path / "data"),
        "RABBITMQ_LOG_BASE": str(tmp_path / "log"),
        "RABBITMQ_PID_FILE": str(tmp_path / "pid"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(tmp_path / "plugins"),
        "ERL_EPMD_PORT": str(free_port()),
    }
    with (tmp_path / "rabbitmq.log").open("wb") as log:
        # Else the node would start one that outlives it.
        names = spawn(["epmd"], env=environment, stdout=log, stderr=log, death_signal=signal.SIGKILL)
        server = spawn([str(SERVER)], env=environment, stdout=log, stderr=log, death_signal=signal.SIGKILL)
    log_file = tmp_path / "rabbitmq.log"
    try:
        wait_until(lambda: b"completed with" in log_file.read_bytes(), 60, "RabbitMQ is up")
        yield f"amqp://guest:guest@127.0.0.1:{port}//"
    finally:
        kill_group(server)
        kill_group(names)


def test_a_session_becomes_memories_over_rabbitmq(amqp_url: str):
    with private_stack(worker=False, CELERY_BROKER_URL=amqp_url) as stack:
        engine = Container(Settings(_env_file=None, redis_url=stack.environment["REDIS_URL"]))
        assert stack.http.get("/readyz").json()["checks"]["broker"] == "ok", "before any worker has declared the queues"
        stack.start_worker()
        stack.wait_until_ready()
        api = Api(stack.http, unique("ns"))
        a_session().of(api.namespace, "ann").with_messages("I am allergic to peanuts.").put(stack.http)
        assert "peanuts" in api.wait_for_memories(1)[0]["text"].lower()
        metrics = stack.http.get("/metrics").text
        assert 'agent_memory_queue_depth{queue="store"}' in metrics
        doctor = subprocess.run(
            [str(BIN / "agent-memory"), "doctor", "--json"], env=stack.environment, cwd=ROOT, capture_output=True
        )
        broker = [f for f in json.loads(doctor.stdout) if f["subject"] == "broker"]
        assert {f["level"] for f in broker} == {"ok"}, broker
        wait_until(lambda: not engine.redis.zcard(keys.outbox(api.namespace)), 20, "nothing is left to do")
        assert not stack.restarts
