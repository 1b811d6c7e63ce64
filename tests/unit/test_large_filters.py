"""What is remembered of filters that match many memories."""

from __future__ import annotations

from app.store import large_filters
from app.store.large_filters import LARGE, WALK, LargeFilters


def test_the_graph_is_walked_only_behind_filters_that_let_most_of_the_index_through():
    filters = LargeFilters(lambda: 10_000)
    assert filters.policy("all") is None
    filters.note("all", 10_000, None)
    filters.note("most", 7_500, None)
    filters.note("half", 5_000, None)
    assert [filters.policy(q) for q in ("all", "most", "half")] == [WALK, WALK, None]


def test_small_filters_cost_nothing_and_a_filter_that_shrank_is_forgotten():
    asked = []
    filters = LargeFilters(lambda: asked.append(1) or LARGE)
    filters.note("small", LARGE - 1, None)
    assert not filters.knows("small")
    assert not asked
    filters.note("large", LARGE, None)
    assert filters.knows("large")
    filters.note("large", 10, None)
    assert not filters.knows("large")
    assert filters.policy("large") is None


def test_a_count_holds_while_the_stamp_does_and_for_a_minute_at_most(monkeypatch):
    filters = LargeFilters(lambda: LARGE)
    filters.note("q", LARGE, None)
    assert not filters.counted("q")
    filters.note("q", LARGE, (b"1", None))
    assert filters.counted("q")
    assert filters.matches("q", (b"1", None)) == LARGE
    assert filters.matches("q", (b"2", None)) is None
    later = large_filters.time.monotonic() + 61
    monkeypatch.setattr(large_filters.time, "monotonic", lambda: later)
    assert not filters.counted("q")


def test_only_so_many_filters_are_remembered():
    filters = LargeFilters(lambda: LARGE)
    for number in range(large_filters.FILTERS_REMEMBERED + 1):
        filters.note(f"q{number}", LARGE, None)
    assert not filters.knows("q0")
    assert filters.knows("q1")
