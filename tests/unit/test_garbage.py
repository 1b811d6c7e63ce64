"""A settled process collects its cyclic garbage, however much it has loaded before."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import gc, sys
from collections import deque
from app.garbage import settle

loaded = [[number] for number in range(400_000)]
gc.collect()
if sys.argv[1] == "settled":
    settle()
before = gc.get_stats()[2]["collections"]
kept = deque(maxlen=2_000)
for number in range(200_000):
    cycle = [number]
    cycle.append(cycle)
    kept.append(cycle)
print(gc.get_stats()[2]["collections"] - before, len(loaded))
"""


@pytest.mark.parametrize(("state", "full_collections"), [("settled", True), ("as it was", False)])
def test_garbage_is_collected_soon_beside_many_loaded_objects(state, full_collections):
    done = subprocess.run([sys.executable, "-c", SCRIPT, state], capture_output=True, text=True, check=True)
    collections, loaded = map(int, done.stdout.split())
    assert (collections > 0, loaded) == (full_collections, 400_000)
