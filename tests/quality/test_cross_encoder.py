"""The sentence-transformers reranker for real: a tiny cross-encoder with random weights, from disk to order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.config import Settings
from app.memory.errors import ModelFailure
from app.memory.filters import MemoryFilter, TagFilter
from app.memory.models import Memory
from app.memory.search import SearchRequest
from app.providers.rerank import create_reranker
from tests.support.builders import unique
from tests.support.engine import engine_on
from tests.support.redis_server import session_redis

pytestmark = pytest.mark.quality
QUERY = "who drinks tea in oslo"
TEXTS = ["anna drinks tea", "bob likes chess", "carla is in oslo", "tea tea tea", "nobody drinks in oslo , says anna"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    folder = tmp_path_factory.mktemp("cross-encoder")
    words = sorted({word for text in (QUERY, *TEXTS) for word in text.split()})
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(5)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = BertConfig(vocab_size=5 + len(words), num_labels=1, initializer_range=0.5, **shape)
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with session_redis() as url:
        yield url


def by_hand(model: Path) -> list[float]:
    """What the model says of each text, one at a time and without sentence-transformers."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer, network = AutoTokenizer.from_pretrained(model), AutoModelForSequenceClassification.from_pretrained(model)
    with torch.no_grad():
        logits = [network.eval()(**tokenizer(QUERY, text, return_tensors="pt")).logits.item() for text in TEXTS]
    return [float(torch.sigmoid(torch.tensor(logit))) for logit in logits]


def test_the_scores_are_the_models_in_the_order_of_the_texts(model):
    reranker = create_reranker(Settings(_env_file=None, rerank_backend="cross-encoder", rerank_model=str(model)))
    scores = reranker.score(QUERY, TEXTS)
    assert len(set(scores)) == len(TEXTS)
    assert scores == pytest.approx(by_hand(model), abs=1e-5)
    assert reranker.score(QUERY, TEXTS[::-1]) == pytest.approx(scores[::-1], abs=1e-5)


@pytest.mark.parametrize("mode", ["semantic", "hybrid"])
def test_a_search_comes_in_the_models_order(model, redis_url, mode):
    namespace = unique("ns")
    with engine_on(redis_url, rerank_backend="cross-encoder", rerank_model=str(model)) as made:
        engine = made.container
        memories = [Memory(text, text, namespace=namespace) for text in TEXTS]
        engine.consolidation.store(memories, engine.embedder.embed(TEXTS), deduplicate=False, actor="client")
        condition = MemoryFilter().also("namespace", TagFilter(eq=namespace))

        def page(offset: int, limit: int) -> list[str]:
            request = SearchRequest(QUERY, mode, condition=condition, offset=offset, limit=limit)
            return [found.memory.text for found in engine.search.search(request).memories]

        scores = dict(zip(TEXTS, by_hand(model), strict=True))
        wanted = sorted(TEXTS, key=lambda text: -scores[text])
        assert page(0, 5) == wanted
        assert page(0, 2) + page(2, 3) == wanted


def test_a_model_that_is_not_there_is_told_by_its_name(tmp_path):
    with pytest.raises(ModelFailure, match="nothing-here"):
        create_reranker(
            Settings(_env_file=None, rerank_backend="cross-encoder", rerank_model=str(tmp_path / "nothing-here"))
        )
