"""What all tasks have in common: they act for a request, are counted and timed, and jobs leave a note of each run."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import structlog
from celery import Task
from celery.exceptions import Retry
from celery.signals import before_task_publish, task_postrun, task_prerun

from app import correlation, tracing
from app.container import container
from app.memory.errors import BackendUnavailable

SENT_AT = "sent_at"
_scopes = threading.local()


@before_task_publish.connect
def _stamp(headers: dict[str, Any], **_: Any) -> None:
    """A message says for which request it is, and when it was sent."""
    headers.update(correlation.carried())
    headers[SENT_AT] = time.time()


@task_prerun.connect
def _begin(task: Task, task_id: str, **_: Any) -> None:
    """Act for the request that the message names, until `_end`: that is after a chain's next task was sent."""
    tracing.ensure("worker")
    structlog.contextvars.clear_contextvars()
    scopes = ExitStack()
    scopes.enter_context(correlation.resumed(task.request.headers))
    scopes.enter_context(structlog.contextvars.bound_contextvars(task=task_id))
    scopes.enter_context(tracing.span(task.request.shadow or task.name, task=task_id))
    _scopes.open = scopes


@task_postrun.connect
def _end(**_: Any) -> None:
    """The task is over."""
    scopes: ExitStack | None = vars(_scopes).pop("open", None)
    if scopes is not None:
        scopes.close()


@contextmanager
def observed(step: str) -> Iterator[None]:
    """One step of the pipeline: named in its log lines, timed, its failures counted."""
    from app import metrics

    with (
        structlog.contextvars.bound_contextvars(step=step),
        tracing.span(step),
        metrics.STEP_SECONDS.labels(step).time(),
    ):
        try:
            yield
        except Exception as error:
            metrics.STEP_FAILURES.labels(step, type(error).__name__).inc()
            raise


class ObservedTask(Task):  # type: ignore[misc]
    """Base of all tasks."""

    abstract = True
    # The name of the job whose beat entry starts this task; None for all other tasks.
    job: str | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task's function."""
        from app import metrics  # in the child: see counting.share_between_processes

        headers = self.request.headers or {}
        if SENT_AT in headers and not self.request.eta:
            queue = (self.request.delivery_info or {}).get("routing_key", "")
            metrics.QUEUE_WAIT_SECONDS.labels(queue).observe(max(0.0, time.time() - headers[SENT_AT]))
        outcome, started = "failed", time.perf_counter()
        try:
            result = self._as_job(*args, **kwargs) if self.job else super().__call__(*args, **kwargs)
            outcome = "done"
            return result
        except Retry:
            outcome = "retried"
            raise
        finally:
            metrics.TASKS.labels(self.name, outcome).inc()
            metrics.TASK_SECONDS.labels(self.name).observe(time.perf_counter() - started)

    def _as_job(self, *args: Any, **kwargs: Any) -> Any:
        assert self.job is not None
        jobs = container().jobs
        if jobs.paused(self.job):
            return None
        started = time.time()
        try:
            effect = super().__call__(*args, **kwargs)
        except Exception as error:
            with suppress(BackendUnavailable):
                jobs.note(self.job, started, time.time() - started, error=f"{type(error).__name__}: {error}")
            raise
        jobs.note(self.job, started, time.time() - started, effect=effect)
        return effect
