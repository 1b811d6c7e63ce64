"""Only what people like, want, avoid and are used to."""

from __future__ import annotations

import re

from app.memory.extraction.base import Extractor, PlainStrategy
from app.memory.models import Candidate, ExtractionWindow

INSTRUCTIONS = (
    "Wanted: only preferences of the people who speak: what they like, dislike, prefer, avoid, always or never want, "
    "their habits, tastes, dietary needs, settings and ways of working. No other facts, events or plans. One "
    "preference per memory."
)
_PREFERENCE = re.compile(
    r"\b(?:prefer|like|love|adore|enjoy|hate|dislike|loathe|detest|favou?r|avoid|despise|fancy)(?:s|d|ed|r?ing)?\b|"
    r"\b(?:favou?rite|fond of|fan of|allergic|intolerant|vegan|vegetarian|pescatarian|keen on|into|sick of|tired of|"
    r"addicted to|partial to|picky|can't stand|cannot stand|don't mind|rather|would like|always|never|usually|"
    r"typically|tend(?:s)? to|instead of|no interest in|interested in|comfortable with|"
    r"used to (?:having|being|\w+ing))\b|"
    r"\b(?:don't|doesn't|do not|does not) (?:eat|drink|use|wear|want|watch|read|like|work|do|take|smoke)\b",
    re.IGNORECASE,
)


class Preferences(PlainStrategy):
    """Likes, dislikes and habits."""

    name = "preferences"
    version = "preferences-1"

    def distil(self, window: ExtractionWindow, extractor: Extractor) -> list[Candidate]:
        """A model is told what is wanted; from what rules find, the statements of preference are chosen."""
        found = extractor.extract(window, INSTRUCTIONS)
        return found if extractor.backend == "llm" else [c for c in found if _PREFERENCE.search(c.text)]
