"""Which steps travel together, and in which queue."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from app.memory.steps import STEPS

READING = ["extract", "ground"]
ENRICHING = ["entities", "embed", "topics"]
STORING = ["deduplicate", "index", "acknowledge"]
# In a process of its own: Celery's application is configured once, with the address of its broker.
CHAINS = """
import json
from app.memory.models import Scope, SessionRef
from tasks import pipelines

def segments(**models):
    made = pipelines.promotion(SessionRef(Scope("ns", "u"), "s"), "run", **models)
    tasks = made.tasks if made.task == "celery.chain" else [made]
    return [[task.options["queue"], task.args[1 if task is tasks[0] else 0]] for task in tasks]

print(json.dumps([
    segments(with_llm=False, judged_by_llm=False),
    segments(with_llm=False, judged_by_llm=True),
    segments(with_llm=True, judged_by_llm=True),
]))
"""


def test_a_promotion_changes_queues_only_where_a_model_is_waited_for() -> None:
    environment = {**os.environ, "REDIS_URL": "redis://127.0.0.1:1/0"}
    done = subprocess.run([sys.executable, "-c", CHAINS], env=environment, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found == [
        [["ml", READING + ENRICHING + STORING]],
        [["ml", READING + ENRICHING], ["store", STORING]],
        [["llm", READING], ["ml", ENRICHING], ["store", STORING]],
    ]
    assert all(tuple(step for _queue, steps in chain for step in steps) == STEPS["promotion"] for chain in found)
