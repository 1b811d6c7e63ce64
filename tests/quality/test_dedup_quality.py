"""Deduplication against its gold sets; `make quality` prints the figures."""

from __future__ import annotations

import pytest

from tests.quality.dedup_pairs import FOLDER, report
from tests.quality.evolving_facts import measure
from tests.support.engine import running_engine

pytestmark = pytest.mark.quality


@pytest.mark.parametrize("name", ["dedup_dev", "dedup_heldout", "dedup_unseen"])
def test_paraphrases_are_merged_and_look_alikes_are_not(name, capsys):
    with capsys.disabled():
        print()
        figures = report(FOLDER / f"{name}.txt")
    precision, recall, _count = figures["merge"]
    assert precision >= 0.95
    assert recall >= 0.75
    assert figures["updates"][0] >= 0.9


@pytest.mark.parametrize("per_user", [False, True])
def test_facts_that_change_are_answered_right_now_and_then(per_user, capsys):
    with running_engine() as engine:
        figures = measure(engine, "evolving", subjects=200, per_user=per_user)
    with capsys.disabled():
        print()
        for what in ("current", "as_of", "staying"):
            print(f"  evolving facts, per user {per_user}: {what:8} {figures.rate(what):.4f} ({figures.counts[what]})")
    assert figures.rate("current") >= 0.95
    assert figures.rate("as_of") >= 0.95
    assert 1.0 - figures.rate("staying") <= 0.005
