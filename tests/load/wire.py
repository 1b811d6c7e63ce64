"""A load generator that costs little: keep-alive sockets, request bytes made beforehand, latencies in seconds."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import orjson


@dataclass(frozen=True)
class Request:
    """One request, ready to be sent."""

    raw: bytes

    @classmethod
    def of(cls, method: str, path: str, body: object | None = None) -> Request:
        """Encode a request; `body` is sent as JSON."""
        content = b"" if body is None else orjson.dumps(body)
        head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        return cls(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)


class Connection:
    """One keep-alive connection."""

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        self._socket = socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 80), timeout=120)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""

    def send(self, request: Request) -> tuple[int, bytes]:
        """Send a request; status and body of its answer."""
        self._socket.sendall(request.raw)
        data = self._rest
        while b"\r\n\r\n" not in data:
            data += self._receive()
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
        )
        while len(body) < length:
            body += self._receive()
        self._rest = body[length:]
        return int(head[9:12]), body[:length]

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def _receive(self) -> bytes:
        received = self._socket.recv(262_144)
        if not received:
            raise ConnectionError("the server closed the connection")
        return received


@dataclass(frozen=True)
class Measured:
    """What a run showed: requests per second, and latencies in milliseconds."""

    requests: int
    seconds: float
    latencies_ms: tuple[float, ...]
    failures: int = 0

    @property
    def per_second(self) -> float:
        """Requests per second over the whole run."""
        return self.requests / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        """Latency in milliseconds that this share of the requests stayed below."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def run(base_url: str, make: Callable[[int], Request], *, concurrency: int, seconds: float) -> Measured:
    """Send `make(0)`, `make(1)`, … over `concurrency` connections for a time; every answer must be 200."""

    @contextmanager
    def connected() -> Iterator[Prepare]:
        connection = Connection(base_url)

        def prepare(number: int) -> Callable[[], bool]:
            request = make(number)
            return lambda: connection.send(request)[0] == 200

        yield prepare
        connection.close()

    return hammer(connected, concurrency=concurrency, seconds=seconds)


# Makes the number-th call ready; that call is what is timed, and it tells whether it went well.
Prepare = Callable[[int], Callable[[], bool]]


def hammer(opened: Callable[[], AbstractContextManager[Prepare]], *, concurrency: int, seconds: float) -> Measured:
    """Call for a time from `concurrency` threads, each with what `opened` gives it."""
    counter = iter(range(1 << 40))
    lock = threading.Lock()
    latencies: list[list[float]] = [[] for _ in range(concurrency)]
    failures = [0] * concurrency
    ready = threading.Barrier(concurrency + 1)
    deadline = [0.0]

    def work(slot: int) -> None:
        mine = latencies[slot]
        with opened() as prepare:
            ready.wait()
            while time.perf_counter() < deadline[0]:
                with lock:
                    number = next(counter)
                call = prepare(number)
                started = time.perf_counter()
                good = call()
                mine.append((time.perf_counter() - started) * 1000)
                failures[slot] += not good

    threads = [threading.Thread(target=work, args=(slot,)) for slot in range(concurrency)]
    for thread in threads:
        thread.start()
    started = time.perf_counter()
    deadline[0] = started + seconds
    ready.wait()
    for thread in threads:
        thread.join()
    every = tuple(value for own in latencies for value in own)
    return Measured(len(every), time.perf_counter() - started, every, sum(failures))


def bare(call: Callable[[int], object], *, seconds: float) -> Measured:
    """The same measure for a plain function: the floor under a route."""
    latencies: list[float] = []
    started = time.perf_counter()
    while (now := time.perf_counter()) < started + seconds:
        call(len(latencies))
        latencies.append((time.perf_counter() - now) * 1000)
    return Measured(len(latencies), time.perf_counter() - started, tuple(latencies))


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned text; the first is the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for name, *figures in rows:
        cells = [figure.rjust(width) for figure, width in zip(figures, widths[1:], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *cells]))
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join(lines)
