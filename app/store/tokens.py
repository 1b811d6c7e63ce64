"""Tokens in Redis, by the SHA-256 of what the holder has; and what callers have used of their rate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from app.memory.permissions import Access, Limits, Rate
from app.store import codec
from app.store.client import RedisClient, store_errors
from app.store.scripts import script

_ALL = "tokens"
_LAST_USED = "tokens-used"
# An expired token is told from an unknown one for so long.
REMEMBER_EXPIRED = timedelta(days=30)
PAGE = 1_000


@dataclass(frozen=True, slots=True)
class StoredToken:
    """What is known of one token; the token itself is not. `hash` is its SHA-256 in hex."""

    hash: str
    description: str
    created_at: datetime
    expires_at: datetime | None = None
    access: Access = Access.ADMIN
    limits: Limits = field(default_factory=Limits)


def _key(token_hash: str) -> str:
    return f"token:{token_hash}"


@store_errors
class TokenRepository:
    """Reads and writes tokens."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._check = script(client, "credential_check")

    def check(self, token_hash: str, *, requests_per_minute: int) -> tuple[StoredToken | None, Rate | None]:
        """The token with this hash, if there is one, and its holder's rate with this request counted. One round trip.

        How long it takes depends on nothing secret: what is compared is the hash of 256 random bits.
        """
        return self._answer(_key(token_hash), f"rate:t:{token_hash}", token_hash, requests_per_minute)

    def count(self, caller: str, *, requests_per_minute: int) -> Rate | None:
        """The rate of a caller who is known by other means, with this request counted. One round trip, if limited."""
        if requests_per_minute == 0:
            return None
        return self._answer("", f"rate:c:{caller}", "", requests_per_minute)[1]

    def _answer(
        self, token_key: str, rate_key: str, token_hash: str, per_minute: int
    ) -> tuple[StoredToken | None, Rate | None]:
        raw, allowed, remaining, milliseconds = self._check(
            keys=[token_key, rate_key], args=[per_minute, "" if token_key else "1"]
        )
        rate = Rate(per_minute, remaining, milliseconds / 1000, exceeded=not allowed) if per_minute else None
        return (_token(token_hash, raw) if raw else None), rate

    def save(self, token: StoredToken) -> None:
        """Store a token."""
        stored = {
            "description": token.description,
            "created_at": token.created_at,
            "expires_at": token.expires_at,
            "access": int(token.access),
            "limits": token.limits.as_json(),
        }
        with self._client.pipeline(transaction=True) as pipeline:
            forget_at = token.expires_at + REMEMBER_EXPIRED if token.expires_at else None
            pipeline.set(_key(token.hash), codec.dumps(stored), exat=forget_at)
            pipeline.sadd(_ALL, token.hash)
            pipeline.execute()

    def all(self) -> Iterator[StoredToken]:
        """All tokens, in no particular order; those long expired are dropped from the list."""
        hashes = [raw.decode() for raw in self._client.smembers(_ALL)]
        for start in range(0, len(hashes), PAGE):
            page = hashes[start : start + PAGE]
            stored = self._client.mget([_key(token_hash) for token_hash in page])
            if gone := [token_hash for token_hash, raw in zip(page, stored, strict=True) if raw is None]:
                self._client.srem(_ALL, *gone)
                self._client.hdel(_LAST_USED, *gone)
            yield from (_token(token_hash, raw) for token_hash, raw in zip(page, stored, strict=True) if raw)

    def find(self, beginning: str) -> list[StoredToken]:
        """The tokens whose hash begins so."""
        return [token for token in self.all() if token.hash.startswith(beginning)]

    def delete(self, token_hash: str) -> bool:
        """Delete a token; from then on it opens nothing. Whether it was there."""
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.delete(_key(token_hash))
            pipeline.srem(_ALL, token_hash)
            pipeline.hdel(_LAST_USED, token_hash)
            return bool(pipeline.execute()[0])

    def note_used(self, uses: Mapping[str, datetime]) -> None:
        """Remember when tokens were last used. One round trip."""
        self._client.hset(_LAST_USED, mapping={token_hash: at.isoformat() for token_hash, at in uses.items()})

    def last_used(self, token_hashes: Sequence[str]) -> list[datetime | None]:
        """When tokens were last used, within half a minute; None: not yet."""
        if not token_hashes:
            return []
        found = self._client.hmget(_LAST_USED, token_hashes)
        return [datetime.fromisoformat(raw.decode()) if raw else None for raw in found]


def _token(token_hash: str, raw: bytes) -> StoredToken:
    stored: dict[str, Any] = codec.loads(raw)
    created_at = codec.to_time(stored["created_at"])
    assert created_at is not None
    return StoredToken(
        token_hash,
        stored["description"],
        created_at,
        codec.to_time(stored["expires_at"]),
        Access(stored["access"]),
        Limits.of(stored["limits"]),
    )
