"""Creates of one memory at a time whose vectors come from an OpenAI-compatible endpoint that answers at once.

    python -m tests.load.creates [--concurrency 1,8,32] [--seconds 4]

An own stack with two web processes and all workers, which enrich meanwhile; the endpoint is a process of its own on the
same cores. Every answered memory is searchable.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from functools import lru_cache

from tests.load.bench import sentence
from tests.load.wire import Request, run, table
from tests.support import scripted_llm
from tests.support.builders import unique
from tests.support.stack import Stack

USERS = 20
ENDPOINT = "--endpoint"


def serve() -> None:
    """Be the endpoint: say where, answer until the input ends. Vectors are remembered, so that they cost little."""
    scripted_llm._embedding = lru_cache(200_000)(scripted_llm._embedding)
    print(scripted_llm.ScriptedLLM().base_url, flush=True)
    sys.stdin.read()


def creates(namespace: str, first: int, *, deduplicate: bool) -> Callable[[int], Request]:
    """The number-th create; each with another fact."""

    def make(number: int) -> Request:
        memory = {"id": unique("m"), "text": sentence(first + number), "namespace": namespace,
                  "user_id": f"user-{number % USERS}"}  # fmt: skip
        return Request.of("POST", "/v1/long-term-memory/", {"memories": [memory], "deduplicate": deduplicate})

    return make


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--concurrency", default="1,8,32")
    parser.add_argument("--seconds", type=float, default=4.0)
    options = parser.parse_args()
    endpoint = subprocess.Popen(
        [sys.executable, "-m", "tests.load.creates", ENDPOINT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert endpoint.stdin is not None
    assert endpoint.stdout is not None
    stack = Stack(
        WEB_WORKERS="2",
        EMBEDDING_BACKEND="openai",
        EMBEDDING_MODEL="scripted",
        EMBEDDING_BASE_URL=endpoint.stdout.readline().strip(),
        EMBEDDING_API_KEY="none",
    )
    rows = [("", "callers", "memories/s", "p50 ms", "p99 ms", "failures")]
    try:
        base_url, first = stack.start().base_url, 0
        for concurrency in map(int, options.concurrency.split(",")):
            for deduplicate in (False, True):
                make = creates(unique("creates"), first, deduplicate=deduplicate)
                measured = run(base_url, make, concurrency=concurrency, seconds=options.seconds)
                first += measured.requests
                rows.append(
                    (
                        "with deduplication" if deduplicate else "without",
                        str(concurrency),
                        f"{measured.per_second:.0f}",
                        f"{measured.percentile(0.5):.1f}",
                        f"{measured.percentile(0.99):.1f}",
                        str(measured.failures),
                    )
                )
    finally:
        stack.stop()
        endpoint.stdin.close()
        endpoint.wait()
    print(table(rows))


if __name__ == "__main__":
    serve() if ENDPOINT in sys.argv else main()
