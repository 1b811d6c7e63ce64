"""Summary views and their partitions: one JSON string per view, one hash of partitions beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.memory.filters import MemoryFilter, TagFilter, TimeFilter
from app.memory.models import PartitionSummary, SummaryView
from app.store import codec, keys
from app.store.client import RedisClient, store_errors
from app.store.scripts import script

_ALL = "views"
PARTS_TTL_SECONDS = 7 * 86_400


def _view_key(view_id: str) -> str:
    return f"view:{{{keys.encode(view_id)}}}"


def _partitions_key(view_id: str) -> str:
    return f"viewp:{{{keys.encode(view_id)}}}"


def _parts_key(view_id: str) -> str:
    return f"viewt:{{{keys.encode(view_id)}}}"


def _lease_key(view_id: str) -> str:
    return f"viewl:{{{keys.encode(view_id)}}}"


def _group_field(group: Mapping[str, str]) -> str:
    return "|".join(f"{name}={keys.encode(group[name])}" for name in sorted(group))


@store_errors
class ViewRepository:
    """Reads and writes views."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._put_partition = script(client, "view_put_partition")

    def acquire_lease(self, view_id: str, token: str, seconds: float) -> bool:
        """Become (or stay) the one run of this view."""
        key = _lease_key(view_id)
        if self._client.set(key, token, nx=True, px=int(seconds * 1000)):
            return True
        if self._client.get(key) == token.encode():
            self._client.pexpire(key, int(seconds * 1000))
            return True
        return False

    def release_lease(self, view_id: str, token: str) -> None:
        """Let the next run of this view start."""
        if self._client.get(_lease_key(view_id)) == token.encode():
            self._client.delete(_lease_key(view_id))

    def save(self, view: SummaryView) -> None:
        """Store a view whole."""
        stored = {name: getattr(view, name) for name in SummaryView.__slots__}
        stored["condition"] = _condition_to_json(view.condition)
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.set(_view_key(view.id), codec.dumps(stored))
            pipeline.sadd(_ALL, view.id)
            pipeline.execute()

    def get(self, view_id: str) -> SummaryView | None:
        """The view, or None."""
        raw = self._client.get(_view_key(view_id))
        return _view(raw) if raw else None

    def all(self) -> list[SummaryView]:
        """All views, ordered by id (which is by time of creation)."""
        ids = sorted(raw.decode() for raw in self._client.smembers(_ALL))
        stored = self._client.mget([_view_key(i) for i in ids]) if ids else []
        return [_view(raw) for raw in stored if raw]

    def delete(self, view_id: str) -> None:
        """Delete a view and its partitions."""
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.delete(_view_key(view_id), _partitions_key(view_id), _parts_key(view_id))
            pipeline.srem(_ALL, view_id)
            pipeline.execute()

    def save_partition(self, partition: PartitionSummary) -> None:
        """Store one partition's summary, unless the view was deleted meanwhile."""
        stored = {name: getattr(partition, name) for name in PartitionSummary.__slots__}
        self._put_partition(
            keys=[_view_key(partition.view_id), _partitions_key(partition.view_id)],
            args=[_group_field(partition.group), codec.dumps(stored)],
        )

    def delete_partition(self, view_id: str, group: Mapping[str, str]) -> None:
        """Delete one partition's summary, and what parts of partitions were summarized to."""
        self._client.hdel(_partitions_key(view_id), _group_field(group))
        self._client.delete(_parts_key(view_id))

    def part(self, view_id: str, digest: str) -> str | None:
        """The summary of a part of a large partition, by the digest of what went into it; None if not known."""
        found = self._client.hget(_parts_key(view_id), digest)
        return found.decode("utf-8", "surrogatepass") if found is not None else None

    def save_part(self, view_id: str, digest: str, summary: str) -> None:
        """Remember the summary of a part; all of a view's are forgotten from time to time."""
        self._put_partition(keys=[_view_key(view_id), _parts_key(view_id)], args=[digest, summary])
        self._client.expire(_parts_key(view_id), PARTS_TTL_SECONDS, nx=True)

    def partition(self, view_id: str, group: Mapping[str, str]) -> PartitionSummary | None:
        """One stored partition, or None."""
        raw = self._client.hget(_partitions_key(view_id), _group_field(group))
        return _partition(raw) if raw else None

    def partitions(self, view_id: str) -> list[PartitionSummary]:
        """All stored partitions of a view, ordered by group."""
        stored = self._client.hgetall(_partitions_key(view_id))
        return [_partition(stored[field]) for field in sorted(stored)]


def _view(raw: bytes) -> SummaryView:
    stored = codec.loads(raw)
    stored["group_by"] = tuple(stored["group_by"])
    stored["condition"] = _condition_from_json(stored["condition"])
    return SummaryView(**stored)


def _partition(raw: bytes) -> PartitionSummary:
    stored = codec.loads(raw)
    stored["computed_at"] = codec.to_time(stored["computed_at"])
    return PartitionSummary(**stored)


def _values(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in type(value).__slots__ if getattr(value, name) is not None}


def _condition_to_json(condition: MemoryFilter) -> dict[str, Any]:
    return {
        "tags": {name: [_values(f) for f in filters] for name, filters in condition.tags.items()},
        "times": {name: _values(f) for name, f in condition.times.items()},
    }


def _condition_from_json(stored: dict[str, Any]) -> MemoryFilter:
    def tag(values: dict[str, Any]) -> TagFilter:
        read: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return TagFilter(**read)

    def time(values: dict[str, Any]) -> TimeFilter:
        read: dict[str, Any] = {}
        for name, value in values.items():
            if name == "inclusive":
                read[name] = value
            else:
                read[name] = tuple(map(codec.to_time, value)) if name == "between" else codec.to_time(value)
        return TimeFilter(**read)

    return MemoryFilter(
        {name: tuple(tag(f) for f in filters) for name, filters in stored["tags"].items()},
        {name: time(f) for name, f in stored["times"].items()},
    )
