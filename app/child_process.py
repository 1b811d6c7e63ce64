"""Child processes that never outlive this one, however it ends.

Linux tells a child when its parent dies (`PR_SET_PDEATHSIG`). Elsewhere a shell of a few hundred kilobytes waits on
a pipe that closes with us and then signals the child. Both also work when this process is killed with `kill -9`.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1
_ON_LINUX = sys.platform.startswith("linux")
# Loaded before any fork: between fork and exec nothing may take a lock.
_libc = ctypes.CDLL(None, use_errno=True) if _ON_LINUX else None
# "Parent" means the *thread* that forked, so that thread must live as long as the process does.
_keeper = ThreadPoolExecutor(max_workers=1, thread_name_prefix="child-keeper")

Output = int | IO[bytes] | None


def _parent_death_signal(signum: int) -> Callable[[], None]:
    parent = os.getpid()

    def ask_for_signal() -> None:
        assert _libc is not None
        _libc.prctl(_PR_SET_PDEATHSIG, signum, 0, 0, 0)
        if os.getppid() != parent:  # the parent died between fork and prctl
            os._exit(1)

    return ask_for_signal


def spawn(
    args: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdout: Output = None,
    stderr: Output = None,
    pass_fds: Sequence[int] = (),
    death_signal: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start a process in its own group (Ctrl-C does not reach it) that gets `death_signal` when this one dies."""

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 (every caller passes its own fixed command)
            list(args),
            env=None if env is None else dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            pass_fds=tuple(pass_fds),
            start_new_session=True,
            preexec_fn=_parent_death_signal(death_signal) if _ON_LINUX else None,
        )

    in_main_thread = threading.current_thread() is threading.main_thread()
    process = start() if in_main_thread else _keeper.submit(start).result()
    if not _ON_LINUX:
        _watch_through_pipe(process, death_signal)
    return process


def _watch_through_pipe(process: subprocess.Popen[bytes], signum: signal.Signals) -> None:
    """Without PDEATHSIG: a shell whose standard input closes when we die, and that then signals the child."""
    watcher = subprocess.Popen(  # noqa: S603
        ["/bin/sh", "-c", f"read _; kill -{int(signum)} {process.pid} 2>/dev/null"],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    atexit.register(watcher.kill)


def terminate(process: subprocess.Popen[bytes], *, grace_seconds: float) -> bool:
    """Ask a process to stop, wait, then kill its whole group; True if it stopped by itself."""
    stopped = True
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            stopped = False
    kill_group(process)
    return stopped


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the group that `spawn` made, and reap the leader."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
