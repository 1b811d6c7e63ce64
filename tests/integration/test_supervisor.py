"""`agent-memory up` as a user runs it: side by side, disturbed, and stopped in every way."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc"),
]

COMMAND = [str(Path(sys.executable).parent / "agent-memory"), "up"]
ROOT = Path(__file__).resolve().parents[2]
NAMES = {"gunicorn": "web", "celery.* worker": "worker", "celery.* beat": "beat"}
PARTS = ("valkey-server", "gunicorn", "celery.* worker", "celery.* beat", "celery.* flower", "memory mcp")


def wait_for(condition: Callable[[], object], timeout: float, what: str) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {timeout} s"
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status
    except OSError:
        return 0


class RunningStack:
    """A stack in a directory of its own, and a look at all its processes."""

    def __init__(self, data_dir: Path, command: list[str] = COMMAND, **environment: str) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        data_dir.mkdir(parents=True, exist_ok=True)
        self.output = data_dir / "output.txt"
        clean = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=clean | {"PORT": str(self.port), "DATA_DIR": str(data_dir)} | environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def said(self, pattern: str) -> re.Match[str] | None:
        return re.search(pattern, self.output.read_text())

    def wait_until_said(self, pattern: str, timeout: float = 120) -> re.Match[str]:
        def said_or_dead() -> bool:
            return self.said(pattern) is not None or self.process.poll() is not None

        wait_for(said_or_dead, timeout, f"{pattern!r}")
        match = self.said(pattern)
        assert match, f"the stack ended without saying {pattern!r}:\n{self.output.read_text()}"
        return match

    def wait_until_ready(self) -> None:
        self.wait_until_said(r"Press Ctrl-C to stop")

    def answers(self, path: str = "/readyz") -> bool:
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as response:
                return response.status == 200
        except OSError:
            return False

    def processes(self) -> dict[int, str]:
        """Command lines of all living processes of this stack.

        They have its data directory in their environment; the Redis server overwrites that, but works inside it.
        """
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                environment = (entry / "environ").read_bytes().split(b"\0")
                inside = self.data_dir in Path(os.readlink(entry / "cwd")).parents
                if inside or b"DATA_DIR=" + os.fsencode(self.data_dir) in environment:
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
        return {pid: command for pid, command in found.items() if command}

    def pids(self, pattern: str) -> list[int]:
        return sorted(pid for pid, command in self.processes().items() if re.search(pattern, command))

    def wait_until_all_run(self) -> None:
        """All processes are there, though not all are ready yet."""
        for part in PARTS:
            wait_for(lambda part=part: self.pids(part), 60, part)

    def wait_until_gone(self, timeout: float = 30) -> None:
        self.process.wait(timeout)
        wait_for(lambda: not self.processes(), timeout, f"all gone of {self.processes()}")

    def destroy(self) -> None:
        self.process.kill()
        self.process.wait()
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[RunningStack]:
    """One stack for the tests that leave it running; the last one stops it."""
    stack = RunningStack(tmp_path_factory.mktemp("running"))
    yield stack
    stack.destroy()


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., RunningStack]]:
    stacks: list[RunningStack] = []

    def start_one(name: str = "data", **options) -> RunningStack:
        stacks.append(RunningStack(tmp_path / name, **options))
        return stacks[-1]

    yield start_one
    for stack in stacks:
        stack.destroy()


def test_two_stacks_run_side_by_side_and_a_signal_leaves_nothing_of_one(running, start):
    other = start()
    for stack in (running, other):
        stack.wait_until_ready()
        assert stack.answers("/readyz")
        for part in PARTS:
            assert stack.pids(part), part
    mcp_urls = [stack.wait_until_said(r"MCP +(\S+)/mcp")[1] for stack in (running, other)]
    assert mcp_urls[0] != mcp_urls[1]
    for url in mcp_urls:
        wait_for(lambda url=url: _status(f"{url}/readyz") == 200, 30, f"MCP at {url}")
    other.process.send_signal(signal.SIGINT)
    other.wait_until_gone()
    assert other.process.returncode == 0
    assert running.answers("/readyz")


def test_flower_wants_its_password_and_listens_on_loopback_only(running):
    url, user, password = running.wait_until_said(r"Flower +(\S+) +user (\S+), password (\S+)").groups()

    def get(credentials: str | None) -> int:
        request = urllib.request.Request(url + "/api/workers")
        if credentials:
            import base64

            request.add_header("Authorization", "Basic " + base64.b64encode(credentials.encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                return response.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    wait_for(lambda: get(f"{user}:{password}") == 200, 30, "Flower")
    assert get(None) == 401
    assert get(f"{user}:wrong") == 401
    assert url.startswith("http://127.0.0.1:")


def test_a_second_stack_in_the_same_directory_is_refused(running):
    running.wait_until_ready()
    done = subprocess.run(
        COMMAND,
        cwd=ROOT,
        env={**os.environ, "PORT": str(free_port()), "DATA_DIR": str(running.data_dir)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert "Another stack runs in" in done.stdout


def test_what_dies_comes_back_and_a_signal_stops_everything(running):
    running.wait_until_ready()
    killed = {name: running.pids(part) for part, name in NAMES.items()}
    for pids in killed.values():
        os.kill(pids[0], signal.SIGKILL)
    for part, name in NAMES.items():
        running.wait_until_said(f"{name} was killed by SIGKILL; restarting it")

        def replaced(part=part, before=frozenset(killed[name])) -> bool:
            now = running.pids(part)
            return bool(now) and not before & set(now)

        wait_for(replaced, 30, f"a new {name} and nothing left of the old one")
    os.kill(running.pids("valkey-server")[0], signal.SIGKILL)
    running.wait_until_said("Redis is back")
    wait_for(running.answers, 60, "ready again")
    running.process.send_signal(signal.SIGTERM)
    running.wait_until_gone()
    assert running.process.returncode == 0


def test_kill_9_of_the_supervisor_takes_everything_along(start):
    stack = start()
    stack.wait_until_all_run()
    stack.process.kill()
    stack.wait_until_gone(timeout=15)


def test_a_signal_while_starting_leaves_nothing(start):
    stack = start()
    wait_for(lambda: stack.pids("valkey-server"), 30, "Redis")
    stack.process.send_signal(signal.SIGTERM)
    stack.wait_until_gone()
    assert stack.process.returncode == 0


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_a_signal_to_make_stops_the_stack(start):
    # `-o setup`: what is installed is not this test's business.
    stack = start(command=["make", "-o", "setup", "run"])
    stack.wait_until_all_run()
    stack.process.send_signal(signal.SIGTERM)
    stack.wait_until_gone()


def test_a_taken_port_is_reported_at_once(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            COMMAND,
            cwd=ROOT,
            env={**os.environ, "PORT": str(port), "DATA_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert done.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in done.stdout.replace("\n", " ")
    assert "PORT=" in done.stdout
