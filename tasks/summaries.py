"""Summary views in the background."""

from __future__ import annotations

from app.container import container
from tasks.celery_app import app
from tasks.queues import Queue


@app.task(name="tasks.summaries.run_view", queue=Queue.LLM.value)
def run_view(view_id: str, task_id: str | None) -> None:
    """Summarize all partitions of a view that changed; safe to run twice."""
    container().summary_views.run(view_id, task_id)
