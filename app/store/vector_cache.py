"""The shared cache of query vectors: redisvl's EmbeddingsCache keyed by model, with a time to live.

It would keep the text of each query beside its vector. Nobody reads that, and what people ask is their own affair: it
is given a hash of the text instead.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
from redisvl.extensions.cache.embeddings import EmbeddingsCache

from app.store.client import RedisClient, store_errors

_NAME = "query-embeddings"


@store_errors
class VectorCache:
    """Vectors of texts under one embedding model."""

    def __init__(self, client: RedisClient, *, model_id: str, ttl_seconds: int) -> None:
        self._cache = EmbeddingsCache(name=_NAME, ttl=ttl_seconds, redis_client=client)
        self._client = client
        self._model_id = model_id

    def get(self, text: str) -> npt.NDArray[np.float32] | None:
        """The vector, shape (dim,), or None. One round trip."""
        found = self._cache.get(content=_hash(text), model_name=self._model_id)
        return np.asarray(found["embedding"], dtype=np.float32) if found else None

    def set(self, text: str, vector: npt.NDArray[np.float32]) -> None:
        """Remember a vector."""
        self._cache.set(content=_hash(text), model_name=self._model_id, embedding=vector.tolist())

    def clear(self) -> int:
        """Forget all queries, whoever asked them; how many there were."""
        names = list(self._client.scan_iter(match=f"{_NAME}:*", count=1_000))
        for start in range(0, len(names), 500):
            self._client.delete(*names[start : start + 500])
        return len(names)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
