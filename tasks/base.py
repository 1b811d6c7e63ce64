"""What every step has in common: retries, the final-failure record, ending a chain early."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog
from celery.exceptions import SoftTimeLimitExceeded

from app.container import Container, container
from app.memory.errors import BackendUnavailable
from app.memory.models import BatchRef, FoldRef, Scope, SessionRef, ViewRunRef, Work
from app.thread_turns import Turns
from tasks.celery_app import app
from tasks.observing import ObservedTask, observed
from tasks.progress import Progress, run_of
from tasks.queues import Queue

log = structlog.get_logger(__name__)
TRANSIENT = (BackendUnavailable, ConnectionError, TimeoutError, SoftTimeLimitExceeded)
MAX_RETRIES = 4
MAX_BACKOFF_SECONDS = 30.0
# After its own retries a piece of work rests this long, times its tries, before the outbox starts it again.
REST_SECONDS = 15.0
# Header of a chain's first task.
BEGINS = "begins"

# Where tasks run in threads most wait for a language model; those that have their answer go on in this number.
_turns = Turns(2)

Reference = list[Any]


def pack(ref: Work) -> Reference:
    """A reference as it travels in a task message: names only, never texts."""
    match ref:
        case BatchRef():
            return ["batch", ref.namespace, ref.batch_id]
        case FoldRef():
            return ["fold", *pack(ref.session)[1:]]
        case ViewRunRef():
            return ["view", ref.view_id, ref.task_id]
        case SessionRef():
            return ["session", ref.scope.namespace, ref.scope.user_id, ref.session_id]


def unpack(reference: Reference) -> Work:
    """The inverse of `pack`."""
    kind, *names = reference
    if kind == "batch":
        return BatchRef(*names)
    if kind == "view":
        return ViewRunRef(*names)
    session = SessionRef(Scope(names[0], names[1]), names[2])
    return FoldRef(session) if kind == "fold" else session


class StepTask(ObservedTask):
    """Base of all pipeline steps."""

    abstract = True
    max_retries = MAX_RETRIES

    @property
    def engine(self) -> Container:
        """The process's container."""
        return container()

    def on_failure(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """The step failed for good: leave the work to the outbox, or give it up visibly after its tries."""
        ref = unpack(args[0])
        failed = getattr(exc, "__notes__", args[1])[0]
        log.error("step failed", step=failed, task=task_id, reference=args[0], error=f"{type(exc).__name__}: {exc}")
        engine = self.engine
        source: Work = ref
        batch = engine.batches.load(ref) if isinstance(ref, BatchRef) else None
        if batch is not None and batch.session is not None:
            source = batch.session
        if isinstance(source, SessionRef):
            run_id = batch.ref.batch_id.partition("-")[2] if batch else str(args[2])
            engine.sessions.release_lease(source, run_id)
        tries = engine.outbox.tries(source)
        transient = isinstance(exc, TRANSIENT)
        reason = f"{failed}: {type(exc).__name__}: {exc}"
        final = tries >= engine.settings.task_max_attempts and not transient
        _note_failure(engine, ref, reason, final=final)
        if final:
            engine.outbox.give_up(source, reason)
        else:
            # An endpoint that is away for long is no reason to give up: such tries do not count to the last.
            tries = engine.outbox.forgive(source, engine.settings.task_max_attempts - 1) if transient else tries
            engine.outbox.retry_at(source, time.time() + REST_SECONDS * max(1, tries) * random.uniform(0.8, 1.2))


def _show(engine: Container, reference: Reference, error: BaseException) -> None:
    """Let the work's task record say why it is tried again; no trouble of its own may stop that."""
    with suppress(BackendUnavailable):
        _note_failure(engine, unpack(reference), f"{type(error).__name__}: {error}")


def _note_failure(engine: Container, work: Work, error: str, *, final: bool = False) -> None:
    """Tell whoever keeps the work's task record; folding has none."""
    match work:
        case ViewRunRef():
            engine.summary_views.note_failure(work, error, final=final)
        case SessionRef() | BatchRef():
            engine.promotion.note_failure(work, error, final=final)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the pipeline: a function of (engine, reference) that returns the next reference, or None to end."""

    name: str
    queue: Queue
    function: Callable[..., Work | None]


_steps: dict[str, Step] = {}


def step(queue: Queue) -> Callable[[Callable[..., Work | None]], Step]:
    """Make a function a step that runs in this queue."""

    def decorate(function: Callable[..., Work | None]) -> Step:
        made = Step(function.__name__, queue, function)
        _steps[made.name] = made
        return made

    return decorate


def step_named(name: str) -> Step:
    """A step by its name."""
    return _steps[name]


@app.task(bind=True, base=StepTask, name="tasks.steps.segment")
def segment(self: StepTask, reference: Reference, names: list[str], run_id: str | None = None) -> Reference:
    """Run neighbouring steps one after the other; a retry begins at the one that failed.

    `run_id` goes to the first step of a promotion, which opens the batch under it.
    """
    extra = () if run_id is None else (run_id,)
    whole = (reference, names, *extra)
    begins = (self.request.headers or {}).get(BEGINS) and not self.request.retries
    batches = self.engine.batches
    with _turns, batches.held(), Progress(self.engine.steps, run_of(unpack(reference), run_id)) as progress:
        for done, name in enumerate(names):
            progress.begin(name)
            try:
                with observed(name):
                    if begins and not done:
                        self.engine.outbox.begin(
                            unpack(reference), time.time() + self.engine.settings.promotion_lease_seconds
                        )
                    result = _steps[name].function(self.engine, unpack(reference), *extra)
                if name == names[-1]:
                    batches.store_noted()
            except Exception as error:
                error.add_note(name)  # so that the failure's record says which of the steps it was
                if not isinstance(error, TRANSIENT) or self.request.retries >= MAX_RETRIES:
                    raise
                _show(self.engine, reference, error)
                try:
                    batches.store_noted()
                    rest = (reference, names[done:], *extra)
                except BackendUnavailable:  # what the steps before this one did is lost
                    rest = whole
                pause = min(MAX_BACKOFF_SECONDS, 0.5 * 2.0**self.request.retries) * random.uniform(0.5, 1.5)
                raise self.retry(args=rest, exc=error, countdown=pause) from error
            if result is None:
                # The rest of the chain has nothing to do. Celery's Ignore would say so too, and keep every frame.
                self.request.chain = None
                return reference
            reference, extra = pack(result), ()
    return reference
