"""Readiness: what answers, what waits, which models are in use."""

from __future__ import annotations

import time
from typing import Any, Protocol

from app.config import Settings
from app.memory.background import Background
from app.memory.errors import MemoryPlatformError
from app.store.outbox import Outbox
from app.store.presence import Presence


class Parts(Protocol):
    """What the report looks at (the container has it)."""

    settings: Settings
    outbox: Outbox
    background: Background
    presence: Presence

    def store_ready(self) -> None:
        """Raise BackendUnavailable unless Redis answers and both indexes exist."""
        ...


def readiness(parts: Parts) -> dict[str, Any]:
    """A report with `ready`, one entry per dependency, the outbox and the models."""
    depths: list[int] = []
    checks = {
        "store": _check(parts.store_ready),
        "broker": _check(lambda: depths.append(parts.background.queue_depth())),
        "workers": _check(parts.presence.require_worker),
    }
    settings = parts.settings
    report: dict[str, Any] = {
        "ready": all(state == "ok" for state in checks.values()),
        "checks": checks,
        "models": {
            "embeddings": f"{settings.embedding_backend}:{settings.embedding_model}",
            "extraction": settings.resolved_extraction_backend,
            "generation": settings.generation_model if settings.llm_configured else None,
            "entities": settings.ner_model if settings.enable_ner else None,
            "topics": settings.topic_model_source if settings.enable_topic_extraction else None,
        },
    }
    if depths:
        report["queue_depth"] = depths[0]
    if checks["store"] == "ok":
        stats = parts.outbox.stats(parts.outbox.namespaces(), time.time())
        report["outbox"] = {
            "due": stats.due,
            "total": stats.total,
            "dead": stats.dead,
            "oldest_due_seconds": round(stats.oldest_due_seconds, 1),
        }
    return report


def _check(probe: Any) -> str:
    try:
        probe()
    except MemoryPlatformError as error:
        return str(error)
    except Exception as error:  # a probe reports, whatever went wrong
        return f"{type(error).__name__}: {error}"
    return "ok"
