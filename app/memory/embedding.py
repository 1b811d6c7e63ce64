"""Memories to vectors: the one rule, whatever model they are for; and the vectors of the model that is not searched."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import structlog

from app.memory.errors import MemoryPlatformError
from app.memory.indexing_text import embedded_texts
from app.memory.models import Memory
from app.providers.interfaces import Embedder

log = structlog.get_logger(__name__)
REMEMBERED = 1_000

Vectors = npt.NDArray[np.float32]


def embed_memories(embedder: Embedder, memories: Sequence[Memory]) -> Vectors:
    """The vectors that stand for completed memories, unit length, shape (n, dim)."""
    texts = [embedded_texts(m) for m in memories]
    flat = np.asarray(embedder.embed([text for group in texts for text in group]), dtype=np.float32)
    vectors = np.empty((len(texts), flat.shape[1]), dtype=np.float32)
    ends = np.cumsum([len(group) for group in texts])
    for row, (group, end) in enumerate(zip(texts, ends, strict=True)):
        mean = flat[end - len(group) : end].mean(axis=0)
        vectors[row] = mean / np.linalg.norm(mean) if len(group) > 1 else mean
    return vectors


class OtherVectors:
    """Vectors by the model that is written but not searched, while a deployment changes its model.

    Its failure must not fail a write: the memory is stored without, and whoever drives the change finds the gap.
    Vectors are remembered for a while, because a write that lost a race is tried again at once.
    """

    def __init__(self, embedder: Callable[[], Embedder]) -> None:
        self._embedder = embedder
        self._recent: OrderedDict[tuple[str, ...], npt.NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, memories: Sequence[Memory]) -> Sequence[npt.NDArray[np.float32]] | None:
        """One vector per memory, shape (dim,), or None when the model cannot be had."""
        texts = [tuple(embedded_texts(m)) for m in memories]
        with self._lock:
            known = {key: self._recent[key] for key in texts if key in self._recent}
        missing = {key: memory for key, memory in zip(texts, memories, strict=True) if key not in known}
        if missing:
            try:
                made = embed_memories(self._embedder(), list(missing.values()))
            except MemoryPlatformError as error:
                log.warning("stored without the vectors of the other model", error=str(error), count=len(memories))
                return None
            known.update(zip(missing, made, strict=True))
            with self._lock:
                self._recent.update((key, known[key]) for key in missing)
                while len(self._recent) > REMEMBERED:
                    self._recent.popitem(last=False)
        return [known[key] for key in texts]
