"""Latency and throughput of the routes, with the floor under each measured in the same run.

    make bench                                          # an own stack, 10,000 memories
    python -m tests.load.bench --memories 50000 --concurrency 1,8,32 --json out.json
    python -m tests.load.bench --compare before.json after.json

Floors: a route that does nothing, under the same gunicorn (`/healthz`), and the bare Redis commands that do a route's
work over one connection. Round trips per request are counted by Redis itself (`total_reads_processed`, from which what
the idle stack causes in the same time is taken off).
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import redis
from rich.progress import track

from app.config import Settings
from app.memory.filters import MemoryFilter, TagFilter
from app.store.records import RecordRepository
from tests.load.wire import Connection, Measured, Request, bare, run, table
from tests.support.builders import unique
from tests.support.stack import Stack

SUBJECTS = ("Anna", "Bob", "Carla", "the team", "Dr. Chen", "Emma's brother", "the billing service", "Farid")
FACTS = (
    "moved to {place} in {year}", "is allergic to {thing}", "prefers {thing} over everything else",
    "works on the {thing} project in {place}", "will visit {place} in March {year}", "paid {number} euros for {thing}",
    "teaches {thing} to {number} students", "met the people from {place} about {thing}",
)  # fmt: skip
PLACES = ("Lisbon", "Oslo", "Kyoto", "Lima", "Tartu", "Cork", "Accra", "Hanoi", "Quito", "Perth")
THINGS = ("chess", "peanuts", "sailing", "Kubernetes", "violins", "espresso", "bicycles", "tomatoes", "search", "Rust")
BATCH = 500
SESSIONS = 100
_asked = itertools.count()


def sentence(number: int) -> str:
    """A fact; every number gives another one."""
    fact = FACTS[number // 8 % 8].format(
        place=PLACES[number // 64 % 10], thing=THINGS[number // 640 % 10], year=1990 + number % 37, number=number
    )
    return f"{SUBJECTS[number % 8]} {fact} (note {number})"


@dataclass
class Target:
    """The server under test, and the namespace that this run filled."""

    url: str
    redis_url: str | None
    namespace: str

    def load(self, count: int) -> float:
        """Create `count` memories; how many a second became searchable."""
        connection = Connection(self.url)
        started = time.perf_counter()
        for first in track(range(0, count, BATCH), description=f"loading {count:,} memories"):
            numbers = range(first, min(count, first + BATCH))
            memories = [
                {"id": f"m{n}", "text": sentence(n), "namespace": self.namespace, "user_id": "u"} for n in numbers
            ]
            body = {"memories": memories, "deduplicate": False}
            status, answer = connection.send(Request.of("POST", "/v1/long-term-memory/", body))
            assert status == 200, answer
        listing = Request.of("POST", "/v1/long-term-memory/search", {"namespace": {"eq": self.namespace}, "limit": 1})
        while (total := json.loads(connection.send(listing)[1])["total"]) < count:
            print(f"\r  searchable: {total:,}", end="", file=sys.stderr, flush=True)
            time.sleep(1)
        rate = count / (time.perf_counter() - started)
        # They are enriched in the background still: that would be measured as well.
        while json.loads(connection.send(Request.of("GET", "/readyz"))[1])["outbox"]["total"]:
            time.sleep(0.5)
        return rate


@contextmanager
def round_trips(redis_url: str | None) -> Iterator[Callable[[int], float | None]]:
    """Counts what Redis reads meanwhile; call the result with the number of requests."""
    if redis_url is None:
        yield lambda requests: None
        return
    client = redis.Redis.from_url(redis_url)

    def reads() -> int:
        return int(client.info("stats")["total_reads_processed"])

    idle_from, idle_started = reads(), time.perf_counter()
    time.sleep(1.0)
    idle = (reads() - idle_from) / (time.perf_counter() - idle_started)
    before, started = reads(), time.perf_counter()
    yield lambda requests: max(0.0, reads() - before - idle * (time.perf_counter() - started)) / max(1, requests)


def session_body(namespace: str) -> dict[str, Any]:
    """Ten messages, already marked as extracted, so that only the route is measured and not the pipeline behind it."""
    messages = [
        {
            "id": f"msg-{n}",
            "role": "user" if n % 2 == 0 else "assistant",
            "content": f"{sentence(n)}. And what do you think of that?",
            "created_at": f"2026-01-05T10:{n:02d}:00Z",
            "discrete_memory_extracted": "t",
        }
        for n in range(10)
    ]
    return {"messages": messages, "namespace": namespace, "user_id": "u"}


def scenarios(target: Target) -> dict[str, Callable[[int], Request]]:
    """Name → the number-th request."""
    scope = {"namespace": {"eq": target.namespace}, "user_id": {"eq": "u"}}
    body = session_body(target.namespace)

    def put(number: int) -> Request:
        return Request.of("PUT", f"/v1/working-memory/bench-{number % SESSIONS}", body)

    def get(number: int) -> Request:
        return Request.of("GET", f"/v1/working-memory/bench-{number % SESSIONS}?namespace={target.namespace}&user_id=u")

    def question(number: int) -> str:
        return f"who {FACTS[number % 8].split('{')[0]}{THINGS[number % 10]}?"

    def search(mode: str, fresh: bool = False) -> Callable[[int], Request]:
        def make(number: int) -> Request:
            text = (
                f"{sentence(next(_asked))}?"
                if fresh
                else f"who {FACTS[number % 8].split('{')[0]}{THINGS[number % 10]}?"
            )
            return Request.of("POST", "/v1/long-term-memory/search", {"text": text, "search_mode": mode, **scope})

        return make

    def prompt(number: int) -> Request:
        session = {"session_id": f"bench-{number % SESSIONS}", "namespace": target.namespace, "user_id": "u"}
        body = {"query": question(number), "session": session, "long_term_search": scope}
        return Request.of("POST", "/v1/memory/prompt", body)

    return {
        "empty route": lambda number: Request.of("GET", "/healthz"),
        "PUT session": put,
        "GET session": get,
        "search semantic": search("semantic"),
        "search keyword": search("keyword"),
        "search hybrid": search("hybrid"),
        "search semantic, new query": search("semantic", fresh=True),
        "memory/prompt": prompt,
    }


def floors(target: Target, seconds: float) -> dict[str, Measured]:
    """The bare Redis commands of a route's work, over one connection."""
    if target.redis_url is None:
        return {}
    client = redis.Redis.from_url(target.redis_url, protocol=2)
    records = RecordRepository(client)
    scope = MemoryFilter().also("namespace", TagFilter(eq=target.namespace)).also("user_id", TagFilter(eq="u"))
    document = json.dumps(session_body(target.namespace)).encode()
    rng = np.random.default_rng(7)
    vectors = rng.standard_normal((50, Settings().embedding_dimensions)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)

    def leg(number: int, *, vector: bool, text: bool) -> object:
        return records.candidates(
            scope,
            vector=vectors[number % 50] if vector else None,
            text=f"{THINGS[number % 10]} {PLACES[number % 10]}" if text else None,
            k=10,
        )

    return {
        "PUT session": bare(lambda n: client.hset(f"bench:{n % SESSIONS}", mapping={"doc": document}), seconds=seconds),
        "GET session": bare(lambda n: client.hgetall(f"bench:{n % SESSIONS}"), seconds=seconds),
        "search semantic": bare(lambda n: leg(n, vector=True, text=False), seconds=seconds),
        "search keyword": bare(lambda n: leg(n, vector=False, text=True), seconds=seconds),
        "search hybrid": bare(lambda n: leg(n, vector=True, text=True), seconds=seconds),
    }


def measure(target: Target, concurrencies: list[int], seconds: float) -> list[dict[str, Any]]:
    """Every scenario at every concurrency."""
    rows: list[dict[str, Any]] = []
    empty: dict[int, float] = {}
    bottom = floors(target, min(2.0, seconds))
    requests = scenarios(target)
    connection = Connection(target.url)
    for number in range(SESSIONS):
        connection.send(requests["PUT session"](number))
    connection.close()
    for name, make in requests.items():
        run(target.url, make, concurrency=4, seconds=min(1.0, seconds))  # warm
        for concurrency in concurrencies:
            with round_trips(target.redis_url) as trips:
                found = run(target.url, make, concurrency=concurrency, seconds=seconds)
                per_request = trips(found.requests)
            if name == "empty route":
                empty[concurrency] = found.per_second
            floor = bottom.get(name)
            rows.append(
                {
                    "scenario": name,
                    "concurrency": concurrency,
                    "requests_per_second": found.per_second,
                    "p50_ms": found.percentile(0.50),
                    "p95_ms": found.percentile(0.95),
                    "p99_ms": found.percentile(0.99),
                    "failures": found.failures,
                    "redis_round_trips": per_request,
                    "share_of_empty_route": found.per_second / empty[concurrency],
                    "p50_over_bare_redis": found.percentile(0.50) / floor.percentile(0.50) if floor else None,
                }
            )
    return rows


def show(rows: list[dict[str, Any]]) -> str:
    """The figures as a table."""
    head = ["scenario", "conc", "req/s", "p50 ms", "p95 ms", "p99 ms", "fail", "trips", "/ empty", "p50 / bare Redis"]
    lines = [head]
    for row in rows:
        trips, over = row["redis_round_trips"], row["p50_over_bare_redis"]
        lines.append(
            [
                row["scenario"], str(row["concurrency"]), f"{row['requests_per_second']:.0f}", f"{row['p50_ms']:.2f}",
                f"{row['p95_ms']:.2f}", f"{row['p99_ms']:.2f}", str(row["failures"]),
                "" if trips is None else f"{trips:.2f}", f"{row['share_of_empty_route']:.2f}",
                "" if over is None else f"{over:.2f}",
            ]
        )  # fmt: skip
    return table(lines)


def compare(before: Path, after: Path) -> str:
    """Two runs as ratios: above 1 the second is faster."""
    old = {(r["scenario"], r["concurrency"]): r for r in json.loads(before.read_text())["rows"]}
    lines = [["scenario", "conc", "req/s ratio", "p50 ratio", "p99 ratio"]]
    for row in json.loads(after.read_text())["rows"]:
        was = old.get((row["scenario"], row["concurrency"]))
        if was:
            ratios = [row["requests_per_second"] / was["requests_per_second"]]
            ratios += [was[name] / row[name] for name in ("p50_ms", "p99_ms")]
            lines.append([row["scenario"], str(row["concurrency"]), *(f"{ratio:.2f}" for ratio in ratios)])
    return table(lines)


def main(argv: list[str] | None = None) -> None:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-url", help="a running server; default: an own stack")
    parser.add_argument("--redis-url", help="that server's Redis, to count round trips and measure floors")
    parser.add_argument("--memories", type=int, default=10_000)
    parser.add_argument("--concurrency", default="1,8")
    parser.add_argument("--seconds", type=float, default=3.0, help="per scenario and concurrency")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--compare", nargs=2, type=Path, metavar=("BEFORE", "AFTER"))
    options = parser.parse_args(argv)
    if options.compare:
        print(compare(*options.compare))
        return
    own = None if options.base_url else Stack()
    try:
        if own is not None:
            own.start()
        url = own.base_url if own else options.base_url
        redis_url = own.environment["REDIS_URL"] if own else options.redis_url
        target = Target(url, redis_url, unique("bench"))
        rate = target.load(options.memories)
        print(f"{options.memories:,} memories loaded, {rate:.0f} a second until searchable\n")
        rows = measure(target, [int(n) for n in options.concurrency.split(",")], options.seconds)
    finally:
        if own is not None:
            own.stop()
    print(show(rows))
    if options.json:
        options.json.write_text(json.dumps({"memories_per_second": rate, "rows": rows}, indent=1))
    failed = sum(row["failures"] for row in rows)
    sys.exit(f"{failed} requests failed" if failed else 0)


if __name__ == "__main__":
    main()
