"""What became of the memories that tenants and users were told; `changes_apply.lua` counts it with each change."""

from __future__ import annotations

from collections import Counter

from app.memory.models import Scope
from app.store import keys
from app.store.client import RedisClient, store_errors


@store_errors
class VerdictRepository:
    """Reads the counters."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    def of(self, *, namespace: str | None = None, user_id: str | None = None) -> Counter[str]:
        """Verdict → number of memories since counting began; None means any. At most two round trips."""
        names = [namespace] if namespace is not None else self._namespaces()
        sums: Counter[str] = Counter()
        with self._client.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.hgetall(keys.verdicts(name) if user_id is None else keys.user_verdicts(Scope(name, user_id)))
            for counts in pipeline.execute():
                sums.update({verdict.decode(): int(number) for verdict, number in counts.items()})
        return sums

    def _namespaces(self) -> list[str | None]:
        return [keys.decode(raw.decode()) for raw in self._client.smembers(keys.NAMESPACES)]
