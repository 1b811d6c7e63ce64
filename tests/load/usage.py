"""What processes and Redis use while something is measured, read from /proc and from Redis itself."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return [pid]
    return [pid, *(one for child in children for one in family(int(child)))]


def cpu_seconds(pid: int) -> float:
    """CPU time of a process's threads so far, its descendants' too."""
    spent = 0
    for member in family(pid):
        for thread in Path(f"/proc/{member}/task").glob("*/schedstat"):
            try:
                spent += int(thread.read_text().split()[0])
            except OSError:
                continue  # it ended meanwhile
    return spent / 1e9


def megabytes(pid: int) -> float:
    """Memory of a process and its descendants, pages that several share counted once (PSS), in MB."""
    kilobytes = 0
    for member in family(pid):
        try:
            lines = Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        kilobytes += next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
    return kilobytes / 1024


@dataclass
class Used:
    """Between the beginning and the end of a measurement; Redis's own idle traffic is taken off."""

    cpu: dict[str, float] = field(default_factory=dict)
    reads: float = 0.0
    bytes_moved: float = 0.0


class Meter:
    """Counts CPU seconds of named processes, and Redis's reads (round trips) and bytes in and out."""

    def __init__(self, processes: Mapping[str, int], redis_url: str | None) -> None:
        self._processes = dict(processes)
        self._client = redis.Redis.from_url(redis_url) if redis_url else None
        self._idle: tuple[float, float] | None = None

    @contextmanager
    def measured(self) -> Iterator[Used]:
        """Measure the block; the result is filled when it ends."""
        if self._idle is None:
            before, began = self._redis(), time.perf_counter()
            time.sleep(1.0)
            seconds = time.perf_counter() - began
            reads, moved = (after - first for after, first in zip(self._redis(), before, strict=True))
            self._idle = (reads / seconds, moved / seconds)
        used = Used()
        cpu = {name: cpu_seconds(pid) for name, pid in self._processes.items()}
        before, began = self._redis(), time.perf_counter()
        yield used
        seconds = time.perf_counter() - began
        reads, moved = (after - first for after, first in zip(self._redis(), before, strict=True))
        used.reads = max(0.0, reads - self._idle[0] * seconds)
        used.bytes_moved = max(0.0, moved - self._idle[1] * seconds)
        used.cpu = {name: cpu_seconds(pid) - cpu[name] for name, pid in self._processes.items()}

    def memory(self) -> dict[str, float]:
        """Megabytes of each process."""
        return {name: megabytes(pid) for name, pid in self._processes.items()}

    def _redis(self) -> tuple[float, float]:
        if self._client is None:
            return 0.0, 0.0
        stats = self._client.info("stats")
        moved = int(stats["total_net_input_bytes"]) + int(stats["total_net_output_bytes"])
        return float(stats["total_reads_processed"]), float(moved)
