"""Recall and latency of the vector index: graph parameters, vector types, policies for tenants; against exact search.

    python -m tests.load.search_bench graph --memories 20000            # M × EF_CONSTRUCTION × type × EF_RUNTIME
    python -m tests.load.search_bench graph --memories 100000 --default # only what the index uses
    python -m tests.load.search_bench tenants --memories 50000          # tenants of 1,000 and one of 20,000

Vectors: `--texts FILE` (one text a line, embedded with the default model), else a mixture of Gaussians; both are
perturbed until there are enough. With `--mixed` each vector lies between two of them instead: harder, there are no
groups of near copies. Queries are made in the same way, so that none of them is stored. In the table of policies the
large tenant speaks of other things than the rest; a query is near what its tenant speaks of, or far from it.

An own Redis is started; commands go over one connection, so a latency contains what the client does (a few tenths of a
millisecond). MB is the index alone; the vectors are in the memories' hashes once more.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import redis

from app.config import Settings
from app.providers.embeddings import create_embedder
from tests.support.redis_server import embedded_redis

DIMENSIONS = 384
QUERIES = 200
NEAREST = 10
CANDIDATES = 100
# Cosine between a text and its perturbed copy is about 0.86: neighbours, not duplicates.
NOISE = 0.6
MIXED_NOISE = 0.2
TYPES = {"FLOAT32": np.float32, "FLOAT16": np.float16}
Vectors = np.ndarray[Any, np.dtype[np.float32]]


def unit(vectors: Vectors) -> Vectors:
    """Rows of length one."""
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def seeds(texts: Path | None, random: np.random.Generator) -> Vectors:
    """The vectors that all others are made of."""
    if texts is None:
        centres = random.normal(size=(200, DIMENSIONS))
        return unit(centres[random.integers(0, 200, 2_000)] + random.normal(size=(2_000, DIMENSIONS)))
    lines = [line for line in texts.read_text(encoding="utf-8").splitlines() if line.strip()]
    return np.asarray(create_embedder(Settings()).embed(lines), dtype=np.float32)


def perturbed(base: Vectors, count: int, random: np.random.Generator) -> Vectors:
    """So many vectors around the base's."""
    chosen = base[random.integers(0, len(base), count)]
    noise = random.normal(size=chosen.shape) * (NOISE / np.sqrt(DIMENSIONS))
    return unit(chosen + noise)


def mixed(base: Vectors, count: int, random: np.random.Generator) -> Vectors:
    """So many vectors, each somewhere between two of the base's."""
    one, other = random.integers(0, len(base), (2, count))
    share = random.uniform(0.3, 0.7, (count, 1))
    noise = random.normal(size=(count, DIMENSIONS)) * (MIXED_NOISE / np.sqrt(DIMENSIONS))
    return unit(share * base[one] + (1 - share) * base[other] + noise)


def exact(vectors: Vectors, queries: Vectors, k: int = NEAREST) -> list[set[int]]:
    """The true nearest rows of each query."""
    return [set(np.argpartition(-(vectors @ query), k)[:k].tolist()) for query in queries]


def create(client: redis.Redis, name: str, kind: str, algorithm: str, *attributes: Any) -> None:
    """An index over the hashes `<name>:…`, with a tenant's tag beside the vector."""
    vector = ["TYPE", kind, "DIM", DIMENSIONS, "DISTANCE_METRIC", "COSINE", *attributes]
    client.execute_command(
        "FT.CREATE", name, "PREFIX", "1", f"{name}:", "SCHEMA", "ns", "TAG", "CASESENSITIVE",
        "vec", "VECTOR", algorithm, str(len(vector)), *vector,
    )  # fmt: skip


def fill(client: redis.Redis, name: str, kind: str, vectors: Vectors, tenants: Sequence[str]) -> float:
    """Store everything; seconds."""
    started = time.perf_counter()
    for start in range(0, len(vectors), 500):
        with client.pipeline(transaction=False) as pipeline:
            for row in range(start, min(start + 500, len(vectors))):
                blob = vectors[row].astype(TYPES[kind]).tobytes()
                pipeline.hset(f"{name}:{row}", mapping={"ns": tenants[row], "vec": blob})
            pipeline.execute()
    return time.perf_counter() - started


def search(
    client: redis.Redis, name: str, kind: str, *, query: Vectors, k: int, filters: str, options: str
) -> set[int]:
    """The rows that the index finds."""
    reply = client.execute_command(
        "FT.SEARCH", name, f"({filters})=>[KNN {k} @vec $v{options} AS dist]", "PARAMS", "2", "v",
        query.astype(TYPES[kind]).tobytes(), "SORTBY", "dist", "RETURN", "1", "dist", "LIMIT", "0", str(k),
        "DIALECT", "2", "TIMEOUT", "20000",
    )  # fmt: skip
    return {int(key.decode().rpartition(":")[2]) for key in reply[1::2]}


def measure(ask: Callable[..., set[int]], queries: Vectors, truth: Sequence[set[int]]) -> tuple[float, float, float]:
    """Recall, and p50 and p99 in milliseconds."""
    found, spent = [], []
    for query, wanted in zip(queries, truth, strict=True):
        started = time.perf_counter()
        rows = ask(query=query)
        spent.append((time.perf_counter() - started) * 1000)
        found.append(len(rows & wanted) / len(wanted))
    p50, p99 = np.percentile(spent, [50, 99])
    return float(np.mean(found)), float(p50), float(p99)


def megabytes(client: redis.Redis, name: str) -> float:
    """Memory of an index's vectors and their graph."""
    info = client.execute_command("FT.INFO", name)
    return float(dict(zip(info[::2], info[1::2], strict=False))[b"vector_index_sz_mb"])


def graph(
    client: redis.Redis, base: Vectors, size: int, *, only_default: bool, more: Callable[..., Vectors] = perturbed
) -> Iterator[str]:
    """Rows of the table of graph parameters; `more` makes vectors of the base's."""
    random = np.random.default_rng(7)
    vectors, queries = more(base, size, random), more(base, QUERIES, random)
    truth = exact(vectors, queries)
    yield "| memories | type | M | EF_CONSTRUCTION | stored/s | MB | EF_RUNTIME | recall@10 | p50 ms | p99 ms |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    shapes = [("FLOAT16", 12, 200)]
    if not only_default:
        shapes += [
            ("FLOAT16", 16, 200),
            ("FLOAT32", 16, 200),
            ("FLOAT16", 8, 200),
            ("FLOAT32", 8, 200),
            ("FLOAT32", 16, 100),
            ("FLOAT32", 32, 200),
        ]
    for kind, m, construction in shapes:
        name = f"{kind}-{m}-{construction}"
        create(client, name, kind, "HNSW", "M", m, "EF_CONSTRUCTION", construction)
        seconds = fill(client, name, kind, vectors, ["t"] * size)
        used = megabytes(client, name)
        for runtime in (10, 50, 100, 200, 400):
            ask = partial(search, client, name, kind, k=NEAREST, filters="*", options=f" EF_RUNTIME {runtime}")
            recall, p50, p99 = measure(ask, queries, truth)
            yield (
                f"| {size:,} | {kind} | {m} | {construction} | {size / seconds:,.0f} | {used:,.0f} | {runtime} "
                f"| {recall:.3f} | {p50:.2f} | {p99:.2f} |"
            )
        client.execute_command("FT.DROPINDEX", name, "DD")


def tenants(client: redis.Redis, base: Vectors, size: int) -> Iterator[str]:
    """Rows of the table of policies: a tenant of 1,000 and one of 20,000 (or a third) inside `size` memories."""
    random = np.random.default_rng(7)
    large = min(20_000, size // 3)
    directions = unit(random.normal(size=(2, DIMENSIONS)))

    def about(subject: int, count: int) -> Vectors:
        return unit(perturbed(base, count, random) + directions[subject])

    vectors = np.concatenate([about(0, large), about(1, size - large)])
    names = ["large"] * large + [f"t{row // 1_000}" for row in range(size - large)]
    rows = {"large": np.arange(large), "t0": np.array([i for i, n in enumerate(names) if n == "t0"])}
    asked = (about(0, QUERIES), about(1, QUERIES))
    yield "| memories | tenant | queries | index | policy | recall@100 | p50 ms | p99 ms |"
    yield "|---|---|---|---|---|---|---|---|"
    for algorithm, attributes in (("HNSW", ("M", 12, "EF_CONSTRUCTION", 200, "EF_RUNTIME", 120)), ("FLAT", ())):
        create(client, algorithm, "FLOAT32", algorithm, *attributes)
        fill(client, algorithm, "FLOAT32", vectors, names)
        policies = ("", " HYBRID_POLICY ADHOC_BF", " HYBRID_POLICY BATCHES")
        for (tenant, own), distance, policy in itertools.product(rows.items(), ("near", "far"), policies):
            queries = asked[(tenant == "t0") != (distance == "far")]
            truth = [{int(own[row]) for row in found} for found in exact(vectors[own], queries, CANDIDATES)]
            ask = partial(
                search, client, algorithm, "FLOAT32", k=CANDIDATES, filters=f"@ns:{{{tenant}}}", options=policy
            )
            recall, p50, p99 = measure(ask, queries, truth)
            shown = policy.rpartition(" ")[2] or "default"
            yield (
                f"| {size:,} | {len(own):,} | {distance} | {algorithm} | {shown} "
                f"| {recall:.3f} | {p50:.2f} | {p99:.2f} |"
            )
        client.execute_command("FT.DROPINDEX", algorithm, "DD")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("graph", "tenants"))
    parser.add_argument("--memories", type=int, default=20_000)
    parser.add_argument("--texts", type=Path, help="one text a line")
    parser.add_argument("--default", action="store_true", help="graph: only the parameters that the index uses")
    parser.add_argument("--mixed", action="store_true", help="graph: harder vectors")
    arguments = parser.parse_args()
    base = seeds(arguments.texts, np.random.default_rng(3))
    with embedded_redis() as server:
        client = redis.Redis.from_url(server.url, protocol=2)
        if arguments.what == "graph":
            more = mixed if arguments.mixed else perturbed
            lines = graph(client, base, arguments.memories, only_default=arguments.default, more=more)
        else:
            lines = tenants(client, base, arguments.memories)
        for line in lines:
            print(line, flush=True)


if __name__ == "__main__":
    main()
