"""The default strategy: single facts."""

from __future__ import annotations

from app.memory.extraction.base import Extractor, PlainStrategy
from app.memory.models import Candidate, ExtractionWindow

INSTRUCTIONS = (
    "Wanted: facts, preferences, plans, events and decisions about User, the people and things in User's life, and "
    "User's projects, that are worth knowing in a later conversation. One fact per memory."
)


class Discrete(PlainStrategy):
    """Facts, one by one."""

    name = "discrete"
    version = "discrete-1"

    def distil(self, window: ExtractionWindow, extractor: Extractor) -> list[Candidate]:
        """Everything that the backend finds."""
        return extractor.extract(window, INSTRUCTIONS)
