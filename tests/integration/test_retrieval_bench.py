"""The retrieval benchmarks run: a small smoke of tests/load/retrieval.py and tests/load/search_bench.py."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import redis

from app.evaluation.datasets import load_conversations
from app.evaluation.metrics import mean_figures
from tests.load import retrieval, search_bench
from tests.support.redis_server import embedded_redis
from tests.support.stack import BIN, Server
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

LINES = [
    ("Ann", "Have you ever been to Oslo?"), ("Nate", "Yes, twice. The opera was lovely."),
    ("Ann", "I bought a violin."), ("Nate", "How much was it?"),
    ("Ann", "Four hundred, second hand."), ("Nate", "I am allergic to peanuts, by the way."),
]  # fmt: skip


def test_locomo_questions_are_asked_through_the_api_with_the_official_client(stack: Server, tmp_path):
    turns = [{"id": f"D1:{i}", "speaker": who, "text": what} for i, (who, what) in enumerate(LINES)]
    asked = [
        ("Has Nate been to Oslo?", "D1:1"),
        ("How much did the violin cost?", "D1:4"),
        ("What must Nate not eat?", "D1:5"),
    ]
    path = tmp_path / "data.json"
    path.write_text(
        json.dumps([{
            "id": "c", "sessions": [{"session": 1, "date": "1:56 pm on 8 May, 2023", "turns": turns}],
            "questions": [{"question": q, "category": "single-hop", "evidence": [e]} for q, e in asked],
        }])
    )  # fmt: skip
    with ThreadPoolExecutor(1) as thread:  # a browser of another test may have left its event loop in ours
        rows = thread.submit(asyncio.run, retrieval.measure(stack.base_url, load_conversations(path))).result()
    assert list(rows) == ["semantic", "keyword", "hybrid, alpha 0.5", "hybrid, alpha default 0.7"]
    hybrid = mean_figures([figures for _kind, figures in rows["hybrid, alpha default 0.7"]])
    assert hybrid["any@10"] == 1.0
    assert hybrid["mrr"] > 0.4


def test_the_eval_command_needs_no_server_and_leaves_none_behind(tmp_path):
    talk = [[{"role": "user", "content": line, "has_answer": "peanuts" in line} for _who, line in LINES]]
    path = tmp_path / "longmemeval.json"
    path.write_text(
        json.dumps([{
            "question_id": "q1", "question_type": "single-session-user", "question": "What is the user allergic to?",
            "haystack_session_ids": ["s1"], "haystack_dates": ["2023/05/20 (Sat) 02:21"], "haystack_sessions": talk,
        }])
    )  # fmt: skip
    kept = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
    done = subprocess.run(
        [BIN / "agent-memory", "eval", "--dataset", path, "--a", "mode=hybrid", "--b", "mode=keyword", "--json"],
        env={**kept, "DATA_DIR": str(tmp_path / "data")}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["queries"], report["better"]) == (1, None)
    assert report["configurations"][0]["all"]["any@10"] == 1.0
    assert "q1: 6 memories, 1 questions" in done.stderr
    wait_until(lambda: not _working_in(tmp_path), 10, "its Redis is gone")


def _working_in(directory: Path) -> list[str]:
    """Processes whose working directory lies in a directory."""
    found = (path.resolve() for path in Path("/proc").glob("[0-9]*/cwd") if os.access(path, os.R_OK))
    return [str(path) for path in found if path.is_relative_to(directory)]


def test_the_index_bench_measures_recall_against_exact_search():
    base = search_bench.seeds(None, np.random.default_rng(3))
    with embedded_redis() as server:
        client = redis.Redis.from_url(server.url, protocol=2)
        rows = list(search_bench.graph(client, base, 400, only_default=True))
    recalls = [float(row.split("|")[8]) for row in rows[2:]]
    assert recalls[-1] > 0.99
    assert recalls[-1] >= recalls[0]
