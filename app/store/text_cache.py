"""A shared cache from text to text, with a time to live: for what is dear to compute and cheap to lose."""

from __future__ import annotations

import hashlib

from app.store.client import RedisClient, store_errors


@store_errors
class TextCache:
    """Strings under one name; change the name when what computes them changes."""

    def __init__(self, client: RedisClient, name: str, *, ttl_seconds: int) -> None:
        self._client = client
        self._name = name
        self._ttl_seconds = ttl_seconds

    def get(self, text: str) -> str | None:
        """What was remembered for a text, or None. One round trip."""
        found = self._client.get(self._key(text))
        return found.decode() if found is not None else None

    def set(self, text: str, value: str) -> None:
        """Remember it."""
        if self._ttl_seconds:
            self._client.set(self._key(text), value, ex=self._ttl_seconds)

    def _key(self, text: str) -> str:
        named = f"{self._name}\x1f{text}".encode("utf-8", "surrogatepass")
        return f"text:{hashlib.sha256(named).hexdigest()}"
