"""The issuer's public keys: fetched when needed, kept for an hour, fetched again for a key that is new."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import jwt
import structlog

from app.auth.errors import Unauthorized
from app.memory.errors import BackendUnavailable

log = structlog.get_logger(__name__)
MAX_AGE_SECONDS = 3600.0
# Between two fetches, whatever is asked: made-up key ids must not turn into requests to the issuer.
MIN_INTERVAL_SECONDS = 30.0
TIMEOUT_SECONDS = 5.0
MAX_BYTES = 1_000_000


class Jwks:
    """A cached JSON Web Key Set."""

    def __init__(
        self,
        url: str,
        *,
        min_interval_seconds: float = MIN_INTERVAL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._min_interval = min_interval_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None

    def key(self, kid: str) -> jwt.PyJWK:
        """The key with this id. Raises Unauthorized when the issuer has none, BackendUnavailable when it is away."""
        known = self._keys.get(kid)
        if known is not None and self._fresh():
            return known
        with self._lock:  # of many requests that miss, one fetches
            known = self._keys.get(kid)
            if (known is None or not self._fresh()) and self._may_fetch():
                self._fetch()
            known = self._keys.get(kid)
            if known is None and self._fetched_at is None:
                raise BackendUnavailable("the identity provider's keys cannot be fetched")
        if known is None:
            raise Unauthorized("Invalid token: unknown signing key")
        return known

    def _fresh(self) -> bool:
        return self._fetched_at is not None and self._clock() - self._fetched_at < MAX_AGE_SECONDS

    def _may_fetch(self) -> bool:
        return self._tried_at is None or self._clock() - self._tried_at >= self._min_interval

    def _fetch(self) -> None:
        """Replace the keys; if the issuer is away, those already known stay."""
        self._tried_at = self._clock()
        try:
            keys = _read(self._url)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("JWKS not fetched", url=self._url, error=f"{type(error).__name__}: {error}")
            if not self._keys:
                raise BackendUnavailable("the identity provider's keys cannot be fetched") from error
            return
        self._keys, self._fetched_at = keys, self._clock()


def _read(url: str) -> dict[str, jwt.PyJWK]:
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 (the operator's own setting)
        document: dict[str, Any] = json.loads(answer.read(MAX_BYTES))
    keys = {}
    for entry in document["keys"]:
        if entry.get("kid") and entry.get("use", "sig") == "sig":
            try:
                keys[str(entry["kid"])] = jwt.PyJWK(entry)
            except jwt.PyJWTError as error:  # of a kind that we cannot use; the others may do
                log.info("key of the JWKS skipped", kid=entry["kid"], error=str(error))
    return keys
