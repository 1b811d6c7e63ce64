"""Run the whole platform on one machine: `agent-memory up` and `agent-memory demo`.

Starts what the Procfile lists beside an embedded Redis, waits until it is ready, restarts what falls over, and stops
everything in order. Each process writes to its own file under `<data_dir>/logs`; the terminal shows only warnings.
Nothing outlives the supervisor: not on Ctrl-C, not on SIGTERM, and not when it is killed (`child_process.py`).
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.markup import escape

from app.config import Settings
from app.log_follower import LogFollower
from app.memory.errors import MemoryPlatformError
from app.process_group import ProcessGroup, StackFailed, read_procfile
from app.store.embedded import EmbeddedRedis

READY_TIMEOUT_SECONDS = 180.0
# Without it the platform still works.
OPTIONAL = {"flower", "mcp"}
STOP_ORDER = (("web", "beat", "flower", "mcp"), ("worker", "llm"))

PROCFILE = Path(__file__).resolve().parents[1] / "Procfile"

console = Console(highlight=False)


class StopRequested(Exception):
    """Somebody asked the stack to stop."""


def run_stack(settings: Settings, *, with_demo: bool) -> int:
    """Run everything until a signal; returns the exit code.

    With `with_demo`, the sample conversation is played once all is ready; `DEMO_EXIT=1` ends the stack after it.
    """
    try:
        return Stack(settings).run(with_demo=with_demo)
    except (StackFailed, MemoryPlatformError) as error:
        console.print(f"[bold red]{escape(str(error))}[/]")
        return 1


class Stack:
    """The processes of one platform: one data directory, one port."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.data_dir = settings.data_dir.expanduser().resolve()
        self.logs = self.data_dir / "logs"
        self.environment = dict(os.environ)
        self.processes: ProcessGroup | None = None
        self.redis: EmbeddedRedis | None = None
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._signals = 0
        self._reserved: list[socket.socket] = []
        self._follower = LogFollower(self.logs, self._show)

    @property
    def base_url(self) -> str:
        """Where the API answers, seen from this machine."""
        return _local_url(self.settings.host, self.environment["PORT"])

    @property
    def mcp_url(self) -> str:
        """Where the MCP server answers, seen from this machine."""
        return _local_url(self.settings.mcp_host, self.environment["MCP_PORT"]) + "/mcp"

    def run(self, *, with_demo: bool) -> int:
        """Start, serve until a signal (or until the demo is over), stop."""
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StackFailed(
                f"Cannot write to {self.data_dir} ({error.strerror}); choose another: DATA_DIR=…"
            ) from None
        with self._only_one(), self._signals_stop_us():
            try:
                self._prepare_environment()
                self._start()
                self._wait_until_ready()
                self._announce()
                return self._serve(with_demo=with_demo)
            except StopRequested:
                return 0
            finally:
                self._stop()

    # -- start ---------------------------------------------------------------------------------------------

    @contextmanager
    def _only_one(self) -> Iterator[None]:
        """Two stacks in one data directory would share the scheduler's state: refuse the second."""
        with (self.data_dir / "stack.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StackFailed(
                    f"Another stack runs in {self.data_dir}. Stop it, or choose another directory: DATA_DIR=…"
                ) from None
            yield

    def _prepare_environment(self) -> None:
        """Everything that the processes must agree on, as environment variables."""
        settings = self.settings
        port = _take_port(settings.host, settings.port, "PORT")
        # Flower shows what the platform does: it listens on this machine only and always asks for a password.
        flower_port = _take_port("127.0.0.1", settings.flower_port, "FLOWER_PORT")
        mcp_port = self._take_mcp_port()
        flower_auth = settings.flower_basic_auth or f"admin:{secrets.token_urlsafe(12)}"
        self.environment |= {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONUNBUFFERED": "1",
            # One thread per process for linear algebra; more only get in each other's way.
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
            "TOKENIZERS_PARALLELISM": "false",
            "DATA_DIR": str(self.data_dir),
            "HOST": settings.host,
            "PORT": str(port),
            "MCP_HOST": settings.mcp_host,
            "MCP_PORT": str(mcp_port),
            "FLOWER_PORT": str(flower_port),
            "FLOWER_BASIC_AUTH": flower_auth,
            "WORKER_CONCURRENCY": str(settings.worker_concurrency),
            "LOG_LEVEL": settings.log_level.upper(),
        }
        if settings.redis_url:
            self.environment["REDIS_URL"] = settings.redis_url

    def _take_mcp_port(self) -> int:
        """The port of the setting; when nobody chose it and it is taken, a free one: stacks run side by side."""
        host, port = self.settings.mcp_host, self.settings.mcp_port
        if "mcp_port" in self.settings.model_fields_set:
            return _take_port(host, port, "MCP_PORT")
        # Two stacks that start at once both find the port free: the one that holds its mark has it.
        mark = _mark(port)
        if mark is not None:
            self._reserved.append(mark)
            with suppress(StackFailed):
                return _take_port(host, port, "MCP_PORT")
        return _take_port(host, 0, "MCP_PORT")

    def _start(self) -> None:
        commands = read_procfile(PROCFILE)
        release = commands.pop("release")
        if self.settings.llm_configured:
            self.environment |= {"WORKER_QUEUES": "ml,store"}
            # One port cannot be that of two workers.
            commands["llm"] = f"WORKER_METRICS_PORT=0; export WORKER_METRICS_PORT; {commands['llm']}"
        else:
            del commands["llm"]
        self.processes = ProcessGroup(commands, self.environment, self.logs, optional=OPTIONAL, say=_warn)
        with console.status("starting Redis") as status:
            if not self.settings.redis_url:
                self.redis = EmbeddedRedis(
                    self.data_dir,
                    fsync=self.settings.embedded_redis_fsync,
                    progress=self._progress(status.update),
                )
                self.environment["REDIS_URL"] = self.redis.start()
            if self.settings.embedding_backend == "onnx":
                status.update("preparing the embedding model")
                from app.providers.onnx_export import ensure_exported

                ensure_exported(self.settings.embedding_model, self.settings.model_cache_dir)
            status.update("bringing the store up to date")
            self._migrate(release)
        self._follower.start()
        self.processes.start()

    def _migrate(self, command: str) -> None:
        assert self.processes is not None
        if self.processes.run_once("release", command, self._pause) != 0:
            tail = self.processes.log("release").read_text(errors="replace").splitlines()[-5:]
            raise StackFailed("The migrations failed:\n  " + "\n  ".join(tail))

    def _wait_until_ready(self) -> None:
        started = reported = time.monotonic()
        with console.status("starting") as status:
            while True:
                missing = _not_ready(f"{self.base_url}/readyz")
                if missing is None:
                    return
                elapsed = time.monotonic() - started
                if elapsed > READY_TIMEOUT_SECONDS:
                    raise StackFailed(f"Not ready after {elapsed:.0f} s ({missing}); the logs are in {self.logs}")
                status.update(f"starting, {elapsed:.0f} s: {escape(missing)}")
                if not console.is_terminal and time.monotonic() - reported > 5:
                    reported = time.monotonic()
                    console.print(f"starting, {elapsed:.0f} s: {escape(missing)}")
                self._watch()
                self._pause(0.2)

    def _announce(self) -> None:
        assert self.processes is not None
        docs = next(
            (f"{self.base_url}{path}" for path in ("/docs", "/openapi.json") if _answers(self.base_url + path)), ""
        )
        user, _, password = self.environment["FLOWER_BASIC_AUTH"].partition(":")
        rows = [
            ("API", self.base_url),
            ("API docs", docs),
            ("Explorer", f"{self.base_url}/explorer"),
            ("MCP", self.mcp_url),
            ("Auth", _auth(self.settings)),
            ("Flower", f"http://127.0.0.1:{self.environment['FLOWER_PORT']}  user {user}, password {password}"),
            ("Redis", _without_password(self.environment["REDIS_URL"])),
            ("Logs", str(self.logs)),
        ]
        console.print(f"[bold green]Ready[/] ({', '.join(self.processes.running)})")
        for name, value in rows:
            if value:
                console.print(f"  {name:9} {escape(value)}", soft_wrap=True)

    # -- serve ---------------------------------------------------------------------------------------------

    def _serve(self, *, with_demo: bool) -> int:
        outcome: list[int] = []
        if with_demo:
            # In a thread, so that this one keeps watching; a daemon, so that Ctrl-C need not wait for it.
            threading.Thread(target=lambda: outcome.append(_play(self.base_url)), name="demo", daemon=True).start()
        else:
            console.print("Press Ctrl-C to stop.")
        told = not with_demo
        while True:
            if outcome and not told:
                told = True
                if os.environ.get("DEMO_EXIT") == "1" or outcome[0] != 0:
                    return outcome[0]
                console.print(f"Still serving at {self.base_url}. Press Ctrl-C to stop.")
            self._watch()
            self._pause(0.2)

    def _watch(self) -> None:
        assert self.processes is not None
        # Also one that a `agent-memory mcp` of the same directory had started: it ends with its owner.
        if self.redis is not None and not self.redis.alive():
            self._restart_redis()
        self.processes.watch()

    def _restart_redis(self) -> None:
        assert self.redis is not None
        before = self.environment["REDIS_URL"]
        _warn("Redis died; restarting it from its append-only file")
        if self.redis.start() != before:
            raise StackFailed(f"Redis could not come back at {before}: another program took its port. Start again.")
        console.print("Redis is back")

    # -- stop ----------------------------------------------------------------------------------------------

    @contextmanager
    def _signals_stop_us(self) -> Iterator[None]:
        def on_signal(signum: int, frame: FrameType | None) -> None:
            self._signals += 1
            self._stopping.set()
            if self._signals > 1 and signum == signal.SIGINT:
                self._hurry.set()

        handled = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        before = {signum: signal.signal(signum, on_signal) for signum in handled}
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def _pause(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise StopRequested

    def _progress(self, show: Callable[[str], None]) -> Callable[[str], None]:
        def progress(message: str) -> None:
            show(message) if console.is_terminal else console.print(escape(message))
            self._pause(0)

        return progress

    def _stop(self) -> None:
        """Doors first, then the worker (it finishes what it has), then Redis; nobody is left behind."""
        if self.processes is not None:
            console.print("Stopping (Ctrl-C again to hurry)" if console.is_terminal else "Stopping")
        if self.processes is not None:
            self.processes.stop(STOP_ORDER, hurry=self._hurry.is_set)
        self._follower.stop()
        if self.redis is not None:
            self.redis.stop()
        for mark in self._reserved:
            mark.close()

    def _show(self, name: str, line: str) -> None:
        if not self._stopping.is_set():  # what processes say while they are being stopped is no news
            console.print(f"[yellow]{name}[/] {escape(line)}", soft_wrap=True)


def _warn(message: str) -> None:
    console.print(f"[yellow]{escape(message)}[/]", soft_wrap=True)


def _local_url(host: str, port: str) -> str:
    return f"http://{'127.0.0.1' if host in ('0.0.0.0', '::', '') else host}:{port}"  # noqa: S104


def _mark(port: int) -> socket.socket | None:
    """A datagram socket on the same number, as a lock that ends with us; None when somebody holds it."""
    mark = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        mark.bind(("127.0.0.1", port))
    except OSError:
        mark.close()
        return None
    return mark


def _take_port(host: str, port: int, setting: str) -> int:
    """A free port for 0; otherwise the port itself, if nobody listens there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise StackFailed(
                f"Cannot listen on {host}:{port} ({error.strerror}). "
                f"Stop what uses it, or choose another port: {setting}={port + 1 if port < 65535 else 8001}"
            ) from None
        return int(probe.getsockname()[1])


def _not_ready(url: str) -> str | None:
    """What the readiness probe still misses; None when it answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=5):  # noqa: S310 (http, built by us)
            return None
    except urllib.error.HTTPError as error:
        return _missing(error)
    except OSError:
        return "web does not answer yet"


def _missing(error: urllib.error.HTTPError) -> str:
    try:
        report: Any = json.loads(error.read())
        checks = report["checks"].items()
        return ", ".join(f"{name}: {state}" for name, state in checks if state != "ok") or f"HTTP {error.code}"
    except (ValueError, KeyError, AttributeError, TypeError):
        return f"HTTP {error.code}"


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):  # noqa: S310
            return True
    except OSError:
        return False


def _play(base_url: str) -> int:
    """Play the demo; 0 when it succeeded."""
    try:
        from app.demo.player import play

        return int(play(base_url) or 0)
    except Exception as error:  # the stack must hear of it, whatever it is
        console.print(f"[bold red]The demo failed: {type(error).__name__}: {escape(str(error))}[/]")
        return 1


def _auth(settings: Settings) -> str:
    mode = settings.resolved_auth_mode
    return "OFF: whoever reaches these ports can read and change everything" if mode == "disabled" else mode


def _without_password(url: str) -> str:
    return re.sub(r"//[^@/]*@", "//", url)
