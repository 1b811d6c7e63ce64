"""The vectors of wire contract 13 that pure functions answer."""

from __future__ import annotations

import pytest

from app.memory import ranking
from app.memory.models import Memory, memory_hash
from app.memory.ranking import RecencyWeights, recency
from app.store.candidates import Candidates, Hit

NOW = 1_800_000_000.0
DAY = 86_400.0


def test_recency_of_what_was_used_a_week_and_made_a_month_ago_is_a_half():
    assert recency(NOW - 7 * DAY, NOW - 30 * DAY, NOW, RecencyWeights()) == pytest.approx(0.5)
    assert recency(NOW, NOW, NOW, RecencyWeights()) == pytest.approx(1.0)


def test_the_fresh_one_ranks_above_the_nearer_one():
    near = Hit(b"a", created=NOW - 30 * DAY, accessed=NOW - 7 * DAY, distance=0.20, vector_place=0)
    fresh = Hit(b"b", created=NOW, accessed=NOW, distance=0.25, vector_place=1)
    ranked = ranking.rank(Candidates.of([near, fresh]), "semantic", alpha=0.7, now=NOW, weights=RecencyWeights()).rows()
    assert [(row.key, round(row.final, 6)) for row in ranked] == [(b"b", 0.80), (b"a", 0.74)]


def test_the_hash_of_a_memory():
    expected = "1212f086bede40e6632161c706d57104d271a8753a17f253e736187ae279dba8"
    assert memory_hash(Memory("any", "h\u00e9llo")) == expected
