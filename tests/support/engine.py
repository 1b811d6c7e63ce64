"""The engine in the test's own process, on an embedded Redis: for what HTTP cannot show."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from app.config import Settings
from app.container import Container
from app.memory.models import BatchRef, Memory, SessionRef
from migrations import runner
from tests.support.redis_server import session_redis

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


class NoBackground:
    """A `Background` that starts nothing."""

    def promote(self, session: SessionRef, run_id: str) -> None:
        """Leave it to the outbox."""

    def process(self, batch: BatchRef) -> None:
        """Leave it to the outbox."""

    def queue_depth(self) -> int:
        """Nothing waits."""
        return 0

    def run_view(self, view_id: str, task_id: str | None) -> None:
        """Leave it."""


def engine_at(url: str, **settings: Any) -> Container:
    """An engine without background work; engines of one store may run side by side."""
    container = Container(Settings(redis_url=url, enable_ner=False, enable_topic_extraction=False, **settings))
    container.__dict__["background"] = NoBackground()
    return container


@contextmanager
def running_engine() -> Iterator[Container]:
    """An engine on a fresh store."""
    with session_redis() as url:
        engine = engine_at(url)
        runner.up(engine.redis, engine.settings, lambda _line: None)
        yield engine


def fact(memory_id: str, text: str, *, day: float = 0.0, **more: Any) -> Memory:
    """A memory said so many days after the start."""
    at = START + timedelta(days=day)
    return Memory(
        **{
            "id": memory_id,
            "text": text,
            "namespace": "ns",
            "user_id": "u",
            "created_at": at,
            "last_accessed": at,
            **more,
        }
    )
