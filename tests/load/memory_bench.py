"""Redis memory per long-term memory: the whole difference, and where it goes.

    python -m tests.load.memory_bench                                    # an own stack, 10,000 memories
    python -m tests.load.memory_bench --memories 2000 --users 20

Facts of 60 to 100 characters are created through the API, 100 at once, without deduplication (so that all stay), with
the default settings and models; counted when their enrichment is finished, all queues are empty, and the search module
has collected what their first versions left in the index (it does so every 30 s; here it is told to). The index is
measured by what Redis gives back when it is dropped; its parts are FT.INFO's own sums.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import redis

from app.store import index, keys
from tests.load.bench import PLACES, SUBJECTS, THINGS
from tests.support.builders import unique
from tests.support.stack import Stack
from tests.support.waiting import wait_until

BATCH = 100
ENRICHED_WITHIN_SECONDS = 600.0
STILL_BYTES = 100_000
FACTS = (
    "{who} moved from {place} to {other} in {year} because of a new job with a company for {thing}",
    "{who} prefers {thing} over {more} and has practised it in {place} every week since {year}",
    "{who} will visit {place} with {number} colleagues in March {year} to talk about {thing}",
    "{who} paid {number} euros for {thing} in {place} and would rather have had {more}",
    "{who} teaches {thing} to {number} students in {place}, most of them beginners",
)
INDEX_PARTS = ("vector_index_sz_mb", "inverted_sz_mb", "offset_vectors_sz_mb", "doc_table_size_mb", "key_table_size_mb",
               "sortable_values_size_mb", "tag_overhead_sz_mb", "text_overhead_sz_mb")  # fmt: skip


def fact(number: int) -> str:
    """A fact; every number gives another one."""
    return FACTS[number % len(FACTS)].format(
        who=SUBJECTS[number // 5 % 8], place=PLACES[number // 40 % 10], other=PLACES[(number // 40 + 3) % 10],
        thing=THINGS[number // 400 % 10], more=THINGS[(number // 400 + 7) % 10], year=1990 + number % 37, number=number,
    )  # fmt: skip


def create(stack: Stack, count: int, users: int) -> None:
    """Store so many facts, divided among so many users of one tenant, and wait until they are enriched."""
    namespace = unique("memory")
    share = -(-count // users)
    for user in range(users):
        numbers = range(user * share, min((user + 1) * share, count))
        for start in range(0, len(numbers), BATCH):
            memories = [
                {"id": unique("m"), "text": fact(n), "namespace": namespace, "user_id": f"user-{user}",
                 "memory_type": "semantic"}
                for n in numbers[start : start + BATCH]
            ]  # fmt: skip
            answer = stack.http.post("/v1/long-term-memory/", json={"memories": memories, "deduplicate": False})
            answer.raise_for_status()
    client = redis.Redis.from_url(stack.environment["REDIS_URL"], protocol=2)
    waiting = keys.outbox(namespace)
    wait_until(lambda: not client.zcard(waiting), ENRICHED_WITHIN_SECONDS, "all memories are enriched")


def used(client: redis.Redis) -> int:
    """Bytes that Redis has allocated for data."""
    return int(client.info("memory")["used_memory"])


def settled(client: redis.Redis) -> int:
    """The same once it stands still: the search module frees a dropped index in the background."""
    last = [used(client)]

    def still() -> bool:
        time.sleep(1.0)
        last.append(used(client))
        return abs(last[-1] - last[-2]) < STILL_BYTES

    wait_until(still, 60.0, "the index is freed")
    return last[-1]


def indexes(client: redis.Redis) -> list[str]:
    """The indexes of memories."""
    names = [name.decode() for name in client.execute_command("FT._LIST")]
    return [name for name in names if name.startswith(f"{index.MEMORIES}-v")]


def by_kind(client: redis.Redis) -> dict[str, tuple[int, int]]:
    """First part of the key → (number of keys, bytes)."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for key in client.scan_iter(count=1_000):
        found[key.decode().partition(":")[0]].append(int(client.memory_usage(key, samples=0) or 0))
    return {kind: (len(sizes), sum(sizes)) for kind, sizes in found.items()}


def fields_of_records(client: redis.Redis) -> Counter[str]:
    """Field → bytes of name and value in all records."""
    sizes: Counter[str] = Counter()
    for key in client.scan_iter(match=f"{keys.RECORD_PREFIX}*", count=1_000):
        for name, value in client.hgetall(key).items():
            sizes[name.decode()] += len(name) + len(value)
    return sizes


def index_parts(client: redis.Redis) -> dict[str, int]:
    """Part of the index of memories → bytes, as the search module counts them."""
    reply: list[Any] = client.execute_command("FT.INFO", index.MEMORIES)
    told = {name.decode(): value for name, value in zip(reply[::2], reply[1::2], strict=False)}
    return {name.removesuffix("_mb"): int(float(told[name]) * 2**20) for name in INDEX_PARTS if name in told}


def report(client: redis.Redis, count: int, before: int) -> Iterator[str]:
    """The tables."""
    total = used(client) - before
    kinds, fields, parts = by_kind(client), fields_of_records(client), index_parts(client)
    full = used(client)
    for name in indexes(client):
        client.execute_command("FT.DROPINDEX", name)
    dropped = full - settled(client)
    texts = [client.hstrlen(key, "text") for key in client.scan_iter(match=f"{keys.RECORD_PREFIX}*", count=1_000)]
    yield f"{count:,} memories of {sum(texts) / len(texts):.0f} characters"
    yield "| bytes per memory | |"
    yield "|---|---|"
    yield f"| **all** | **{total / count:,.0f}** |"
    yield f"| index of memories | {dropped / count:,.0f} |"
    for kind, (number, size) in sorted(kinds.items(), key=lambda item: -item[1][1]):
        if size / count >= 1:
            yield f"| keys `{kind}:` ({number:,}) | {size / count:,.0f} |"
    yield ""
    yield "| field of a record | bytes |"
    yield "|---|---|"
    for name, size in fields.most_common():
        yield f"| `{name}` | {size / count:,.1f} |"
    yield ""
    yield "| part of the index (FT.INFO) | bytes |"
    yield "|---|---|"
    for name, size in sorted(parts.items(), key=lambda item: -item[1]):
        yield f"| {name} | {size / count:,.0f} |"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memories", type=int, default=10_000)
    parser.add_argument("--users", type=int, default=100)
    arguments = parser.parse_args()
    stack = Stack()
    try:
        stack.start()
        client = redis.Redis.from_url(stack.environment["REDIS_URL"], protocol=2)
        before = used(client)
        create(stack, arguments.memories, arguments.users)
        for name in indexes(client):
            client.execute_command("FT.DEBUG", "GC_FORCEINVOKE", name)
        for line in report(client, arguments.memories, before):
            print(line, flush=True)
    finally:
        stack.stop()


if __name__ == "__main__":
    main()
