"""How the engine counts, and how processes of one role share their counts, without loading Prometheus before its time.

A web master or a worker's main process calls `share_between_processes` before anything imports `prometheus_client`:
its children then write to files in a directory of theirs, and `app.metrics.exposition` sums over them.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

_PREFIX = "agent-memory-metrics-"
VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def share_between_processes() -> Path:
    """Make the directory that our future children share; those of dead processes are removed."""
    for old in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        pid = old.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(old, ignore_errors=True)
    directory = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    os.environ[VARIABLE] = str(directory)
    if loaded := sys.modules.get("prometheus_client.values"):
        # Celery's command line loads Flower, and with it Prometheus, before it loads us.
        loaded.ValueClass = loaded.get_value_class()  # type: ignore[attr-defined]
    return directory


def count(metric: str, amount: float = 1, **labels: str) -> None:
    """Add to a counter of `app.metrics`, by its name there."""
    from app import metrics  # late: a command that counts nothing does not load Prometheus

    getattr(metrics, metric).labels(**labels).inc(amount)
