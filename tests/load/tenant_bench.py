"""What a search costs above Redis, and whether it depends on the tenant's size or on the deployment's.

    python -m tests.load.tenant_bench --memories 50000 --large 20000        # tenants of 1,000, and one of 20,000
    python -m tests.load.tenant_bench --memories 1000,50000,200000          # one tenant of 1,000, ever more around it
    python -m tests.load.tenant_bench --memories 100000 --large 100000      # all in one tenant

An own stack with one web worker; the memories are written to Redis with the store's own codec, as a create would. The
floor is the same Redis commands (candidates, count, page) sent over bare sockets, as many at a time, in the same run.
Query embeddings are cached. A latency is that of a whole HTTP request, as its client sees it. The recall is that of the
nearest ten among the server's candidates, against exact search in the tenant.
"""

from __future__ import annotations

import argparse
import itertools
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import hiredis
import numpy as np
import redis

from app.config import Settings
from app.memory.filters import MemoryFilter, TagFilter
from app.memory.models import Memory
from app.memory.ranking import SearchMode
from app.memory.search import BLOCK_EDGES
from app.providers.embeddings import create_embedder
from app.store import keys
from app.store.candidates import count_command, search_commands
from app.store.large_filters import LARGE, WALK, WALKED_SHARE
from app.store.query import compile_filter
from app.store.records import PAGE_FIELDS, record_to_hash, stamp_command
from app.store.vectors import DEFAULT
from tests.load.bench import FACTS, THINGS, sentence
from tests.load.search_bench import NEAREST, Vectors, exact, perturbed
from tests.load.usage import Meter
from tests.load.wire import Measured, Prepare, Request, hammer, run
from tests.support.stack import Stack

TENANT = 1_000
MODES: tuple[SearchMode, ...] = ("semantic", "keyword", "hybrid")
SMALL_ONE, LARGE_ONE = "t0", "large"
MEASURED = (SMALL_ONE, LARGE_ONE)
PAGE = 10
SEEDS = 2_000


def questions() -> list[str]:
    """Forty different ones."""
    return [f"who {fact.split('{')[0]}{thing}?" for fact, thing in itertools.product(FACTS, THINGS[::2])]


def scope_of(tenant: str) -> MemoryFilter:
    """What a client filters by."""
    return MemoryFilter().also("namespace", TagFilter(eq=tenant)).also("user_id", TagFilter(eq="u"))


class Crowd:
    """Fills Redis with tenants."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._random = np.random.default_rng(11)
        self._seeds = np.asarray(create_embedder(Settings()).embed([sentence(n * 37) for n in range(SEEDS)]))
        self._tenants = 0
        self.size = 0
        self.vectors: dict[str, Vectors] = {}

    def grow(self, size: int) -> None:
        """Add tenants of 1,000 until there are so many memories."""
        while self.size < size:
            self.add(f"t{self._tenants}", min(TENANT, size - self.size))
            self._tenants += 1

    def add(self, tenant: str, count: int) -> None:
        """Add one tenant, in pipelines of 500."""
        chosen = self._random.integers(0, SEEDS, count)
        vectors = perturbed(self._seeds[chosen], count, self._random)
        if tenant in MEASURED:
            self.vectors[tenant] = vectors
        now = datetime.now(UTC)
        for start in range(0, count, 500):
            with self._client.pipeline(transaction=False) as pipeline:
                for row in range(start, min(start + 500, count)):
                    at = now - timedelta(minutes=int(self._random.integers(60, 500_000)))
                    memory = Memory(
                        f"m{row}", sentence(int(chosen[row]) * 37), namespace=tenant, user_id="u",
                        created_at=at, last_accessed=now, updated_at=at, persisted_at=at,
                    )  # fmt: skip
                    fields = record_to_hash(memory, valid_from=at) | {"rev": 1}
                    fields[DEFAULT.field] = DEFAULT.to_bytes(vectors[row])
                    pipeline.hset(keys.record(memory.scope, memory.id), mapping=fields)
                pipeline.execute()
        self.size += count


class Bare:
    """The Redis commands of a search over a socket, without anything around them."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = hiredis.Reader()

    def search(self, commands: Sequence[Sequence[Any]]) -> bool:
        """Candidates, then the page: what is nearest, or has most of the words."""
        ranked = self._send(commands)[-1]
        page = [key for key in ranked[1:] if isinstance(key, bytes) and key.startswith(keys.RECORD_PREFIX.encode())]
        return len(self._send([("HMGET", key, *PAGE_FIELDS) for key in page[:PAGE]])) == PAGE

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def _send(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """One round trip."""
        self._socket.sendall(b"".join(hiredis.pack_command(tuple(command)) for command in commands))
        replies: list[Any] = []
        while len(replies) < len(commands):
            reply = self._reader.gets()
            if reply is False:
                self._reader.feed(self._socket.recv(262_144))
            else:
                replies.append(reply)
        return replies


def floor(
    address: tuple[str, int],
    searches: Sequence[Sequence[Sequence[Any]]],
    *,
    concurrency: int,
    seconds: float,
) -> Measured:
    """The bare commands of these searches, round and round."""

    @contextmanager
    def connected() -> Iterator[Prepare]:
        bare = Bare(address)
        yield lambda number: lambda: bare.search(searches[number % len(searches)])
        bare.close()

    return hammer(connected, concurrency=concurrency, seconds=seconds)


def commands_of(tenant: str, mode: SearchMode, size: int, every: int, vectors: Vectors) -> list[list[list[Any]]]:
    """What the server sends for the candidates of each question; the leg whose order gives the page is the last."""
    query = compile_filter(scope_of(tenant))
    policy = WALK if size >= LARGE and size >= WALKED_SHARE * every else None
    matches = stamp_command(scope_of(tenant)) if size >= LARGE else count_command(query)
    searches = []
    for text, vector in zip(questions(), vectors, strict=True):
        near, told = search_commands(
            query,
            DEFAULT,
            vector=vector if mode != "keyword" else None,
            text=text if mode != "semantic" else None,
            k=BLOCK_EDGES[mode][0],
            policy=policy,
        )
        searches.append([command for command in (near and matches, near, told) if command])
    return searches


def recall(client: redis.Redis, searches: Sequence[Sequence[Sequence[Any]]], own: Vectors, asked: Vectors) -> float:
    """Which share of the true nearest ten is among the ten nearest candidates."""
    shares = []
    for commands, wanted in zip(searches, exact(own, asked), strict=True):
        reply = client.execute_command(*commands[-1])
        found = {int(key.rpartition(b":m")[2]) for key in reply[1::2][:NEAREST]}
        shares.append(len(found & wanted) / NEAREST)
    return float(np.mean(shares))


def rows(stack: Stack, crowd: Crowd, tenant: str, asked: Vectors, seconds: float) -> Iterator[str]:
    """Rows of the table for one tenant."""
    client = redis.Redis.from_url(stack.environment["REDIS_URL"], protocol=2)
    url = client.connection_pool.connection_kwargs
    address = (str(url["host"]), int(url["port"]))
    own = crowd.vectors[tenant]
    meter = Meter({"web": stack.processes["web"].pid}, stack.environment["REDIS_URL"])
    scope = {"namespace": {"eq": tenant}, "user_id": {"eq": "u"}}
    for mode in MODES:
        requests = [
            Request.of("POST", "/v1/long-term-memory/search", {"text": text, "search_mode": mode, **scope})
            for text in questions()
        ]
        searches = commands_of(tenant, mode, len(own), crowd.size, asked)
        found_share = f"{recall(client, searches, own, asked):.3f}" if mode == "semantic" else ""
        run(stack.base_url, lambda number, of=requests: of[number % len(of)], concurrency=4, seconds=1.0)  # warm
        for concurrency in (1, 8):
            bare = floor(address, searches, concurrency=concurrency, seconds=seconds)
            with meter.measured() as used:
                found = run(
                    stack.base_url,
                    lambda number, of=requests: of[number % len(of)],
                    concurrency=concurrency,
                    seconds=seconds,
                )
            failed = found.failures + bare.failures
            assert not failed, f"{failed} searches failed"
            figures = [(m.percentile(0.5), m.percentile(0.99)) for m in (bare, found)]
            (bare50, bare99), (found50, found99) = figures
            yield (
                f"| {crowd.size:,} | {len(own):,} | {mode} | {concurrency} | {bare50:.2f} | {found50:.2f} "
                f"| {found50 / bare50:.2f} | {bare99:.2f} | {found99:.2f} | {found99 / bare99:.2f} "
                f"| {found.per_second:.0f} | {1000 * used.cpu['web'] / found.requests:.2f} "
                f"| {used.reads / found.requests:.2f} | {found_share} |"
            )


HEAD = (
    "| memories | of the tenant | mode | concurrency | bare p50 ms | p50 ms | ratio | bare p99 ms | p99 ms | ratio "
    "| searches/s | web CPU ms | round trips | recall@10 |"
)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memories", default="50000", help="one or more sizes of the deployment, growing")
    parser.add_argument("--large", type=int, default=0, help="also measure one tenant of so many, within the last size")
    parser.add_argument("--seconds", type=float, default=3.0, help="per mode and concurrency")
    arguments = parser.parse_args()
    sizes = sorted(int(size) for size in arguments.memories.split(","))
    vectors = np.asarray(create_embedder(Settings()).embed(questions()), dtype=np.float32)
    stack = Stack().start(worker=False)
    try:
        crowd = Crowd(redis.Redis.from_url(stack.environment["REDIS_URL"], protocol=2))
        print(HEAD, "|---" * (HEAD.count("|") - 1) + "|", sep="\n", flush=True)
        if arguments.large:
            crowd.add(LARGE_ONE, arguments.large)
        for size in sizes:
            crowd.grow(size)
            for tenant in crowd.vectors:
                for row in rows(stack, crowd, tenant, vectors, arguments.seconds):
                    print(row, flush=True)
    finally:
        stack.stop()


if __name__ == "__main__":
    main()
