"""The shared cache of query vectors: it serves other processes, and nobody can read there what was asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.providers.interfaces import Embedder
from tests.support.engine import engine_on
from tests.support.redis_server import session_redis

pytestmark = pytest.mark.integration
QUESTION = "which pills does Ms. Zephyrine Quill take?"


class Refuses:
    """A model that must not be asked."""

    def __init__(self, model: Embedder) -> None:
        self.model_id, self.dimensions = model.model_id, model.dimensions

    def embed(self, texts: Any) -> np.ndarray:
        raise AssertionError("the shared cache has it")


def test_another_process_finds_the_vector_but_nobody_the_words():
    with session_redis() as url, engine_on(url) as engine:
        redis = engine.container.redis
        vector = engine.container.queries.embed(QUESTION)
        with engine_on(url) as other:
            other.container.__dict__["embedder"] = Refuses(engine.container.embedder)
            assert np.allclose(other.container.queries.embed(QUESTION), vector)
        (name,) = redis.scan_iter(match="query-embeddings:*")
        assert 0 < redis.ttl(name) <= 86_400
        kept = b" ".join([name, *redis.hgetall(name).keys(), *redis.hgetall(name).values()]).lower()
        for word in ("pills", "zephyrine", "quill"):
            assert word.encode() not in kept
