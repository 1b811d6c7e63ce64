"""The real parts, started and killed on purpose: embedded Redis, gunicorn, a Celery worker, beat.

`Stack` is used twice: once for the whole test session (`conftest.py`) and privately by the tests of faults, which
kill its parts. `Server` is what most tests see: a base URL, and a client for it.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from app.child_process import kill_group, spawn, terminate
from tests.support.redis_server import FillableRedis
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
# What the developer's shell has must not change what is tested.
_NOT_INHERITED = (
    "REDIS_URL",
    "CELERY_",
    "OPENAI_",
    "DATA_DIR",
    "PORT",
    "EXTRACTION_",
    "EMBEDDING_",
    "AUTH_",
    "DISABLE_AUTH",
    "TOKEN_AUTH_",
    "OAUTH2_",
    "RATE_LIMIT_",
)
FAST: Mapping[str, str] = {
    "EXTRACTION_BACKEND": "rules",
    "EXTRACTION_DEBOUNCE_SECONDS": "0.3",
    "DISPATCH_INTERVAL_SECONDS": "0.3",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "LOG_FORMAT": "json",
    "LOG_LEVEL": "INFO",
    "WEB_WORKERS": "1",
    "WEB_THREADS": "16",
    "HOST": "127.0.0.1",
    # No fit of a minute and a gigabyte that no test asked for.
    "TOPIC_CHECK_SECONDS": "0",
    "TOPIC_MIN_MEMORIES": "1000000",
}
# A part that dies is missed after seconds, not minutes.
QUICK_RECOVERY: Mapping[str, str] = {
    "PROMOTION_LEASE_SECONDS": "10",
    "TASK_TIME_LIMIT_SECONDS": "20",
    "WORKER_STALL_SECONDS": "15",
    "BROKER_VISIBILITY_TIMEOUT_SECONDS": "25",
    "REDIS_TIMEOUT_SECONDS": "2",
}
START_TIMEOUT_SECONDS = 120.0
_SUPERVISED = ("web", "worker", "beat")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A running server, ours or anybody's: its base URL and a client for it."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url.rstrip("/")
        self.http = httpx.Client(
            base_url=self.base_url, timeout=60, limits=httpx.Limits(max_connections=64, max_keepalive_connections=64)
        )

    def logs(self) -> dict[str, Path]:
        """Log files that may explain a failure."""
        return {}


class Stack(Server):
    """All processes of the platform in a temporary directory; each can be killed and started again.

    A process that ends by itself is started again after a second, as `agent-memory up`, compose and Kubernetes do;
    `restarts` says which did. What a test kills stays away until the test starts it.
    """

    def __init__(self, **settings: str) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="agent-memory-stack-"))
        self.redis = FillableRedis(self.directory)
        self.port = free_port()
        self.metrics_port = free_port()
        super().__init__(f"http://127.0.0.1:{self.port}")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
        self.environment = {
            **kept,
            **FAST,
            "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
            "DATA_DIR": str(self.directory),
            "PORT": str(self.port),
            "WORKER_METRICS_PORT": str(self.metrics_port),
            **settings,
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.restarts: list[str] = []
        self._commands: dict[str, tuple[str, ...]] = {}
        self._changing = threading.Lock()
        self._stopped = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, name="supervisor", daemon=True)

    # -- whole -------------------------------------------------------------------------------------------------

    def start(self, *, worker: bool = True, per_queue: bool = False) -> Stack:
        """Start everything and wait until it is ready; `per_queue`: with one worker for each queue."""
        self.start_redis()
        migrated = self._spawn("migrate", "agent-memory", "migrate")
        assert migrated.wait(START_TIMEOUT_SECONDS) == 0, self.tail("migrate")
        self.start_beat()
        if per_queue:
            self.start_workers_per_queue()
        elif worker:
            self.start_worker()
        self.start_web()
        if worker:
            self.wait_until_ready()
        self._supervisor.start()
        return self

    def stop(self) -> None:
        """Kill everything and delete the directory."""
        self.http.close()
        self._stopped.set()
        for name in list(self.processes):
            self.kill(name)
        self.redis.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def wait_until_ready(self) -> None:
        """Wait until `/readyz` is content: Redis, search, broker and a worker."""
        wait_until(lambda: self._status("/readyz") == 200, START_TIMEOUT_SECONDS, "the stack is ready")

    def _status(self, path: str) -> int:
        try:
            return self.http.get(path).status_code
        except httpx.TransportError:
            return 0

    # -- parts -------------------------------------------------------------------------------------------------

    def start_redis(self) -> None:
        """Start Redis, or start it again from its append-only file, at the same address."""
        before = self.environment.get("REDIS_URL")
        self.environment["REDIS_URL"] = self.redis.start()
        assert before in (None, self.environment["REDIS_URL"]), "Redis came back on another port"

    def start_web(self) -> None:
        """Start gunicorn as the Procfile does, and wait until it answers."""
        self._spawn("web", "gunicorn", "-c", "python:app.gunicorn_conf", "app.wsgi:application")
        wait_until(lambda: self._status("/healthz") == 200, START_TIMEOUT_SECONDS, "the web process answers")

    def start_worker(self, app: str = "tasks.celery_app") -> None:
        """Start a worker of two processes for all queues; does not wait for it."""
        self._spawn(
            "worker", "celery", "-A", app, "worker", "-Q", "llm,ml,store", "-c", "2",
            "-n", f"worker-{self.port}@%h", "-l", "INFO", "--without-gossip", "--without-mingle",
        )  # fmt: skip

    def start_workers_per_queue(self) -> None:
        """Start one worker for each queue, as docker/compose.yaml has them; does not wait for them."""
        self.environment["WORKER_METRICS_PORT"] = "0"  # one port cannot be all of theirs
        for queue, pool in (("ml", ("-c", "2")), ("llm", ("-P", "threads", "-c", "32")), ("store", ("-c", "2"))):
            self._spawn(
                f"worker-{queue}", "celery", "-A", "tasks.celery_app", "worker", "-Q", queue, *pool,
                "-n", f"{queue}-{self.port}@%h", "-l", "INFO", "--without-gossip", "--without-mingle",
            )  # fmt: skip

    def start_beat(self) -> None:
        """Start beat."""
        schedule = str(self.directory / "beat-schedule")
        self._spawn("beat", "celery", "-A", "tasks.celery_app", "beat", "-s", schedule, "--pidfile=", "-l", "INFO")

    def kill(self, name: str) -> None:
        """`kill -9` a process and all its children; waits until they are gone."""
        with self._changing:
            process = self.processes.pop(name, None)
            if process is not None:
                kill_group(process)

    def terminate(self, name: str, *, grace_seconds: float = 30.0) -> None:
        """Stop a process as an operator does (TERM, then KILL)."""
        with self._changing:
            process = self.processes.pop(name, None)
        if process is not None:
            terminate(process, grace_seconds=grace_seconds)

    def kill_redis(self) -> None:
        """`kill -9` the Redis server; waits until it is gone."""
        os.kill(self.redis.pid, signal.SIGKILL)
        wait_until(lambda: not self.redis.alive(), 10, "Redis is gone")

    def _spawn(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        self.kill(name)
        with self._changing:
            self._commands[name] = command
            return self._launch(name)

    def _launch(self, name: str) -> subprocess.Popen[bytes]:
        command = self._commands[name]
        with (self.directory / f"{name}.log").open("ab") as log:
            self.processes[name] = spawn(
                [str(BIN / command[0]), *command[1:]],
                env=self.environment,
                cwd=ROOT,
                stdout=log,
                stderr=log,
                death_signal=signal.SIGKILL,
            )
        return self.processes[name]

    def _supervise(self) -> None:
        while not self._stopped.wait(1.0):
            with self._changing:
                for name, process in list(self.processes.items()):
                    if process.poll() is not None and name in _SUPERVISED and not self._stopped.is_set():
                        kill_group(process)
                        self.restarts.append(f"{name} ended with exit code {process.returncode}")
                        self._launch(name)

    # -- looking inside ------------------------------------------------------------------------------------------

    def logs(self) -> dict[str, Path]:
        """The log file of each process."""
        return {path.stem: path for path in sorted(self.directory.glob("*.log"))}

    def tail(self, name: str, lines: int = 30) -> str:
        """The end of a process's log."""
        path = self.directory / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""


@contextmanager
def private_stack(*, worker: bool = True, **settings: str) -> Iterator[Stack]:
    """A stack of one's own, for tests that kill its parts; its logs are printed when the test fails."""
    stack = Stack(**{**QUICK_RECOVERY, **settings})
    with stopped_and_explained(stack):
        yield stack.start(worker=worker)


@contextmanager
def stopped_and_explained(stack: Stack) -> Iterator[None]:
    """Stop a stack at the end; what it logged is printed when the block fails."""
    try:
        yield
    except BaseException:
        print("restarted:", stack.restarts)
        for name in stack.logs():
            print(f"--- {name} ---\n{stack.tail(name)}")
        raise
    finally:
        stack.stop()
