"""The roles that models play, one small Protocol each; settings choose the implementation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from app.memory.models import Entity

Vectors = npt.NDArray[np.float32]


class Embedder(Protocol):
    """Turns texts into unit vectors."""

    model_id: str
    dimensions: int
    texts_per_call: int
    """As many as one call of the model takes well: who has more loses nothing by bringing them in such parts."""

    def warm(self) -> None:
        """Load the model now, so that the first text does not wait for it."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed texts: float32 of shape (len(texts), dimensions), each row of length 1."""
        ...


class Reranker(Protocol):
    """Judges how well texts answer a query, reading both together."""

    model_id: str

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """One relevance per text; higher is better. Raises BackendUnavailable or ModelFailure."""
        ...


class EntityRecognizer(Protocol):
    """Finds named entities."""

    model_id: str

    def recognize(self, texts: Sequence[str]) -> list[list[Entity]]:
        """One list of entities per text, in order of appearance, without duplicates."""
        ...


class TopicModel(Protocol):
    """Gives texts their topics."""

    model_id: str

    def assign(self, texts: Sequence[str], *, top_k: int) -> list[list[str]]:
        """At most `top_k` lower-case topics per text, best first; possibly none."""
        ...


class Generator(Protocol):
    """A language model behind an OpenAI-compatible endpoint."""

    def generate_json(
        self,
        *,
        purpose: str,
        messages: Sequence[Mapping[str, str]],
        schema: Mapping[str, Any],
        model: str | None = None,
        namespace: str | None = None,
        deadline_seconds: float | None = None,
    ) -> dict[str, Any]:
        """One completion that follows the JSON schema, within `deadline_seconds`, retries included.

        Raises BackendUnavailable when the endpoint cannot be reached (after retries) and ModelFailure when it
        answers with nothing usable.
        """
        ...

    def generate_text(
        self,
        *,
        purpose: str,
        messages: Sequence[Mapping[str, str]],
        model: str | None = None,
        max_tokens: int | None = None,
        namespace: str | None = None,
        deadline_seconds: float | None = None,
    ) -> str:
        """One completion as plain text; the same errors as `generate_json`."""
        ...
