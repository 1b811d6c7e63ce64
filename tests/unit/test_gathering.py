"""Texts of many threads go to the model together, and nobody gets another's vector or failure."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from app.memory.errors import ModelFailure
from app.providers.gathering import ALONE_FROM, GATHERED_TEXTS, GatheringEmbedder
from tests.support.waiting import wait_until


class Model:
    """Vectors that tell their text; each run waits until it is let go."""

    model_id, dimensions = "told", 2

    def __init__(self) -> None:
        self.runs: list[list[str]] = []
        self.go = threading.Event()
        self.inside = self.most = 0
        self._lock = threading.Lock()

    def warm(self) -> None:
        self.go.set()

    def embed(self, texts):
        with self._lock:
            self.runs.append(list(texts))
            self.inside += 1
            self.most = max(self.most, self.inside)
        assert self.go.wait(10)
        with self._lock:
            self.inside -= 1
        if "bad" in texts:
            raise ModelFailure("bad")
        return np.array([[float(text), 1.0] for text in texts], dtype=np.float32).reshape(-1, 2)


def start(pool, gathered, calls):
    """The calls, each begun in its own thread and in this order."""
    futures = []
    for texts in calls:
        futures.append(pool.submit(gathered.embed, texts))
        wait_until(lambda: gathered._embedder.inside + len(gathered._waiting) == len(futures), timeout=5)
    return futures


def test_those_that_wait_are_run_together_and_each_gets_its_own():
    model = Model()
    gathered = GatheringEmbedder(model, at_once=2)
    calls = [["1"], ["2"], ["3", "4"], ["5"], ["6"]]
    with ThreadPoolExecutor(5) as pool:
        futures = start(pool, gathered, calls)
        model.go.set()
        found = [future.result()[:, 0].tolist() for future in futures]
    assert found == [[float(text) for text in texts] for texts in calls]
    assert sorted(map(len, model.runs))[:2] == [1, 1]
    assert (sum(map(len, model.runs)), model.most) == (6, 2)
    assert len(model.runs) <= 4
    assert gathered._free == 2


def test_the_failure_of_one_is_not_that_of_the_others():
    model = Model()
    gathered = GatheringEmbedder(model, at_once=1)
    with ThreadPoolExecutor(4) as pool:
        futures = start(pool, gathered, [["1"], ["2"], ["bad"], ["3"]])
        model.go.set()
        assert [futures[place].result()[0, 0] for place in (0, 1, 3)] == [1.0, 2.0, 3.0]
        with pytest.raises(ModelFailure):
            futures[2].result()
    assert gathered._free == 1
    assert gathered.embed(["4"])[0, 0] == 4.0


def test_a_lone_failure_is_told_and_the_next_call_runs():
    model = Model()
    model.go.set()
    gathered = GatheringEmbedder(model, at_once=1)
    with pytest.raises(ModelFailure):
        gathered.embed(["bad"])
    assert model.runs == [["bad"]]
    assert gathered.embed(["1"]).tolist() == [[1.0, 1.0]]


def test_many_texts_wait_for_nobody_and_no_run_is_larger_than_its_limit():
    model = Model()
    gathered = GatheringEmbedder(model, at_once=1)
    many = [str(number) for number in range(ALONE_FROM)]
    few = [str(number) for number in range(ALONE_FROM - 1)]
    with ThreadPoolExecutor(12) as pool:
        futures = start(pool, gathered, [["1"], *[few] * 10])
        large = pool.submit(gathered.embed, many)
        wait_until(lambda: many in model.runs, timeout=5)
        model.go.set()
        assert large.result().shape == (ALONE_FROM, 2)
        assert all(future.result()[:, 0].tolist() == list(map(float, few)) for future in futures[1:])
    assert max(map(len, model.runs)) <= GATHERED_TEXTS
    assert gathered.embed([]).shape == (0, 2)


def test_a_thousand_calls_of_many_threads_all_get_theirs():
    model = Model()
    model.go.set()
    gathered = GatheringEmbedder(model, at_once=2)
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda n: gathered.embed([str(n)])[0, 0], range(1000)))
    assert found == list(map(float, range(1000)))
    assert model.most <= 2
    assert gathered._free == 2
