"""Sends events to the operator's endpoint, signed so that it can tell ours from anybody's."""

from __future__ import annotations

import hashlib
import hmac
import time

import httpx2
import structlog

log = structlog.get_logger(__name__)
SIGNATURE = "X-Agent-Memory-Signature"
TIMESTAMP = "X-Agent-Memory-Timestamp"


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """`v1=` and the hex HMAC-SHA256 of timestamp, dot, body: the receiver computes the same and refuses old times."""
    return "v1=" + hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


class Webhook:
    """One endpoint."""

    def __init__(self, url: str, secret: str, *, timeout_seconds: float) -> None:
        self._url = url
        self._secret = secret
        self._http = httpx2.Client(timeout=timeout_seconds, follow_redirects=False)

    def send(self, body: bytes) -> bool:
        """Whether the endpoint took it (any 2xx)."""
        timestamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            TIMESTAMP: timestamp,
            SIGNATURE: signature(self._secret, timestamp, body),
        }
        try:
            answer = self._http.post(self._url, content=body, headers=headers)
        except httpx2.HTTPError as error:
            log.warning("webhook not reached", error=f"{type(error).__name__}: {error}")
            return False
        if not answer.is_success:
            log.warning("webhook refused", status=answer.status_code)
        return answer.is_success
