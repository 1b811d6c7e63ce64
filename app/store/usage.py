"""The ledger of model calls: counters per tenant, day, model and purpose."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from app.memory.models import ModelUsage, utc_now
from app.store import keys
from app.store.client import RedisClient, store_errors

_SEPARATOR = "\x1f"
_COUNTS = ("calls", "failed_calls", "prompt_tokens", "completion_tokens")


@store_errors
class UsageRepository:
    """One hash per tenant and day, kept for `keep_days`."""

    def __init__(self, client: RedisClient, *, keep_days: int) -> None:
        self._client = client
        self._keep_days = keep_days

    def note(self, usage: ModelUsage) -> None:
        """Add to today's counters, one round trip."""
        key = keys.model_usage(usage.namespace, utc_now().date().isoformat())
        stem = f"{usage.model}{_SEPARATOR}{usage.purpose}{_SEPARATOR}"
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.sadd(keys.USAGE_NAMESPACES, keys.encode(usage.namespace))
            for name in _COUNTS:
                if count := getattr(usage, name):
                    pipeline.hincrby(key, stem + name, count)
            if usage.cost_usd is not None:
                pipeline.hincrbyfloat(key, stem + "cost_usd", usage.cost_usd)
            pipeline.expire(key, self._keep_days * 86_400)
            pipeline.execute()

    def namespaces(self) -> list[str | None]:
        """Every tenant that has entries."""
        return [keys.decode(raw.decode()) for raw in sorted(self._client.smembers(keys.USAGE_NAMESPACES))]

    def read(self, namespaces: Sequence[str | None], *, days: int) -> list[ModelUsage]:
        """Sums of the last `days` days (today included) per tenant, model and purpose. One round trip."""
        today = utc_now().date()
        spans: list[tuple[str | None, date]] = [
            (namespace, today - timedelta(days=back))
            for namespace in namespaces
            for back in range(min(days, self._keep_days))
        ]
        with self._client.pipeline(transaction=False) as pipeline:
            for namespace, day in spans:
                pipeline.hgetall(keys.model_usage(namespace, day.isoformat()))
            replies = pipeline.execute()
        sums: dict[tuple[str | None, str, str], dict[str, Any]] = defaultdict(dict)
        for (namespace, _day), reply in zip(spans, replies, strict=True):
            for field, raw in reply.items():
                model, purpose, name = field.decode().split(_SEPARATOR)
                row = sums[namespace, model, purpose]
                row[name] = row.get(name, 0) + (float(raw) if name == "cost_usd" else int(raw))
        return [
            ModelUsage(namespace=namespace, model=model, purpose=purpose, **row)
            for (namespace, model, purpose), row in sorted(
                sums.items(), key=lambda item: (item[0][0] or "", *item[0][1:])
            )
        ]
