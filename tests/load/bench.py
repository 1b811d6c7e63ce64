"""Latency, throughput and cost of the routes and the pipeline, with the floor under each measured in the same run.

    make bench                                          # an own stack, 10,000 memories
    python -m tests.load.bench --memories 50000 --concurrency 1,8,32 --json out.json
    python -m tests.load.bench --base-url http://localhost:8000 --redis-url redis://localhost:6379/0
    python -m tests.load.bench --compare before.json after.json

Floors: a Flask application with one empty route under the same gunicorn, and the bare Redis commands that do a route's
work over one connection; for creates and the pipeline the models' own time on the same texts. Round trips and bytes
per request are counted by Redis itself, from which what the idle stack causes in the same time is taken off.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import redis
from rich.progress import track

from app.config import Settings
from app.memory.filters import MemoryFilter, TagFilter
from app.memory.ranking import SearchMode
from app.memory.search import BLOCK_EDGES
from app.store.records import RecordRepository
from app.store.vectors import SpaceRepository, configured
from tests.load import background
from tests.load.empty import empty_server
from tests.load.usage import Meter
from tests.load.wire import Connection, Measured, Request, bare, run, table
from tests.support.builders import unique
from tests.support.scripted_llm import scripted_llm_server
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
EMPTY = "empty Flask"
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
    # Names and ids of the processes whose CPU time is counted, and an empty application beside it.
    processes: Mapping[str, int] = field(default_factory=dict)
    empty_url: str | None = None

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
        EMPTY: lambda number: Request.of("GET", "/healthz"),
        "our empty route": lambda number: Request.of("GET", "/healthz"),
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
    records = RecordRepository(client, SpaceRepository(client, configured(Settings())).load().serving)
    scope = MemoryFilter().also("namespace", TagFilter(eq=target.namespace)).also("user_id", TagFilter(eq="u"))
    document = json.dumps(session_body(target.namespace)).encode()
    rng = np.random.default_rng(7)
    vectors = rng.standard_normal((50, Settings().embedding_dimensions)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)

    def leg(number: int, *, vector: bool, text: bool) -> object:
        mode: SearchMode = "semantic" if not text else "hybrid" if vector else "keyword"
        return records.candidates(
            scope,
            vector=vectors[number % 50] if vector else None,
            text=f"{THINGS[number % 10]} {PLACES[number % 10]}" if text else None,
            k=BLOCK_EDGES[mode][0],
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
    if target.empty_url is None:
        del requests[EMPTY]
    meter = Meter(target.processes, target.redis_url)
    connection = Connection(target.url)
    for number in range(SESSIONS):
        connection.send(requests["PUT session"](number))
    connection.close()
    for name, make in requests.items():
        url = target.empty_url if name == EMPTY and target.empty_url else target.url
        run(url, make, concurrency=4, seconds=min(1.0, seconds))  # warm
        for concurrency in concurrencies:
            with meter.measured() as used:
                found = run(url, make, concurrency=concurrency, seconds=seconds)
            if name in (EMPTY, "our empty route"):
                empty.setdefault(concurrency, found.per_second)
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
                    "cpu_seconds_per_1000": {n: 1000 * spent / found.requests for n, spent in used.cpu.items()},
                    "redis_round_trips": used.reads / found.requests if target.redis_url else None,
                    "redis_bytes": used.bytes_moved / found.requests if target.redis_url else None,
                    "share_of_empty_route": found.per_second / empty[concurrency],
                    "share_of_floor": _share_of_floor(found, empty[concurrency], floor) if concurrency == 1 else None,
                    "p50_over_bare_redis": found.percentile(0.50) / floor.percentile(0.50) if floor else None,
                }
            )
    return rows


def _share_of_floor(found: Measured, empty_per_second: float, floor: Measured | None) -> float | None:
    """Requests per second against those of an empty route and the bare Redis commands, one after the other."""
    if floor is None:
        return None
    return found.per_second * (1 / empty_per_second + floor.percentile(0.5) / 1000)


def measure_background(target: Target, *, quick: bool = False) -> list[dict[str, Any]]:
    """Creates until searchable and the pipeline with the rules backend, as ratios to the models' own time."""
    rows = []
    one, many, times = (3, 25, 1) if quick else (50, 100, 5)
    for batch, batches, at_rest in ((1, one, False), (many, times, True), (many, times, False)):
        background.create_until_searchable(target.url, batch=batch, batches=1)  # warm
        spent = background.create_until_searchable(target.url, batch=batch, batches=batches, at_rest=at_rest)
        seconds = spent / batches
        texts = [f"Note {n}: {background.said(n)}" for n in range(batch)]
        floor = min(background.encode_seconds(texts) for _ in range(3))
        name = f"create {batch} until searchable{', the one before enriched' if at_rest else ''}"
        rows.append(_work(name, batch, seconds, floor, "encoding"))
    sessions, messages = (2, 2) if quick else (32, 10)
    background.pipeline_rules(target.url, sessions=2, messages=2)  # warm
    made, seconds = background.pipeline_rules(target.url, sessions=sessions, messages=messages)
    texts = [background.said(n) for n in range(sessions * messages)]
    floor = background.spacy_seconds(texts) + background.encode_seconds(texts)
    rows.append(_work("pipeline, rules", made, seconds, floor, "spaCy + encoding, one core"))
    return rows


def measure_llm(concurrency: int = 16) -> dict[str, Any]:
    """The pipeline with a model that takes half a second per call: an own stack, one worker for each queue."""
    with scripted_llm_server() as llm:
        stack = Stack(**llm.environment(LLM_MAX_CONCURRENCY=str(concurrency)))
        try:
            stack.start(per_queue=True)
            background.pipeline_llm(stack.base_url, llm, sessions=2, at_once=concurrency)  # warm
            made, span, ideal = background.pipeline_llm(stack.base_url, llm, sessions=32, at_once=concurrency)
        finally:
            stack.stop()
    return _work(f"pipeline, LLM of 0.5 s, {concurrency} at once", made, span, ideal, "ideal overlap of the calls")


def _work(name: str, memories: int, seconds: float, floor: float, what: str) -> dict[str, Any]:
    return {
        "work": name,
        "memories": memories,
        "seconds": seconds,
        "memories_per_second": memories / seconds,
        "over_floor": seconds / floor,
        "floor_over": floor / seconds,
        "floor": what,
    }


def show_work(rows: list[dict[str, Any]]) -> str:
    """Creates and pipelines as a table."""
    lines = [["work", "memories", "seconds", "memories/s", "× its floor", "floor"]]
    for row in rows:
        lines.append(
            [
                row["work"], str(row["memories"]), f"{row['seconds']:.3f}", f"{row['memories_per_second']:.0f}",
                f"{row['over_floor']:.2f}", row["floor"],
            ]
        )  # fmt: skip
    return table(lines)


def show(rows: list[dict[str, Any]]) -> str:
    """The figures as a table."""
    lines = [
        ["scenario", "conc", "req/s", "p50 ms", "p95 ms", "p99 ms", "fail", "CPU s/1000", "trips", "kB", "/ empty",
         "/ floor", "p50 / Redis"]
    ]  # fmt: skip
    for row in rows:
        cpu = " + ".join(f"{name} {spent:.2f}" for name, spent in row["cpu_seconds_per_1000"].items())
        lines.append(
            [
                row["scenario"], str(row["concurrency"]), f"{row['requests_per_second']:.0f}", f"{row['p50_ms']:.2f}",
                f"{row['p95_ms']:.2f}", f"{row['p99_ms']:.2f}", str(row["failures"]), cpu,
                _figure(row["redis_round_trips"]), _figure(row["redis_bytes"], 1 / 1024),
                f"{row['share_of_empty_route']:.2f}", _figure(row["share_of_floor"]),
                _figure(row["p50_over_bare_redis"]),
            ]
        )  # fmt: skip
    return table(lines)


def _figure(value: float | None, scale: float = 1.0) -> str:
    return "" if value is None else f"{value * scale:.2f}"


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
    parser.add_argument("--work-only", action="store_true", help="no routes: creates until searchable and the pipeline")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--compare", nargs=2, type=Path, metavar=("BEFORE", "AFTER"))
    options = parser.parse_args(argv)
    if options.compare:
        print(compare(*options.compare))
        return
    with ExitStack() as cleanup:
        target = _own(cleanup) if not options.base_url else _given(options.base_url, options.redis_url)
        idle = Meter(target.processes, None).memory()
        rate, rows = 0.0, []
        if not options.work_only:
            rate = target.load(options.memories)
            print(f"{options.memories:,} memories loaded, {rate:.0f} a second until searchable\n")
            rows = measure(target, [int(n) for n in options.concurrency.split(",")], options.seconds)
            print(show(rows))
        work = measure_background(target)
        after = Meter(target.processes, None).memory()
    if not options.base_url:
        work.append(measure_llm())
    print("\n" + show_work(work) + "\n")
    print("\n".join(f"{name}: {idle[name]:.0f} MB idle, {after[name]:.0f} MB after all this" for name in idle))
    if options.json:
        figures = {"memories_per_second": rate, "rows": rows, "work": work, "idle_mb": idle, "after_mb": after}
        options.json.write_text(json.dumps(figures, indent=1))
    failed = sum(row["failures"] for row in rows)
    sys.exit(f"{failed} requests failed" if failed else 0)


def _own(cleanup: ExitStack) -> Target:
    stack = Stack()
    cleanup.callback(stack.stop)
    stack.start(per_queue=True)
    empty_url, empty_pid = cleanup.enter_context(empty_server(stack))
    processes = {name: process.pid for name, process in stack.processes.items() if name.startswith(("web", "worker"))}
    every = {"empty": empty_pid, **processes, "redis": stack.redis.pid}
    return Target(stack.base_url, stack.environment["REDIS_URL"], unique("bench"), every, empty_url)


def _given(url: str, redis_url: str | None) -> Target:
    return Target(url, redis_url, unique("bench"))


if __name__ == "__main__":
    main()
