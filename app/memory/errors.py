"""Errors of the engine. Each door maps them in one table (HTTP: `app/api/errors.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class MemoryPlatformError(Exception):
    """Base of all errors that the engine raises on purpose; `str()` of it may be shown to a client."""


class NotFound(MemoryPlatformError):
    """The session, memory, view or task does not exist in the scope."""


class Conflict(MemoryPlatformError):
    """The request is ambiguous or lost a race (for instance one id in several tenants)."""


class PreconditionFailed(MemoryPlatformError):
    """The caller's `If-Match` does not name the current version."""


class InvalidRequest(MemoryPlatformError):
    """The request is well-formed but not allowed (HTTP 400)."""


class ValidationFailed(MemoryPlatformError):
    """One or more fields are wrong (HTTP 422).

    `problems` holds one mapping per problem: `loc` (path from the body, query or path), `msg`, `type`, `input`.
    """

    def __init__(self, problems: Sequence[dict[str, Any]]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(str(p.get("msg", "")) for p in self.problems))


class ScopeForbidden(MemoryPlatformError):
    """The caller may not act in this scope."""


class BackendUnavailable(MemoryPlatformError):
    """A dependency (Redis, the broker, a model endpoint) did not answer; trying again later may help."""


class ModelFailure(MemoryPlatformError):
    """A model answered, but not with anything usable, also after its retries."""
