"""The Celery application and its settings. Every one is here for a reason that the comment gives."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import (
    celeryd_after_setup,
    celeryd_init,
    heartbeat_sent,
    setup_logging,
    worker_init,
    worker_process_init,
    worker_ready,
    worker_shutdown,
)
from kombu import Queue as KombuQueue

from app import container as composition
from app.config import Settings, get_settings
from app.counting import share_between_processes
from app.following import follow
from app.garbage import settle
from app.logs import configure_logging
from app.memory.errors import BackendUnavailable
from tasks import broker
from tasks.queues import Queue
from tasks.schedule import beat_schedule, schedules


def configure(application: Celery, settings: Settings) -> None:
    """Apply the settings; times in seconds."""
    visibility = settings.broker_visibility_timeout_seconds
    transport: dict[str, Any] = {
        # A task that is not acknowledged is delivered again after this; tasks must be shorter (the hard limit is),
        # or they run twice. Celery reads it in three places and uses the shortest.
        "visibility_timeout": visibility,
        # Without these two, kombu looks for lost deliveries only every 100 s.
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        "socket_keepalive": True,
        "health_check_interval": 30,
        # A broker that hangs is one that is away. Longer than the second for which kombu waits for a task at a time.
        "socket_timeout": max(2.0, settings.redis_timeout_seconds),
        "socket_connect_timeout": max(2.0, settings.redis_timeout_seconds),
    }
    if settings.redis_sentinel_service and not settings.celery_broker_url:
        transport["master_name"] = settings.redis_sentinel_service
    application.conf.update(
        broker_url=settings.broker_url,
        result_backend=settings.result_backend_url,
        broker_transport_options=transport,
        result_backend_transport_options={
            "visibility_timeout": visibility,
            "master_name": settings.redis_sentinel_service or "",
        },
        visibility_timeout=visibility,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # A Redis that refuses writes (disk full, memory full, just demoted) is one that will take them again.
        broker_channel_error_retry=True,
        # Publishing must fail fast when the broker is away: the outbox has the work already.
        broker_connection_timeout=2,
        task_publish_retry=True,
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0.05, "interval_max": 0.1},
        # Steps are idempotent, so they are acknowledged after they ran; a killed child's task comes back.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_acks_on_failure_or_timeout=True,
        worker_prefetch_multiplier=1,
        task_time_limit=settings.task_time_limit_seconds,
        task_soft_time_limit=0.9 * settings.task_time_limit_seconds,
        # A child loads its models before it reports for duty; the default of 4 s would kill it meanwhile.
        worker_proc_alive_timeout=120,
        # Steps pass references; what users see of them is in our own task records.
        task_ignore_result=True,
        result_expires=3600,
        task_default_queue=Queue.STORE.value,
        task_queues=[KombuQueue(q.value) for q in Queue],
        worker_send_task_events=True,
        worker_soft_shutdown_timeout=10.0,
        worker_enable_soft_shutdown_on_idle=True,
        # A broker that was away for a moment is no reason to kill the children: what they do is idempotent, and their
        # time limit ends before the broker delivers it again. Without it, recovery took as long as loading the models.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        # A child has about 800 MB when it has used all its models; leaks elsewhere must not take the machine.
        worker_max_tasks_per_child=10_000,
        worker_max_memory_per_child=settings.worker_max_memory_mb * 1024 or None,
        task_serializer="json",
        accept_content=["json"],
        timezone="UTC",
        beat_scheduler="tasks.beat:Scheduler",
        beat_schedule=beat_schedule(settings),
        beat_max_loop_interval=max(0.2, min(5.0, settings.dispatch_interval_seconds)),
    )


broker.use()
app = Celery(
    "tasks",
    task_cls="tasks.observing:ObservedTask",
    include=[
        "tasks.base", "tasks.steps", "tasks.housekeeping", "tasks.topics", "tasks.maintenance", "tasks.watchdog",
    ],
)  # fmt: skip
configure(app, get_settings())


@setup_logging.connect
def _logging(**_: Any) -> None:
    """Our own logging instead of Celery's."""
    configure_logging(get_settings())


@app.on_after_finalize.connect
def _name_jobs(sender: Celery, **_: Any) -> None:
    """Tell the tasks that beat starts which job they are."""
    for job in schedules(get_settings()):
        if job.task in sender.tasks:
            sender.tasks[job.task].job = job.name


@worker_init.connect
def _publish_patiently(**_: Any) -> None:
    """Unlike a request, a task can wait for the broker: else its next step would wait for the lease, for minutes."""
    app.conf.task_publish_retry_policy = {
        "max_retries": 20,
        "interval_start": 0.1,
        "interval_step": 0.2,
        "interval_max": 2.0,
    }


_metrics: list[Path] = []


@celeryd_init.connect
def _share_metrics(**_: Any) -> None:
    """Before the children are forked: they write their counts there, and the main process answers for all."""
    _metrics.append(share_between_processes())


@worker_ready.connect
def _settle(**_: Any) -> None:
    """Where tasks run in threads, this process is the one that does the work."""
    settle()


@worker_ready.connect
def _serve_metrics(**_: Any) -> None:
    """Answer `/metrics` if the settings want it."""
    settings = get_settings()
    if settings.worker_metrics_port:
        from app import metrics

        metrics.serve(settings.host, settings.worker_metrics_port)


@worker_shutdown.connect
def _forget_metrics(**_: Any) -> None:
    """Leave no files behind."""
    for directory in _metrics:
        shutil.rmtree(directory, ignore_errors=True)


_consumed: set[str] = set()


@celeryd_after_setup.connect
def _note_queues(instance: Any, **_: Any) -> None:
    """Remember which queues this worker serves, for its children."""
    _consumed.update(instance.app.amqp.queues.consume_from)


@worker_process_init.connect
def _fresh_child(**_: Any) -> None:
    """Connections are not shared across the fork, and models load in the child, before its first task."""
    composition.reset()
    if Queue.ML.value in _consumed:
        composition.container().warm_pipeline()
    follow()
    settle()


@heartbeat_sent.connect
def _note_alive(**_: Any) -> None:
    """Let `/readyz` see this worker; it runs in the worker's main process every two seconds."""
    # The worker's event loop must not stop because Redis is away for a moment.
    with suppress(BackendUnavailable):
        composition.container().presence.note_worker()
