"""From the PUT of a session to its memories being searchable, with warm workers and the rules backend.

    python -m tests.load.pipeline_latency [--rounds 20]

Prints the wait beyond the debounce: promise of issue A is under two seconds.
"""

from __future__ import annotations

import argparse
import statistics
import time

from tests.support.api import Api
from tests.support.builders import a_session, unique
from tests.support.stack import FAST, Stack
from tests.support.waiting import wait_until

DEBOUNCE = float(FAST["EXTRACTION_DEBOUNCE_SECONDS"])


def one(api: Api, number: int) -> float:
    """Seconds from the answer of a PUT to the first search that finds its memory, the debounce taken off."""
    session = a_session().of(api.namespace, f"user-{number}").with_messages(f"I own {number + 2} red bicycles.")
    session.put(api.http)
    started = time.monotonic()
    mine = {"user_id": {"eq": f"user-{number}"}}
    wait_until(lambda: api.search(limit=1, **mine)["total"], 60, "the memory is searchable", every=0.02)
    return time.monotonic() - started - DEBOUNCE


def main() -> None:
    """Run the rounds and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    stack = Stack()
    try:
        api = Api(stack.start().http, unique("latency"))
        for number in range(4):
            one(api, number)  # warm
        waits = sorted(one(api, number) for number in range(4, 4 + rounds))
    finally:
        stack.stop()
    print(f"beyond the debounce of {DEBOUNCE} s: p50 {statistics.median(waits):.2f} s, max {waits[-1]:.2f} s")


if __name__ == "__main__":
    main()
