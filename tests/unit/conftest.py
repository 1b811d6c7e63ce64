"""Fixtures of the unit tests: the spaCy model and what stands on it, loaded once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from app.memory.extraction.rules import RulesExtractor
from app.memory.models import Candidate, ExtractionWindow, Message, Scope, SessionRef

TUESDAY = datetime(2026, 3, 10, 12, tzinfo=UTC)


def a_window(
    *said: str | tuple[str, str] | Message,
    context: tuple[str | tuple[str, str] | Message, ...] = (),
    at: datetime = TUESDAY,
    timezone: str = "UTC",
) -> ExtractionWindow:
    """A window of messages a minute apart: plain strings are the user's, pairs are (role, content)."""

    def messages(parts: tuple[str | tuple[str, str] | Message, ...], prefix: str) -> tuple[Message, ...]:
        made = []
        for index, part in enumerate(parts):
            if isinstance(part, Message):
                made.append(part)
                continue
            role, content = ("user", part) if isinstance(part, str) else part
            made.append(Message(f"{prefix}{index}", role, content, at + timedelta(minutes=index)))
        return tuple(made)

    session = SessionRef(Scope("tests", "user"), "session")
    return ExtractionWindow(session, messages(said, "m"), messages(context, "c"), timezone=timezone)


@pytest.fixture(scope="session")
def extractor() -> RulesExtractor:
    """The rules backend, warm."""
    warm = RulesExtractor()
    warm.extract(a_window("I live in Oslo."))
    return warm


@pytest.fixture
def memories(extractor: RulesExtractor) -> Callable[..., list[Candidate]]:
    """Extract and ground a window given as its messages."""

    def distil(*said: str | tuple[str, str] | Message, **options: object) -> list[Candidate]:
        window = a_window(*said, **options)  # type: ignore[arg-type]
        return extractor.ground(window, extractor.extract(window))

    return distil


@pytest.fixture
def texts(memories: Callable[..., list[Candidate]]) -> Callable[..., list[str]]:
    """The same, as texts only."""

    def distil(*said: str | tuple[str, str] | Message, **options: object) -> list[str]:
        return [memory.text for memory in memories(*said, **options)]

    return distil
