"""A failover behind sentinels, on loopback: the client follows the new master, and nothing replicated is lost."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from kombu import Connection

from app.child_process import kill_group, spawn
from app.config import Settings
from app.memory.errors import BackendUnavailable
from app.store import index
from app.store.client import connect
from app.store.embedded import find_search_module, find_server
from app.store.jobs import JobRepository, JobRun
from migrations import runner
from tests.support.stack import free_port
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


class Servers:
    """A master, a replica and a sentinel."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.processes: list[subprocess.Popen[bytes]] = []
        self.master, self.replica, self.sentinel = free_port(), free_port(), free_port()
        search = ("--loadmodule", str(find_search_module()))
        self._start("master", "--port", str(self.master), *search)
        self._start("replica", "--port", str(self.replica), "--replicaof", "127.0.0.1", str(self.master), *search)
        configuration = directory / "sentinel.conf"
        configuration.write_text(
            f"port {self.sentinel}\ndir {directory}\nsentinel monitor memories 127.0.0.1 {self.master} 1\n"
            "sentinel down-after-milliseconds memories 500\nsentinel failover-timeout memories 2000\n"
        )
        self._run("sentinel", str(configuration), "--sentinel")
        wait_until(self._replicated, 20, "the replica follows and the sentinel knows it")

    def _start(self, name: str, *arguments: str) -> None:
        place = self.directory / name
        place.mkdir()
        self._run(name, "--bind", "127.0.0.1", "--save", "", "--dir", str(place), *arguments)

    def _run(self, name: str, *arguments: str) -> None:
        with (self.directory / f"{name}.log").open("wb") as log:
            command = [str(find_server()), *arguments]
            self.processes.append(spawn(command, stdout=log, stderr=log, death_signal=signal.SIGKILL))

    def _replicated(self) -> bool:
        try:
            known = redis.Redis(port=self.sentinel).sentinel_slaves("memories")
            link = redis.Redis(port=self.replica).info("replication").get("master_link_status")
        except redis.RedisError:
            return False
        return len(known) == 1 and link == "up"

    def stop(self) -> None:
        for process in self.processes:
            kill_group(process)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    running = Servers(tmp_path)
    yield running
    running.stop()


def test_the_store_follows_a_failover(servers: Servers):
    url = f"redis+sentinel://127.0.0.1:{servers.sentinel}/memories"
    settings = Settings(_env_file=None, redis_url=url, redis_timeout_seconds=1)
    client = connect(settings)
    runner.up(client, settings, str)
    jobs = JobRepository(client)
    jobs.note("before", JobRun(1.0, 0.1))
    assert client.execute_command("WAIT", "1", "2000") == 1, "the replica has it"
    kill_group(servers.processes[0])
    killed = time.monotonic()
    refused = 0

    def answers() -> bool:
        nonlocal refused
        try:
            jobs.note("after", JobRun(2.0, 0.1))
        except BackendUnavailable:
            refused += 1
            return False
        return True

    wait_until(answers, 30, "the new master takes writes")
    print(f"writes again {time.monotonic() - killed:.1f} s after the kill, {refused} answers of 503 meanwhile")
    assert set(jobs.runs()) == {"before", "after"}
    assert redis.Redis(port=servers.replica).info("replication")["role"] == "master"
    assert index.describe(client, index.MEMORIES) is not None, "the index is there as well"
    with Connection(settings.broker_url, transport_options={"master_name": "memories"}) as broker:
        queue = broker.SimpleQueue("test")
        queue.put("through the new master")
        assert queue.get(timeout=5).payload == "through the new master"
        queue.close()


def test_the_broker_gets_the_sentinels_in_celerys_own_form():
    settings = Settings(_env_file=None, redis_url="redis+sentinel://:pw@a:1,b:2/memories")
    assert settings.redis_sentinel_service == "memories"
    assert settings.broker_url == "sentinel://:pw@a:1/1;sentinel://:pw@b:2/1"
    assert Settings(_env_file=None, redis_url="redis://h/0").redis_sentinel_service is None
    with pytest.raises(ValueError, match="no service"):
        _ = Settings(_env_file=None, redis_url="redis+sentinel://a:1").redis_sentinel_service
