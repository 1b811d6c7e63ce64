"""The stdio server as a desktop host starts it: alone, with the embedded Redis, nothing but protocol on stdout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import pytest

from app.config import Settings
from app.container import Container
from app.store.embedded import EmbeddedRedis
from tests.support.mcp import COMMAND, connected_over_stdio, without_settings
from tests.support.stack import ROOT
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc"),
]
HELLO = [
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    },
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
    {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
]


def _say(stdin: IO[str], *messages: object) -> None:
    stdin.writelines(json.dumps(message) + "\n" for message in messages)
    stdin.flush()


def _cpu_seconds(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    return without_settings() | {"DATA_DIR": str(tmp_path / "data"), "LOG_FORMAT": "json"}


def test_stdout_carries_protocol_only_also_while_redis_starts_and_work_waits_for_a_worker(environment, tmp_path):
    session = {"session_id": "s", "messages": [{"role": "user", "content": "I moved to Lisbon."}]}
    call = {"name": "set_working_memory", "arguments": session}
    with (tmp_path / "stderr").open("w") as errors:
        process = subprocess.Popen(
            [COMMAND, "mcp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment, cwd=ROOT,
            text=True,
        )  # fmt: skip
    assert process.stdin
    assert process.stdout
    try:
        _say(process.stdin, *HELLO)
        lines = [process.stdout.readline() for _ in range(2)]
        spent = _cpu_seconds(process.pid)
        _say(process.stdin, {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": call})
        lines.append(process.stdout.readline())
        answers = [json.loads(line) for line in lines]
        assert [answer["id"] for answer in answers] == [1, 2, 3]
        assert len(answers[1]["result"]["tools"]) == 10
        assert answers[2]["result"]["isError"] is False
        # What a host waits for on an idle machine (1.0 s measured); wall time would only tell how busy this one is.
        assert spent < 2

        wait_until(lambda: "no worker runs" in (tmp_path / "stderr").read_text(), 30)
        redis = EmbeddedRedis(tmp_path / "data")
        store = Container(Settings(_env_file=None, redis_url=redis.start()))
        assert not redis.owned
        assert store.outbox.stats(store.outbox.namespaces(), time.time()).total == 1
    finally:
        process.stdin.close()
        rest = process.stdout.read()
        process.wait(20)
    assert rest == ""
    assert process.returncode == 0
    wait_until(lambda: not redis.alive(), 10, "the Redis that it had started is gone")
    for line in (tmp_path / "stderr").read_text().splitlines():
        json.loads(line)


def test_hosts_of_one_directory_share_the_memory_and_outlive_each_other(environment, tmp_path):
    first = connected_over_stdio(environment, tmp_path / "first.log")
    host = first.__enter__()
    try:
        host.call("create_long_term_memories", memories=[{"text": "User breeds finches"}])
        with connected_over_stdio(environment, tmp_path / "second.log") as other:
            assert other.texts("birds") == ["User breeds finches"]
            first.__exit__(None, None, None)  # and with it the Redis that it had started
            first = None
            assert other.texts("birds") == ["User breeds finches"]
            other.call("create_long_term_memories", memories=[{"text": "User sails on Sundays"}])
    finally:
        if first is not None:
            first.__exit__(None, None, None)


def test_a_data_directory_that_cannot_be_used_is_a_tool_error(environment, tmp_path):
    (tmp_path / "file").write_text("")
    wrong = environment | {"DATA_DIR": str(tmp_path / "file" / "inside")}
    with connected_over_stdio(wrong, tmp_path / "log") as host:
        assert len(host.ask("list_tools").tools) == 10
        assert "not available now" in host.refused("search_long_term_memory", text="x")
    assert Path(tmp_path / "log").read_text()
