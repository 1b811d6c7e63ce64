"""What runs by the clock: the one list from which beat's schedule, `/v1/jobs` and `agent-memory jobs` are made."""

from __future__ import annotations

from typing import Any

from app.config import Settings
from app.memory.background import Schedule
from tasks.queues import Queue

# Where beat cannot see that a tick waits already (`tasks.beat`), ticks that could not run in time are dropped.
# Elsewhere they are not: a worker whose clock is ahead of beat's would drop all of them.
_MIN_EXPIRY_SECONDS = 5.0
_MISSED_TICKS = 5


def schedules(settings: Settings) -> tuple[Schedule, ...]:
    """All jobs, also those that are switched off."""
    return (
        Schedule(
            name="dispatch",
            task="tasks.housekeeping.dispatch",
            every_seconds=settings.dispatch_interval_seconds,
            enabled=True,
            switch="DISPATCH_INTERVAL_SECONDS",
            purpose="Starts what is due in the outbox, and again what was lost",
        ),
        Schedule(
            name="compact_tenants",
            task="tasks.maintenance.compact_tenants",
            every_seconds=settings.compaction_every_minutes * 60,
            enabled=settings.compaction_every_minutes > 0,
            switch="COMPACTION_EVERY_MINUTES",
            purpose="Starts the compaction of tenants that have something to look at",
        ),
        Schedule(
            name="forget_tenants",
            task="tasks.maintenance.forget_tenants",
            every_seconds=settings.forgetting_every_minutes * 60,
            enabled=settings.forgetting_enabled,
            switch="FORGETTING_ENABLED",
            purpose="Applies the forgetting policy to each tenant's oldest memories",
        ),
        Schedule(
            name="webhook",
            task="tasks.housekeeping.deliver_events",
            every_seconds=settings.webhook_interval_seconds,
            enabled=bool(settings.webhook_url),
            switch="WEBHOOK_URL",
            purpose="Sends waiting events to the webhook",
        ),
        Schedule(
            name="embedding-gaps",
            task="tasks.maintenance.close_embedding_gaps",
            every_seconds=settings.embedding_gaps_seconds,
            enabled=True,
            switch="EMBEDDING_GAPS_SECONDS",
            purpose="While the embedding model is being changed, adds vectors that were left out",
        ),
        Schedule(
            name="refresh-views",
            task="tasks.housekeeping.refresh_views",
            every_seconds=settings.summary_view_refresh_every_minutes * 60.0,
            enabled=True,
            switch="SUMMARY_VIEW_REFRESH_EVERY_MINUTES",
            purpose="Starts a run of every summary view that is continuous",
        ),
        Schedule(
            name="topics",
            task="tasks.topics.check",
            every_seconds=settings.topic_check_seconds,
            enabled=settings.topic_check_seconds > 0 and settings.topic_model_source == "bertopic",
            switch="TOPIC_CHECK_SECONDS",
            purpose="Starts the refits of topics that are due",
        ),
    )


def beat_schedule(settings: Settings) -> dict[str, Any]:
    """Beat's entries, for the jobs that are switched on."""
    broker = settings.celery_broker_url or "redis:"
    visible = broker.startswith(("redis", "sentinel"))
    return {
        job.name: {
            "task": job.task,
            "schedule": job.every_seconds,
            "options": {"queue": Queue.STORE.value, **({} if visible else {"expires": _expiry(job)})},
        }
        for job in schedules(settings)
        if job.enabled
    }


def _expiry(job: Schedule) -> float:
    return max(_MIN_EXPIRY_SECONDS, job.every_seconds * (_MISSED_TICKS if job.every_seconds < 60 else 1))
