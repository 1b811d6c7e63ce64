"""`make quality`: extraction and grounding per backend, printed, with floors well below what is measured today."""

from __future__ import annotations

import os

import pytest

from tests.quality.extraction import GOLD, Score, run

pytestmark = pytest.mark.timeout(1800)


def measured(backend: str, capsys: pytest.CaptureFixture[str]) -> Score:
    """Run a backend over the gold set and print its figures, also when the test passes."""
    scores = run(GOLD, details=False, backend=backend)
    with capsys.disabled():
        print(f"\nextraction, backend {backend}:")
        for name, score in sorted(scores.items(), reverse=True):
            print(f"  {score.line(name)}")
    return scores["all"]


@pytest.mark.quality
def test_rules(capsys):
    score = measured("rules", capsys)
    assert score.recall >= 0.70
    assert score.precision >= 0.85
    assert score.grounded_rate >= 0.98


@pytest.mark.quality
def test_nothing_that_a_model_answers_correctly_is_lost_on_the_way(capsys):
    score = measured("oracle", capsys)
    assert score.recall >= 0.97
    assert score.precision == 1.0
    assert score.grounded_rate == 1.0


@pytest.mark.llm
@pytest.mark.skipif(not os.environ.get("TEST_LLM"), reason="opt-in: make test-llm")
def test_a_real_model(capsys):
    score = measured("llm", capsys)
    assert score.recall >= 0.60
    assert score.precision >= 0.60
    assert score.grounded_rate >= 0.98
