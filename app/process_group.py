"""The processes of one stack: started from a Procfile, restarted when they die, stopped in order."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.child_process import kill_group, spawn

STOP_SECONDS = 20.0
# A process that dies sooner than this after its start counts as failing again.
SETTLED_SECONDS = 60.0
RESTART_DELAYS = (0.5, 1.0, 2.0, 4.0, 8.0)


class StackFailed(Exception):
    """The stack cannot run; the message says why and what to do."""


@dataclass
class Child:
    """One line of the Procfile, and the process that runs it."""

    name: str
    command: str
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    restart_at: float | None = None

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return self.process is not None and self.process.poll() is None


class ProcessGroup:
    """Children that write to `<logs>/<name>.log`, each in a process group of its own."""

    def __init__(
        self,
        commands: Mapping[str, str],
        environment: Mapping[str, str],
        logs: Path,
        *,
        optional: Collection[str] = (),
        say: Callable[[str], None] = print,
    ) -> None:
        self.children = {name: Child(name, command) for name, command in commands.items()}
        self._environment = environment
        self._logs = logs
        self._optional = optional
        self._say = say

    @property
    def running(self) -> list[str]:
        """Names of the processes that run."""
        return [name for name, child in self.children.items() if child.running]

    def start(self) -> None:
        """Start all."""
        for child in self.children.values():
            self._launch(child)

    def watch(self) -> None:
        """Restart what died, with growing delays; StackFailed when something needed keeps dying."""
        now = time.monotonic()
        for child in self.children.values():
            if child.restart_at is not None:
                if now >= child.restart_at:
                    self._launch(child)
            elif child.process is not None and not child.running:
                self._schedule_restart(child, child.process, now)

    def stop(self, order: Sequence[Collection[str]] = (), *, hurry: Callable[[], bool] = lambda: False) -> None:
        """Stop the named ones, group after group, then all others; nothing is left behind."""
        for names in (*order, tuple(self.children)):
            _stop([self.children[name] for name in names if name in self.children], hurry, self._say)

    def run_once(self, name: str, command: str, wait: Callable[[float], None]) -> int:
        """Run a command to its end, calling `wait` meanwhile (it may raise to give up); returns the exit code."""
        child = Child(name, command)
        try:
            self._launch(child)
            while child.running:
                wait(0.05)
        finally:
            if child.process is not None:
                kill_group(child.process)
        assert child.process is not None
        return int(child.process.returncode)

    def log(self, name: str) -> Path:
        """The log file of a process."""
        return self._logs / f"{name}.log"

    def _launch(self, child: Child) -> None:
        with self.log(child.name).open("ab") as log:
            child.process = spawn(
                ["/bin/sh", "-c", child.command],
                env=self._environment,
                stdout=log,
                stderr=log,
                # Redis goes down with us, and a Celery worker that is asked politely then waits for it for ever.
                death_signal=signal.SIGKILL,
            )
        child.started, child.restart_at = time.monotonic(), None

    def _schedule_restart(self, child: Child, process: subprocess.Popen[bytes], now: float) -> None:
        kill_group(process)  # the pool processes of a killed worker
        code = process.returncode
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        child.failures = child.failures + 1 if now - child.started < SETTLED_SECONDS else 1
        if child.failures > len(RESTART_DELAYS):
            message = f"{child.name} {how}, {child.failures} times in a row; see {self.log(child.name)}"
            if child.name not in self._optional:
                raise StackFailed(message)
            self._say(f"{message}; going on without it")
            child.process = None
            return
        delay = RESTART_DELAYS[child.failures - 1]
        child.restart_at = now + delay
        self._say(f"{child.name} {how}; restarting it in {delay:g} s")


def read_procfile(path: Path) -> dict[str, str]:
    """Commands by process name."""
    if not path.is_file():
        raise StackFailed(f"{path} is missing: run from a clone of the repository (pip install -e)")
    lines = (re.match(r"([\w-]+):\s*(.+)", line) for line in path.read_text().splitlines())
    return {match[1]: match[2] for match in lines if match}


def _stop(children: list[Child], hurry: Callable[[], bool], say: Callable[[str], None]) -> None:
    """TERM; half-way QUIT, at which a Celery worker gives its tasks back; in the end KILL, to whole groups."""
    started = time.monotonic()
    sent: signal.Signals | None = None
    while running := [child for child in children if child.running]:
        elapsed = time.monotonic() - started
        if elapsed > STOP_SECONDS or hurry():
            say(f"killing {', '.join(child.name for child in running)}")
            break
        wanted = signal.SIGTERM if elapsed < STOP_SECONDS / 2 else signal.SIGQUIT
        if wanted != sent:
            sent = wanted
            for child in running:
                assert child.process is not None
                child.process.send_signal(wanted)
        time.sleep(0.05)
    for child in children:
        if child.process is not None:
            kill_group(child.process)
        child.process, child.restart_at = None, None
