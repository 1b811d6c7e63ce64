"""The shared cache of query vectors: redisvl's EmbeddingsCache keyed by model, with a time to live."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from redisvl.extensions.cache.embeddings import EmbeddingsCache

from app.store.client import RedisClient, store_errors


@store_errors
class VectorCache:
    """Vectors of texts under one embedding model."""

    def __init__(self, client: RedisClient, *, model_id: str, ttl_seconds: int) -> None:
        self._cache = EmbeddingsCache(name="query-embeddings", ttl=ttl_seconds, redis_client=client)
        self._model_id = model_id

    def get(self, text: str) -> npt.NDArray[np.float32] | None:
        """The vector, shape (dim,), or None. One round trip."""
        found = self._cache.get(content=text, model_name=self._model_id)
        return np.asarray(found["embedding"], dtype=np.float32) if found else None

    def set(self, text: str, vector: npt.NDArray[np.float32]) -> None:
        """Remember a vector."""
        self._cache.set(content=text, model_name=self._model_id, embedding=vector.tolist())
