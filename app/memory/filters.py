"""Filters over memories: values only. The store turns them into queries; all operators of all filters are AND-ed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True)
class TagFilter:
    """A filter on exact strings; None means that the operator is not used.

    `eq=""` matches records that have no value. `ne` and `none` also match records without a value, `eq` and `any`
    never do (wire contract 3.5). `or_startswith` widens `any`: one of its values, or one that starts with one of these.
    """

    eq: str | None = None
    ne: str | None = None
    any: tuple[str, ...] | None = None
    all: tuple[str, ...] | None = None
    none: tuple[str, ...] | None = None
    startswith: str | None = None
    or_startswith: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class TimeFilter:
    """A filter on a time. `eq` and `ne` compare to the second; `between` honours `inclusive`."""

    gt: datetime | None = None
    lt: datetime | None = None
    gte: datetime | None = None
    lte: datetime | None = None
    eq: datetime | None = None
    ne: datetime | None = None
    between: tuple[datetime, datetime] | None = None
    inclusive: Literal["both", "neither", "left", "right"] = "both"


TAG_FIELDS = ("session_id", "namespace", "user_id", "topics", "entities", "memory_type", "extraction_strategy")
TIME_FIELDS = ("created_at", "last_accessed", "event_date")


@dataclass(frozen=True, slots=True)
class MemoryFilter:
    """What a search is limited to: field name → filter. Several tag filters on one field are AND-ed too.

    Superseded memories never match, unless `as_of` asks for what was true at that moment.
    """

    tags: Mapping[str, tuple[TagFilter, ...]] = field(default_factory=dict)
    times: Mapping[str, TimeFilter] = field(default_factory=dict)
    ids: tuple[str, ...] | None = None
    as_of: datetime | None = None

    def also(self, name: str, condition: TagFilter) -> MemoryFilter:
        """This filter, limited further on one tag field."""
        return replace(self, tags={**self.tags, name: (*self.tags.get(name, ()), condition)})
