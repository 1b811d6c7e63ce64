"""A long run under mixed load with faults in the middle; prints a report and fails when a promise was broken.

    python -m tests.load.soak --minutes 15

One stack, writers (small creates, sessions with a message and a structured memory), searchers; the worker is killed
after a third of the time, Redis after two thirds. Afterwards: every acknowledged memory is there once, and so is what
each message says; no answer was 5xx except 503 while Redis was away; no process ended by itself or still grew in the
end, undisturbed and warm.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.support.builders import a_memory, unique
from tests.support.stack import Stack, private_stack

# After Redis is ready again, answers to what was under way may still be 503.
AFTERMATH_SECONDS = 5.0
SAMPLE_SECONDS = 2.0
# What a process grows by is judged where nothing happens to it: from the time when Redis is back, without the first
# third of that (caches fill, connections are made anew). If that is at least so long, the growth must be below this
# share of the process's size in ten minutes.
WARM_UP = 1 / 3
JUDGED_SECONDS = 180.0
MAX_GROWTH = 0.05


@dataclass(frozen=True)
class Trend:
    """A process's resident memory in MB: at first, at its end, at most; its slope (MB a minute) in the last stretch."""

    name: str
    minutes: float
    first: float
    last: float
    most: float
    slope: float
    judged: bool
    course: tuple[float, ...]

    @property
    def grows(self) -> bool:
        """Whether it would not stop."""
        return self.judged and self.slope * 10 > MAX_GROWTH * self.last

    def __str__(self) -> str:
        slope = f"{self.slope:+.2f} MB/min at the end" if self.judged else "too short to judge"
        return (
            f"{self.name:16} {self.minutes:4.1f} min, {self.first:.0f} → {self.last:.0f} MB, "
            f"at most {self.most:.0f} MB, {slope} ({' '.join(f'{mb:.0f}' for mb in self.course)})"
        )


def trend(name: str, samples: Sequence[tuple[float, float]], undisturbed: float) -> Trend:
    """The trend of (seconds, MB) samples; nothing happened to the process from `undisturbed` (seconds) on."""
    times, sizes = [at for at, _mb in samples], [mb for _at, mb in samples]
    last = [sample for sample in samples if sample[0] >= undisturbed]
    settled = last[int(len(last) * WARM_UP) :]
    judged = len(settled) > 2 and settled[-1][0] - settled[0][0] >= JUDGED_SECONDS
    slope = statistics.linear_regression(*zip(*settled, strict=True)).slope * 60 if judged else 0.0
    course = tuple(sizes[:: max(1, len(sizes) // 10)])
    return Trend(name, (times[-1] - times[0]) / 60, sizes[0], sizes[-1], max(sizes), slope, judged, course)


@dataclass
class Findings:
    """What the run saw; lists are appended to from several threads, which is safe."""

    acknowledged: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    statuses: list[tuple[float, str, int, float]] = field(default_factory=list)
    resident: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    away: tuple[float, float] = (0.0, 0.0)
    drained_seconds: float = 0.0
    broken: list[str] = field(default_factory=list)


class Soak:
    """One run."""

    def __init__(self, stack: Stack, seconds: float, rate: float) -> None:
        self.stack, self.seconds, self.rate = stack, seconds, rate
        self.namespace = unique("soak")
        self.found = Findings()
        self._stop = threading.Event()
        self._numbers = iter(range(10**9))
        self._lock = threading.Lock()

    def run(self) -> Findings:
        """Load, faults, drain, judgement."""
        roles = [self._create, self._create, self._session, self._session, self._search, self._search]
        with ThreadPoolExecutor(len(roles) + 1) as pool:
            running = [pool.submit(self._loop, role, len(roles)) for role in roles]
            running.append(pool.submit(self._sample))
            started = time.monotonic()
            self._at(started + self.seconds / 3)
            self.stack.kill("worker")
            self.stack.start_worker()
            self._at(started + self.seconds * 2 / 3)
            gone = time.monotonic()
            self.stack.kill_redis()
            self.stack.start_redis()
            self.stack.wait_until_ready()
            self.found.away = (gone, time.monotonic() + AFTERMATH_SECONDS)
            self._at(started + self.seconds)
            self._stop.set()
            for one in running:
                one.result()
        self._drain()
        self._judge()
        return self.found

    def _at(self, moment: float) -> None:
        time.sleep(max(0.0, moment - time.monotonic()))

    # -- load --------------------------------------------------------------------------------------------------

    def _loop(self, role, roles: int) -> None:
        pause = roles / self.rate
        with httpx.Client(base_url=self.stack.base_url, timeout=60) as http:
            while not self._stop.is_set():
                began = time.monotonic()
                try:
                    role(http)
                except httpx.TransportError as error:
                    self.found.broken.append(f"no answer: {type(error).__name__}: {error}")
                self._stop.wait(max(0.0, pause - (time.monotonic() - began)))

    def _fact(self, kind: str) -> str:
        with self._lock:
            number = next(self._numbers)
        text = f"User owns {kind} number {number}"
        self.found.sent.append(text)
        return text

    def _answered(self, what: str, began: float, answer: httpx.Response) -> bool:
        self.found.statuses.append((began, what, answer.status_code, time.monotonic() - began))
        return answer.status_code == 200

    def _create(self, http: httpx.Client) -> None:
        text, began = self._fact("book"), time.monotonic()
        answer = http.post("/v1/long-term-memory/", json={"memories": [a_memory(text, namespace=self.namespace)]})
        if self._answered("create", began, answer):
            self.found.acknowledged.append(text)

    def _session(self, http: httpx.Client) -> None:
        text, began = self._fact("record"), time.monotonic()
        owner = unique("owner")
        body = {
            "namespace": self.namespace,
            "user_id": owner,
            "memories": [{"text": text, "memory_type": "semantic"}],
            "messages": [{"role": "user", "content": "I own 12 red bicycles."}],
        }
        answer = http.put(f"/v1/working-memory/{unique('s')}", json=body)
        self.found.sent.append(f"{owner}: a bicycle")
        if self._answered("session", began, answer):
            self.found.acknowledged += [text, f"{owner}: a bicycle"]

    def _search(self, http: httpx.Client) -> None:
        with self._lock:
            text = f"what does the user own, {next(self._numbers) % 500}?"
        began = time.monotonic()
        body = {"text": text, "namespace": {"eq": self.namespace}}
        self._answered("search", began, http.post("/v1/long-term-memory/search", json=body))

    # -- watching ----------------------------------------------------------------------------------------------

    def _sample(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            now = time.monotonic()
            for name, process in list(self.stack.processes.items()):
                for pid in (process.pid, *_children(process.pid)):
                    if (megabytes := _resident(pid)) is not None:
                        self.found.resident.setdefault(f"{name} {pid}", []).append((now, megabytes))

    def _drain(self) -> None:
        started = time.monotonic()
        deadline = started + 300
        while time.monotonic() < deadline:
            answer = self.stack.http.get("/readyz")
            if answer.status_code == 200 and answer.json()["outbox"]["total"] == 0:
                break
            time.sleep(0.5)
        else:
            self.found.broken.append("the outbox is not empty after 300 s")
        self.found.drained_seconds = time.monotonic() - started

    def _judge(self) -> None:
        stored = Counter(self._stored())
        lost = [text for text in self.found.acknowledged if text not in stored]
        twice = [text for text, count in stored.items() if count > 1]
        strange = set(stored) - set(self.found.sent)
        broken = self.found.broken
        broken += [f"lost: {text}" for text in lost] + [f"twice: {text}" for text in twice]
        broken += [f"nobody sent: {text}" for text in strange]
        gone, back = self.found.away
        for began, what, status, seconds in self.found.statuses:
            in_window = began <= back and began + seconds >= gone
            if status >= 500 and not (status == 503 and in_window):
                broken.append(f"{what}: {status}, {began - gone:+.1f} s from the kill of Redis")
        broken += [f"still grows: {one}" for one in self.trends() if one.grows]
        broken += self.stack.restarts

    def _stored(self) -> list[str]:
        texts: list[str] = []
        offset: int | None = 0
        while offset is not None:
            body = {"namespace": {"eq": self.namespace}, "limit": 100, "offset": offset}
            page = self.stack.http.post("/v1/long-term-memory/search", json=body).json()
            for memory in page["memories"]:
                said = "bicycle" in memory["text"]
                texts.append(f"{memory['user_id']}: a bicycle" if said else memory["text"])
            offset = page["next_offset"]
        return texts

    def trends(self) -> list[Trend]:
        """What became of each process's memory."""
        return [trend(name, samples, self.found.away[1]) for name, samples in sorted(self.found.resident.items())]


def _children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _resident(pid: int) -> float | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    kilobytes = next((line.split()[1] for line in lines if line.startswith("VmRSS")), None)
    return int(kilobytes) / 1024 if kilobytes else None


def report(soak: Soak) -> str:
    """The run in figures."""
    found = soak.found
    lines = [f"{soak.seconds / 60:.1f} minutes, {len(found.statuses)} answers, {len(found.acknowledged)} acknowledged"]
    for what in ("create", "session", "search"):
        seconds = sorted(s for _b, w, status, s in found.statuses if w == what and status == 200)
        refused = sum(1 for _b, w, status, _s in found.statuses if w == what and status == 503)
        if len(seconds) > 1:
            p99 = seconds[int(len(seconds) * 0.99)]
            lines.append(
                f"  {what:8} {len(seconds)} × 200, {refused} × 503, "
                f"median {statistics.median(seconds) * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms"
            )
    gone, back = found.away
    away = back - gone - AFTERMATH_SECONDS
    lines.append(f"Redis was away for {away:.1f} s; drained {found.drained_seconds:.1f} s after the end")
    lines += [f"  {one}" for one in soak.trends()]
    lines += [f"BROKEN {what}" for what in found.broken[:50]]
    lines.append("FAILED" if found.broken else "0 lost, 0 duplicated, 0 failed requests, memory flat")
    return "\n".join(lines)


def main() -> int:
    """Run and report; exit code 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--rate", type=float, default=30.0, help="requests per second, all together")
    options = parser.parse_args()
    with private_stack() as stack:
        soak = Soak(stack, options.minutes * 60, options.rate)
        soak.run()
        print(report(soak))
    return 1 if soak.found.broken else 0


if __name__ == "__main__":
    sys.exit(main())
