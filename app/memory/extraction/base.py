"""What every extraction backend offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from app.memory.models import Candidate, ExtractionWindow


class Extractor(Protocol):
    """Distils a window of conversation into candidate memories, and grounds them."""

    backend: str
    model_id: str

    def extract(self, window: ExtractionWindow) -> list[Candidate]:
        """Candidates found in `window.new`; nothing from `window.context`."""
        ...

    def ground(self, window: ExtractionWindow, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The candidates that can be made to stand on their own, rewritten so; the others are left out."""
        ...
