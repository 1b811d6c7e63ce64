"""Values of the engine: frozen. JSON shapes live in the schemas, Redis shapes in the store."""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from app.memory.filters import MemoryFilter
from app.memory.permissions import Limits, current_limits


def utc_now() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)


class MemoryType(enum.StrEnum):
    """What kind of memory a record is (wire contract 1.6)."""

    SEMANTIC = "semantic"
    EPISODIC = "episodic"
    MESSAGE = "message"


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose data: the tenant (`namespace`) and the user in it. None is a scope of its own, not a wildcard."""

    namespace: str | None = None
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class SessionRef:
    """The unambiguous name of one session."""

    scope: Scope
    session_id: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation. `name` is the speaker's name if the client gives one."""

    id: str
    role: str
    content: str
    created_at: datetime
    persisted_at: datetime | None = None
    extracted: bool = False
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """One long-term memory, or a structured memory inside a session.

    Times are timezone-aware UTC. `extracted_from` holds the ids of the source messages. `topic_aliases` are further
    names under which filters on topics find it (not on the wire), `map_position` is its place on the topic map.
    `previous` is what was said just before in its session: context for indexing, never shown.
    """

    id: str
    text: str
    memory_type: MemoryType = MemoryType.SEMANTIC
    namespace: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    created_at: datetime = field(default_factory=utc_now)
    last_accessed: datetime = field(default_factory=utc_now)
    updated_at: datetime = field(default_factory=utc_now)
    event_date: datetime | None = None
    persisted_at: datetime | None = None
    pinned: bool = False
    access_count: int = 0
    topics: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    extracted_from: tuple[str, ...] = ()
    memory_hash: str | None = None
    discrete_memory_extracted: str = "t"
    extraction_strategy: str = "discrete"
    extraction_strategy_config: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    # From when to when the fact held; `valid_to` None: it is current. See app/memory/dedup.
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    superseded_by: str | None = None
    # Ids of memories that were folded into this one: they still lead here.
    aliases: tuple[str, ...] = ()
    # What was said just before a turn, as it was indexed with it. See app/memory/context.py.
    previous: str | None = None
    topic_aliases: tuple[str, ...] = ()
    map_position: tuple[float, float] | None = None

    @property
    def scope(self) -> Scope:
        """The tenant and user that own this memory."""
        return Scope(self.namespace, self.user_id)


def memory_hash(memory: Memory) -> str:
    """The wire's content hash of a memory."""
    return content_hash(memory.memory_type.value, memory.namespace, memory.session_id, memory.text, memory.user_id)


def content_hash(
    memory_type: str, namespace: str | None, session_id: str | None, text: str, user_id: str | None
) -> str:
    """The wire's content hash (contract 3.2, vector in section 13): SHA-256 hex of a sorted-key JSON object."""
    described = {
        "memory_type": memory_type,
        "namespace": namespace,
        "session_id": session_id,
        "text": text,
        "user_id": user_id,
    }
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()


# Why most memories were stored, as their history tells it.
NEW_TO_US = "nothing like it was known"


@dataclass(frozen=True, slots=True)
class Strategy:
    """How a session's conversation is distilled (wire contract 6.1)."""

    name: str = "discrete"
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fold:
    """The summary that stands for the messages of a session that were folded; see `app/memory/folding.py`.

    `count` is how many messages it covers, `tokens` the session's counter with what the language model took and gave
    for it, `absorbed` the digests of the contexts that went into it: a client that sends one again brings nothing new.
    """

    summary: str
    revision: int = 0
    count: int = 0
    tokens: int = 0
    absorbed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Session:
    """One session: what a client put, plus what the server knows about it.

    `revision` counts the changes of the document; 0 means not stored yet. `created_at` None means "keep the stored
    one, else now". `ttl_seconds` None means persistent. `messages` and `context` are the client's; `folded` holds the
    positions of messages for which `fold` stands now. `window` is the client's context window in tokens, as far as
    known; `born` tells a session from an earlier one of the same name.
    """

    ref: SessionRef
    messages: tuple[Message, ...] = ()
    memories: tuple[Memory, ...] = ()
    data: Mapping[str, Any] | None = None
    context: str | None = None
    tokens: int = 0
    strategy: Strategy = field(default_factory=Strategy)
    ttl_seconds: int | None = None
    created_at: datetime | None = None
    updated_at: datetime = field(default_factory=utc_now)
    last_accessed: datetime = field(default_factory=utc_now)
    revision: int = 0
    fold: Fold | None = None
    folded: frozenset[int] = frozenset()
    window: int | None = None
    born: str = ""


@dataclass(frozen=True, slots=True)
class FoldDraft:
    """A summary in the making: what one run has summarized so far, kept so that a retry goes on from there.

    `born` and `base` name the session and the revision of its fold that it started from; `keys` are the messages that
    it covers by now.
    """

    born: str
    base: int
    fold: Fold
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FoldRef:
    """The work of folding a session's older messages into its summary."""

    session: SessionRef


@dataclass(frozen=True, slots=True)
class ViewRunRef:
    """The work of summarizing all partitions of a view; without a task for the regular refresh."""

    view_id: str
    task_id: str | None = None


@dataclass(frozen=True, slots=True)
class PendingItem:
    """A message or a structured memory of a session that still awaits promotion.

    `field` and `digest` identify this version of it to the store; `order` is its place in the session.
    """

    field: str
    digest: str
    order: int
    item: Message | Memory


@dataclass(frozen=True, slots=True)
class BatchRef:
    """A batch on its way through the pipeline: the only thing that tasks pass to each other.

    The id begins with the batch's kind: `session-`, `create-` or `enrich-`.
    """

    namespace: str | None
    batch_id: str

    @property
    def kind(self) -> str:
        """Which chain the batch runs through."""
        return self.batch_id.partition("-")[0]


Work = SessionRef | BatchRef | FoldRef | ViewRunRef
"""What the outbox holds: a session to promote, a batch, a session to fold, a view to refresh."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one run of the pipeline works on.

    Its kind is `session` (promotion), `create` (a large direct create) or `enrich` (records that are indexed already).
    `records` are filled from `candidates` after grounding; `vectors` is aligned with `records` once embedded, in the
    space of the field `space` (see `app.store.vectors`).
    """

    ref: BatchRef
    session: SessionRef | None = None
    window: ExtractionWindow | None = None
    done: tuple[tuple[str, str], ...] = ()
    candidates: tuple[Candidate, ...] = ()
    records: tuple[Memory, ...] = ()
    vectors: bytes = b""
    space: str = ""
    deduplicate: bool = True
    task_id: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """The visible state of background work (wire contract 5.4): pending → running → success | failed.

    `limits` are those of who started it (None: the platform itself): they say who may see it.
    """

    id: str
    type: str
    status: str = "pending"
    view_id: str | None = None
    created_at: datetime = field(default_factory=utc_now)
    started_at: datetime | None = None
    completed_at: datetime | None = None
    error_message: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits | None = field(default_factory=current_limits)


@dataclass(frozen=True, slots=True)
class StepNote:
    """How one step of a run goes: `running`, `done` or `failed`; `started` in Unix seconds, `seconds` once it ended."""

    state: str
    started: float
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class ExtractionWindow:
    """What one extraction run sees.

    `new` are the messages to distil, `context` the ones just before them (for antecedents only; never distilled
    again), both in chronological order. `summary` is the session's running summary. `timezone` is an IANA name:
    relative dates are counted in it from each message's own `created_at`. `thread` (all messages that the session
    holds) and `previous` (the thread's last summary) are there for the `summary` strategy only, and are not kept.
    """

    session: SessionRef
    new: tuple[Message, ...]
    context: tuple[Message, ...] = ()
    summary: str | None = None
    timezone: str = "UTC"
    strategy: Strategy = field(default_factory=Strategy)
    thread: tuple[Message, ...] = ()
    previous: Memory | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A memory in the making, between extraction and indexing.

    `quote` is the literal span of a source message that the candidate rests on. Before grounding, `text` may still
    speak in the first person or in relative dates; after it, it must stand on its own.
    """

    text: str
    extracted_from: tuple[str, ...]
    quote: str = ""
    memory_type: MemoryType = MemoryType.SEMANTIC
    topics: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    event_date: datetime | None = None
    created_at: datetime | None = None
    confidence: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entity:
    """A named thing in a text: `name` as it should be stored, `kind` a spaCy label (PERSON, ORG, GPE, ...)."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class SummaryView:
    """A standing question over long-term memory, answered per partition (wire contract 5.1).

    `filters` is the client's JSON, for showing; `condition` is what it means. It has no owner on the wire.
    """

    id: str
    condition: MemoryFilter
    name: str | None = None
    source: str = "long_term"
    group_by: tuple[str, ...] = ()
    filters: Mapping[str, Any] = field(default_factory=dict)
    time_window_days: int | None = None
    continuous: bool = False
    prompt: str | None = None
    model_name: str | None = None


@dataclass(frozen=True, slots=True)
class PartitionSummary:
    """The summary of one partition of a view; `digest` tells whether its memories changed since."""

    view_id: str
    group: Mapping[str, str]
    summary: str
    memory_count: int
    computed_at: datetime
    empty_reason: str | None = None
    digest: str = ""


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """Model calls of one tenant for one purpose; `cost_usd` None: the price of the model is not known."""

    namespace: str | None
    model: str
    purpose: str
    calls: int = 0
    failed_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None
