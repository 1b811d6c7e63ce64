"""Embeddings of search queries: cached in the process, then in Redis, then computed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from contextlib import suppress
from typing import Protocol

import numpy as np
import numpy.typing as npt

from app.counting import count
from app.memory.errors import BackendUnavailable
from app.providers.interfaces import Embedder


class SharedVectorCache(Protocol):
    """A cache that all processes share."""

    def get(self, text: str) -> npt.NDArray[np.float32] | None:
        """The vector of a text, or None."""
        ...

    def set(self, text: str, vector: npt.NDArray[np.float32]) -> None:
        """Remember a vector."""
        ...


class QueryEmbedder:
    """Embeds one query at a time; thread-safe."""

    def __init__(self, embedder: Embedder, shared: SharedVectorCache | None, *, size: int = 4096) -> None:
        self._embedder = embedder
        self._shared = shared
        self._size = size
        self._recent: OrderedDict[str, npt.NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()

    def embed(self, text: str) -> npt.NDArray[np.float32]:
        """The unit vector of a query, shape (dim,)."""
        with self._lock:
            vector = self._recent.get(text)
            if vector is not None:
                self._recent.move_to_end(text)
        if vector is not None:
            count("QUERY_EMBEDDINGS", source="process")
            return vector
        vector = self._shared.get(text) if self._shared else None
        count("QUERY_EMBEDDINGS", source="model" if vector is None else "redis")
        if vector is None:
            vector = self._embedder.embed([text])[0]
            if self._shared:
                # A Redis that is full can still be searched: it is only not remembered for others.
                with suppress(BackendUnavailable):
                    self._shared.set(text, vector)
        with self._lock:
            self._recent[text] = vector
            while len(self._recent) > self._size:
                self._recent.popitem(last=False)
        return vector
