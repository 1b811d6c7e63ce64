"""Tokens in Redis, by the SHA-256 of what the holder has; and what callers have used of their rate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from app.memory.permissions import Access, Limits, Rate
from app.store import codec
from app.store.client import RedisClient, store_errors
from app.store.scripts import script

_ALL = "tokens"
_IMPORTED = "tokens-imported"
_EVER_IMPORTED = "tokens-imported-ever"
_LAST_USED = "tokens-used"
# An expired token is told from an unknown one for so long.
REMEMBER_EXPIRED = timedelta(days=30)
# That a token is none of the imported ones is remembered for so long.
REMEMBER_COMPARED_SECONDS = 3600
PAGE = 1_000
# A page of imported tokens is about as many as one request has time to compare.
IMPORTED_PAGE = 25


@dataclass(frozen=True, slots=True)
class StoredToken:
    """What is known of one token; the token itself is not. `hash` is its SHA-256 in hex.

    `claimed` is False for an imported token that nobody has sent yet; `hash` is then the SHA-256 of its bcrypt hash.
    """

    hash: str
    description: str
    created_at: datetime
    expires_at: datetime | None = None
    access: Access = Access.ADMIN
    limits: Limits = field(default_factory=Limits)
    claimed: bool = True


@dataclass(frozen=True, slots=True)
class ImportedToken:
    """A token of another server that nobody has sent yet: what it is to be, and the bcrypt hash that it has there.

    `number` is its place in the order of import.
    """

    token: StoredToken
    bcrypt: str = field(repr=False)
    number: int = 0


def _key(token_hash: str) -> str:
    return f"token:{token_hash}"


@store_errors
class TokenRepository:
    """Reads and writes tokens."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._check = script(client, "credential_check")

    def check(self, token_hash: str, *, requests_per_minute: int) -> tuple[StoredToken | None, Rate | None, int]:
        """The token with this hash, if there is one, and its holder's rate with this request counted. One round trip.

        Third, for an unknown token: with how many imported ones it has not been compared yet.

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
    ) -> tuple[StoredToken | None, Rate | None, int]:
        raw, allowed, remaining, milliseconds, untried = self._check(
            keys=[token_key, rate_key, _IMPORTED, _compared_key(token_hash)],
            args=[per_minute, "" if token_key else "1"],
        )
        rate = Rate(per_minute, remaining, milliseconds / 1000, exceeded=not allowed) if per_minute else None
        return (_token(token_hash, codec.loads(raw)) if raw else None), rate, untried

    def save(self, token: StoredToken) -> None:
        """Store a token."""
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.set(_key(token.hash), codec.dumps(_stored(token)), exat=_forget_at(token))
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
            yield from (
                _token(token_hash, codec.loads(raw)) for token_hash, raw in zip(page, stored, strict=True) if raw
            )

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


@store_errors
class ImportedTokenRepository:
    """Tokens of another server, in the order in which they came, until their holders claim them."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._import = script(client, "token_import")
        self._claim = script(client, "token_claim")
        self._count = script(client, "credential_check")

    def add(self, imported: ImportedToken) -> bool:
        """Keep one; False: it was here before, and stays what it is or became."""
        stored = {**_stored(imported.token), "hash": imported.token.hash, "bcrypt": imported.bcrypt}
        keys = [_IMPORTED, _EVER_IMPORTED]
        return bool(self._import(keys=keys, args=[imported.token.hash, codec.dumps(stored)]))

    def all(self) -> list[ImportedToken]:
        """Those that nobody has claimed, oldest first."""
        return [_imported(raw, number) for raw, number in self._client.zrange(_IMPORTED, 0, -1, withscores=True)]

    def after(self, number: int) -> list[ImportedToken]:
        """The next page of them, after this number."""
        found = self._client.zrangebyscore(_IMPORTED, f"({number}", "+inf", 0, IMPORTED_PAGE, withscores=True)
        return [_imported(raw, at) for raw, at in found]

    def compared_up_to(self, token_hash: str) -> int:
        """The last one that the token with this hash was compared with; 0: none."""
        return int(self._client.get(_compared_key(token_hash)) or 0)

    def note_compared(self, token_hash: str, number: int) -> None:
        """Remember that the token with this hash is none of those up to this number."""
        self._client.set(_compared_key(token_hash), number, ex=REMEMBER_COMPARED_SECONDS)

    def count_comparison(self, *, per_minute: int) -> Rate:
        """The rate of comparisons of the whole deployment, with one more counted."""
        keys = ["", "rate:imported-tokens", _IMPORTED, ""]
        _, allowed, remaining, milliseconds, _ = self._count(keys=keys, args=[per_minute, "1"])
        return Rate(per_minute, remaining, milliseconds / 1000, exceeded=not allowed)

    def claim(self, imported: ImportedToken, token_hash: str) -> bool:
        """Make it the token with this hash. One step; False: it was claimed or removed meanwhile."""
        forget_at = _forget_at(imported.token)
        return bool(
            self._claim(
                keys=[_IMPORTED, _key(token_hash), _ALL],
                args=[
                    imported.number,
                    codec.dumps(_stored(imported.token)),
                    token_hash,
                    int(forget_at.timestamp()) if forget_at else "",
                ],
            )
        )

    def delete(self, imported: ImportedToken) -> bool:
        """Remove one for good: another import does not bring it back. Whether it was there."""
        return bool(self._client.zremrangebyscore(_IMPORTED, imported.number, imported.number))


def _compared_key(token_hash: str) -> str:
    return f"token-compared:{token_hash}"


def _forget_at(token: StoredToken) -> datetime | None:
    return token.expires_at + REMEMBER_EXPIRED if token.expires_at else None


def _stored(token: StoredToken) -> dict[str, Any]:
    return {
        "description": token.description,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "access": int(token.access),
        "limits": token.limits.as_json(),
    }


def _imported(raw: bytes, number: float) -> ImportedToken:
    stored = codec.loads(raw)
    return ImportedToken(replace(_token(stored["hash"], stored), claimed=False), stored["bcrypt"], int(number))


def _token(token_hash: str, stored: Mapping[str, Any]) -> StoredToken:
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
