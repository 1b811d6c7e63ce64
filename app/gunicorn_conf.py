"""gunicorn's settings, from ours: `gunicorn -c python:app.gunicorn_conf app.wsgi:application`.

Few processes with many threads: requests wait on Redis, and every process has its own copy of the embedding model.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
from typing import Any

from gunicorn import util

from app import counting, tracing
from app.config import get_settings

_settings = get_settings()
# Before the children import Prometheus: they write their counts there, and any of them can answer for all.
_metrics = counting.share_between_processes()

bind = f"{_settings.host}:{_settings.port}"
worker_class = "app.gunicorn_worker.Worker"
workers = _settings.web_workers
threads = _settings.web_threads
# Loaded in the child: models and connections must not cross a fork.
preload_app = False
timeout = 60
graceful_timeout = 30
# Longer than load balancers keep idle connections (60 s is usual), so that they, not we, close them.
keepalive = 75
# Threads would lose their connections to a recycled worker; leaks are to be found, not hidden.
max_requests = 0
# A delete names its ids in the query: up to a megabyte of them (the default is 4 kB).
limit_request_line = 0
# On a disk, the heartbeat file can block a worker for seconds.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108
accesslog = None
errorlog = "-"
loglevel = _settings.log_level.lower()
# Its control socket has a fixed path per user: two stacks side by side would fight over it.
control_socket_disable = True


def post_worker_init(worker: Any) -> None:
    """Load what the first requests need, in the child and before it takes any."""
    from app.container import container
    from app.following import follow
    from app.garbage import settle

    tracing.start("web")
    container().warm_queries()
    follow()
    settle()


def child_exit(server: Any, worker: Any) -> None:
    """Forget the gauges of a child that is gone; its counts stay."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)


def on_exit(server: Any) -> None:
    """Leave no files behind."""
    shutil.rmtree(_metrics, ignore_errors=True)


def answer_in_json(client: socket.socket, status: int, reason: str, message: str) -> None:
    """Answer what is no proper HTTP request as all other errors are answered: JSON with a `detail`, not HTML."""
    body = json.dumps({"detail": message or reason}).encode()
    head = (
        f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    util.write_nonblock(client, head.encode("latin-1") + body)


util.write_error = answer_in_json
