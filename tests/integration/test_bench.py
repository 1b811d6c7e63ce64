"""The benchmark runs: a smoke test, no figure is judged."""

from __future__ import annotations

import pytest

from tests.load import bench
from tests.support.builders import unique
from tests.support.stack import Server, Stack

pytestmark = pytest.mark.integration


def test_the_benchmark_measures_every_scenario(stack: Server):
    assert isinstance(stack, Stack)
    target = bench.Target(stack.base_url, stack.environment["REDIS_URL"], unique("bench"))
    assert target.load(60) > 0
    rows = bench.measure(target, [2], 0.2)
    assert {row["scenario"] for row in rows} == set(bench.scenarios(target)) - {bench.EMPTY}
    assert all(row["failures"] == 0 and row["requests_per_second"] > 0 for row in rows)
    assert "memory/prompt" in bench.show(rows)
    work = bench.measure_background(target, quick=True)
    assert [row["memories"] for row in work] == [1, 25, 25, 4]
    assert all(row["over_floor"] > 0 for row in work)
    assert "until searchable" in bench.show_work(work)
