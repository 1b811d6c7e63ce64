"""What every extraction backend and every strategy offers.

A *backend* (`rules`, `llm`) knows how to read a conversation; a *strategy* (`discrete`, `summary`, …) says what is
wanted from it. A deployment adds strategies of its own by dotted path (`EXTRACTION_STRATEGIES`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from app.memory.models import Candidate, ExtractionWindow, Memory


class Extractor(Protocol):
    """A backend: distils a window of conversation, and makes what it found stand on its own."""

    backend: str
    model_id: str

    def extract(self, window: ExtractionWindow, instructions: str = "") -> list[Candidate]:
        """Candidates found in `window.new`; nothing from `window.context`. `instructions` are for models."""
        ...

    def summarize(self, window: ExtractionWindow, *, max_words: int) -> str:
        """One summary of `window.summary` (the previous one) and `window.new`."""
        ...

    def repair(self, window: ExtractionWindow, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The candidates rewritten so that they stand on their own, one for one; what cannot be mended stays."""
        ...


class ExtractionStrategy(Protocol):
    """What is wanted from a conversation."""

    name: str
    version: str
    """Changes whenever the instructions do; every memory carries it."""

    def problems(self, config: Mapping[str, Any], *, with_model: bool) -> list[str]:
        """What is wrong with a session's configuration of this strategy: the client's 422."""
        ...

    def distil(self, window: ExtractionWindow, extractor: Extractor) -> list[Candidate]:
        """The candidates that this strategy wants from a window."""
        ...

    def finish(self, memory: Memory, window: ExtractionWindow) -> Memory:
        """A last word on a record made from one of its candidates."""
        ...


class PlainStrategy:
    """A base for strategies: any configuration is fine, records stay as they are."""

    name = ""
    version = "1"

    def problems(self, config: Mapping[str, Any], *, with_model: bool) -> list[str]:
        """Nothing is wrong."""
        return []

    def finish(self, memory: Memory, window: ExtractionWindow) -> Memory:
        """Unchanged."""
        return memory
