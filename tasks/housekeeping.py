"""What beat runs."""

from __future__ import annotations

from app.container import container
from tasks.celery_app import app
from tasks.queues import Queue


@app.task(name="tasks.housekeeping.dispatch", queue=Queue.STORE.value, acks_late=False)
def dispatch() -> dict[str, int]:
    """Start what is due in the outbox. Lost ticks do not matter: the next one does the same."""
    return {"started": container().dispatcher.run()}


@app.task(name="tasks.housekeeping.deliver_events", queue=Queue.STORE.value, acks_late=False)
def deliver_events() -> dict[str, int]:
    """Send waiting events to the webhook."""
    return container().event_delivery.run()


@app.task(name="tasks.housekeeping.refresh_views", queue=Queue.STORE.value)
def refresh_views() -> None:
    """Start a run of every summary view that is `continuous`."""
    container().summary_views.refresh_continuous()
