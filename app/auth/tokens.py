"""Tokens that the platform gives out itself: made, stored as hashes, found again in one step."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from app.auth.errors import TooManyRequests, Unauthorized
from app.auth.last_used import LastUsed
from app.memory.permissions import Access, Limits, Principal, Rate
from app.store.tokens import StoredToken, TokenRepository

# What secret scanners look for (docs/security.md has the pattern).
PREFIX = "amt_"
RANDOM_BYTES = 32
MIN_LENGTH = 32


def new_token() -> str:
    """A token: the prefix and 256 random bits in URL-safe base64."""
    return PREFIX + secrets.token_urlsafe(RANDOM_BYTES)


def token_hash(token: str) -> str:
    """Under what a token is stored. A plain SHA-256 is enough, because what it hides is random and long."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def describe(
    token: str, description: str, *, expires_days: float | None, access: Access, limits: Limits
) -> StoredToken:
    """What is stored of a token."""
    now = datetime.now(UTC)
    expires_at = now + timedelta(days=expires_days) if expires_days is not None else None
    return StoredToken(token_hash(token), description, now, expires_at, access, limits)


class TokenVerifier:
    """Knows the holders of tokens. Nothing is cached, so that a removed token is refused at once."""

    def __init__(
        self,
        tokens: TokenRepository,
        used: LastUsed,
        *,
        requests_per_minute: int,
        claim: Callable[[str, str], bool] = lambda _credential, _hash: False,
    ) -> None:
        """`claim` gets an unknown token and its hash while there are imported ones; True: look it up again."""
        self._tokens = tokens
        self._used = used
        self._claim = claim
        self._requests_per_minute = requests_per_minute

    def verify(self, credential: str) -> tuple[Principal, Rate | None]:
        """Who holds this token, and its rate. One round trip for known tokens. Raises Unauthorized, TooManyRequests."""
        hashed = token_hash(credential)
        known, rate, untried = self._tokens.check(hashed, requests_per_minute=self._requests_per_minute)
        if known is None and untried and self._claim(credential, hashed):
            known, rate, _ = self._tokens.check(hashed, requests_per_minute=self._requests_per_minute)
        if known is None:
            raise Unauthorized("Invalid token")
        now = datetime.now(UTC)
        if known.expires_at is not None and known.expires_at <= now:
            raise Unauthorized("Token has expired")
        if rate is not None and rate.exceeded:
            raise TooManyRequests(rate)
        self._used.note(hashed, now)
        return Principal(f"token {hashed[:12]}", known.access, known.limits), rate
