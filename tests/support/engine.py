"""The engine in the test's own process, on an embedded Redis: the pipeline's steps run when the test says so.

For what needs no worker, no broker and no HTTP: milliseconds instead of seconds, and a debugger works.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from app.config import Settings
from app.container import Container
from app.memory.identity import new_id
from app.memory.models import BatchRef, FoldRef, Memory, Message, Session, SessionRef, ViewRunRef, Work, utc_now
from app.memory.steps import STEPS
from app.memory.working import Window
from migrations import runner
from tasks.progress import Progress, run_of
from tests.support.redis_server import session_redis

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Engine:
    """A container, and the promotion chain as a loop."""

    def __init__(self, container: Container) -> None:
        self.container = container

    def put(self, session: Session) -> Session:
        """Store a session."""
        return self.container.working_memory.put(session, Window())[0]

    def promote(self, session: SessionRef) -> str:
        """Run one promotion of the session to its end; the run's id."""
        run_id = new_id()
        ref: BatchRef | None = self.container.promotion.extract(session, run_id)
        for name in STEPS["promotion"][1:]:
            if ref is None:
                break
            ref = getattr(self.container.promotion, name)(ref)
        return run_id

    def memories(self, session: SessionRef) -> Sequence[Memory]:
        """All memories of the session's scope, oldest first."""
        from app.memory.filters import MemoryFilter, TagFilter

        namespace, user = session.scope.namespace, session.scope.user_id
        scope = {"namespace": (TagFilter(eq=namespace),), "user_id": (TagFilter(eq=user),)}
        page, _ = self.container.records.list_page(MemoryFilter(scope, {}), offset=0, limit=500, oldest_first=True)
        return [m for m in self.container.records.read(page) if m is not None]


@contextmanager
def engine_on(redis_url: str, **settings: Any) -> Iterator[Engine]:
    """An engine with these settings on a Redis that has its indexes."""
    container = Container(Settings(**{"redis_url": redis_url, **settings}))
    runner.up(container.redis, container.settings, lambda _: None)
    yield Engine(container)


def promote_by_hand(engine: Container, session: SessionRef, *said: str) -> Callable[..., None]:
    """Put a session; what is returned runs steps of its promotion, by name, as `tasks.base.segment` does."""
    messages = tuple(Message(new_id(), "user", text, utc_now()) for text in said)
    Engine(engine).put(Session(session, messages))
    run_id = new_id()
    work: Work = session

    def run(*names: str) -> None:
        nonlocal work
        with Progress(engine.steps, run_of(work, run_id)) as progress:
            for name in names:
                progress.begin(name)
                work = getattr(engine.promotion, name)(work, *([run_id] if name == "extract" else []))

    return run


class NoBackground:
    """A `Background` that starts nothing."""

    def promote(self, session: SessionRef, run_id: str) -> None:
        """Leave it to the outbox."""

    def process(self, batch: BatchRef) -> None:
        """Leave it to the outbox."""

    def queue_depth(self) -> int:
        """Nothing waits."""
        return 0

    def fold(self, work: FoldRef) -> None:
        """Leave it to the outbox."""

    def run_view(self, work: ViewRunRef) -> None:
        """Leave it to the outbox."""


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
