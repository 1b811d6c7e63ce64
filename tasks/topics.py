"""Fitting topics in the background."""

from __future__ import annotations

from app.config import get_settings
from app.container import container
from app.memory.topics.values import Corpus
from tasks.celery_app import app
from tasks.queues import Queue

# The fit has its own time limit and its own process; the rest is short batches. A lost run is started again by `check`,
# so it is acknowledged when it begins: it may take longer than the broker waits for an acknowledgement.
_LIMIT_SECONDS = get_settings().topic_fit_timeout_seconds + 3600


@app.task(
    name="tasks.topics.refit",
    queue=Queue.ML.value,
    acks_late=False,
    soft_time_limit=_LIMIT_SECONDS,
    time_limit=_LIMIT_SECONDS + 30,
)
def refit(namespace: str | None, shared: bool, task_id: str, fit: bool) -> None:
    """Fit a corpus and give its memories their topics."""
    container().topic_refit.run(Corpus(namespace, shared), task_id, fit=fit)


@app.task(name="tasks.topics.check", queue=Queue.STORE.value, acks_late=False)
def check() -> None:
    """Start the refits that are due. Run by beat; a lost tick does not matter."""
    container().topic_refit.check()
