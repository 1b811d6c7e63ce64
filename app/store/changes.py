"""Changes of long-term memories: applied all or nothing, remembered, undone.

| key | holds |
|---|---|
| `ltm:`  | the memory (see `records`) |
| `ltmh:` | fingerprint → id of the current memory that states the fact |
| `ltmv:` | what the memory was before each of its last changes, with the change's event |
| `ltmc:` | the scope's change log: events with their reasons, which may quote a word, not the texts |
| `ltmr:` | the scope's version: grows with every change |
| `ltmt:` | tombstones: fingerprints of facts that the user deleted |
| `ltmn:` | how many memories were stored, merged, known…: of the scope, and of the whole tenant |
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from app.memory.models import Memory, Scope
from app.store import codec, document, keys
from app.store.client import RedisClient, store_errors
from app.store.events import EventRepository
from app.store.records import record_to_hash
from app.store.scripts import Script, script
from app.store.vectors import Spaces, Vector, VectorSpace

# Fields that searches change all the time.
COUNTED = frozenset({"accessed", "count"})


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of the past is kept: versions of one memory, log entries of one scope, seconds of a deleted memory."""

    versions: int = 50
    log: int = 10_000
    deleted_seconds: int = 30 * 86_400


@dataclass(frozen=True, slots=True)
class Change:
    """One record's part of a change: its new state, or None to delete it.

    `expected_revision` None: whatever it is; 0: it must not exist. `event` says what happened and why; with `history`
    the state before is kept and can be brought back. `exclusive`: no other current memory may state the same fact.
    """

    scope: Scope
    memory_id: str
    memory: Memory | None = None
    vector: npt.NDArray[np.float32] | None = None
    fingerprint: str = ""
    slots: tuple[str, ...] = ()
    valid_from: datetime | None = None
    expected_revision: int | None = None
    exclusive: bool = False
    # Fields of which the stored value stays; usually COUNTED.
    keeps: frozenset[str] = frozenset()
    history: bool = True
    event: Mapping[str, Any] = field(default_factory=dict)
    tombstone: Mapping[str, Any] | None = None
    clears_tombstone: bool = False


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of the changes, in their order: (status, id); statuses: stored, replaced, dropped, absent, same,
    erased.
    """

    sequence: int
    outcomes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Version:
    """What a memory was before a change (None: it did not exist), and the change's event."""

    sequence: int
    event: Mapping[str, Any]
    before: Memory | None


@store_errors
class ChangeRepository:
    """Applies and undoes changes; each call is one round trip."""

    def __init__(
        self,
        client: RedisClient,
        limits: Limits,
        events: EventRepository | None = None,
        spaces: Spaces | None = None,
        embed_other: Callable[[Sequence[Memory]], Sequence[Vector] | None] = lambda _memories: None,
    ) -> None:
        """While there are two spaces, `embed_other` gives the vectors of the one that is not searched.

        None: they cannot be had now. The memories are stored without, and found by who looks for such gaps.
        """
        self._client = client
        self._spaces = spaces or Spaces(VectorSpace())
        self._embed_other = embed_other
        self._events = events or EventRepository(client, 0)
        self._limits = limits
        self._apply = script(client, "changes_apply")
        self._undo = script(client, "changes_undo")
        self._known_namespaces: set[str | None] = set()

    def apply(
        self,
        scope: Scope,
        changes: Sequence[Change],
        *,
        at: datetime,
        version: int | None = None,
        strict: bool = True,
        verdicts: Sequence[tuple[str, str]] = (),
    ) -> Applied | None:
        """Apply changes of one scope, all or nothing; None when others were faster.

        Others were faster when the scope is not at `version` any more (if given), a record not at its expected
        revision, or, if `strict`, an exclusive fact is stated by another memory. Not strict: such a change is left
        out (status `same`). `verdicts` are counted with the changes: what became of memories that were to be stored,
        and the id under which each is known.
        """
        prefix = keys.record(scope, "")
        names = [keys.fingerprints(scope), keys.scope_version(scope), keys.change_log(scope), keys.tombstones(scope),
                 keys.erased(scope), keys.user_verdicts(scope), keys.verdicts(scope.namespace)]  # fmt: skip
        args: list[Any] = [
            "" if version is None else version, repr(at.timestamp()), self._limits.versions, self._limits.log,
            self._limits.deleted_seconds, prefix, "1" if strict else "0", len(changes), self._events.kept,
            ",".join(space.field for space in self._spaces.all),
            codec.dumps([(verdict, keys.encode(memory_id)) for verdict, memory_id in verdicts]),
        ]  # fmt: skip
        for change, vectors in zip(changes, self._vectors(changes), strict=True):
            names += [keys.record(scope, change.memory_id), keys.versions(scope, change.memory_id)]
            args += _change_args(change, vectors)
        if scope.namespace not in self._known_namespaces:
            self._client.sadd(keys.NAMESPACES, keys.encode(scope.namespace))
            self._known_namespaces.add(scope.namespace)
        reply = self._run(self._apply, names, args, scope)
        if reply[0] != b"ok":
            return None
        flat = reply[2]
        outcomes = ((s.decode(), keys.decode(i.decode()) or "") for s, i in zip(flat[::2], flat[1::2], strict=True))
        return Applied(int(reply[1]), tuple(outcomes))

    def _vectors(self, changes: Sequence[Change]) -> list[dict[str, bytes]]:
        """Per change the fields of its vectors: none where the stored ones stay."""
        serving, other = self._spaces.serving, self._spaces.other
        found: list[dict[str, bytes]] = [{} for _change in changes]
        given: list[Memory] = []
        places: list[int] = []
        for place, change in enumerate(changes):
            if change.memory is not None and change.vector is not None and len(change.vector):
                found[place][serving.field] = serving.to_bytes(change.vector)
                given.append(change.memory)
                places.append(place)
        vectors = self._embed_other(given) if other is not None and given else None
        if other is not None and vectors is not None:
            for place, vector in zip(places, vectors, strict=True):
                found[place][other.field] = other.to_bytes(vector)
        return found

    def undo(self, scope: Scope, memory_ids: Sequence[str], sequence: int, event: Mapping[str, Any]) -> str | None:
        """Give memories back the state before change `sequence`; the id of a memory that changed since, if one has."""
        names = [keys.fingerprints(scope), keys.scope_version(scope), keys.change_log(scope), keys.tombstones(scope)]
        for memory_id in memory_ids:
            names += [keys.record(scope, memory_id), keys.versions(scope, memory_id)]
        args: list[Any] = [
            sequence,
            self._limits.log,
            codec.event_to_json(event),
            keys.record(scope, ""),
            self._events.kept,
        ]
        reply = self._run(self._undo, names, [*args, *(keys.encode(i) for i in memory_ids)], scope)
        return None if reply[0] == b"ok" else keys.decode(reply[1].decode())

    def _run(self, change: Script, names: list[str], args: list[Any], scope: Scope) -> Any:
        """Run a script; the webhook hears of its events in the same round trip."""
        if not self._events.webhook:
            return change(keys=names, args=args)
        with self._client.pipeline(transaction=False) as pipeline:
            change(keys=names, args=args, client=pipeline)
            self._events.make_due(pipeline, scope, int(time.time() * 1000))
            return pipeline.execute()[0]

    def versions(self, scope: Scope, memory_id: str) -> list[Version]:
        """What a memory was, oldest first."""
        key = keys.record(scope, memory_id)
        return [_version(key, raw) for raw in self._client.lrange(keys.versions(scope, memory_id), 0, -1)]

    def log(self, scope: Scope, *, limit: int = 1_000) -> list[tuple[int, dict[str, Any]]]:
        """The newest changes of a scope (0: all that are kept), oldest first: (sequence, event)."""
        entries = (unpacked(raw) for raw in self._client.lrange(keys.change_log(scope), -limit, -1))
        return [(int(sequence), codec.event_from_json(event)) for sequence, event in entries]

    def tombstones(self, scope: Scope) -> dict[str, dict[str, Any]]:
        """Fingerprint → what is remembered of a fact that the user deleted."""
        stored = self._client.hgetall(keys.tombstones(scope))
        return {name.decode(): codec.loads(raw) for name, raw in stored.items()}


def _change_args(change: Change, vectors: Mapping[str, bytes]) -> list[Any]:
    event = codec.event_to_json(change.event) if change.event else ""
    tombstone: Any = codec.dumps(change.tombstone) if change.tombstone else "clear" if change.clears_tombstone else ""
    memory = change.memory
    made = memory.persisted_at.timestamp() if memory is not None and memory.persisted_at is not None else None
    args = [
        "drop" if memory is None else "put",
        keys.encode(change.memory_id),
        "" if change.expected_revision is None else change.expected_revision,
        change.fingerprint,
        "1" if change.exclusive else "0",
        event,
        "1" if change.history else "0",
        tombstone,
        "" if made is None else repr(made),
        ",".join(sorted(change.keeps)),
    ]
    fields: dict[str, Any] = {}
    if memory is not None:
        assert change.valid_from is not None
        fields = record_to_hash(memory, slots=change.slots, valid_from=change.valid_from)
        if change.fingerprint:
            fields["markn"] = keys.number(change.fingerprint)
        fields = {name: value for name, value in fields.items() if name not in change.keeps} | dict(vectors)
    return [*args, 2 * len(fields), *(part for pair in fields.items() for part in pair)]


def packed(parts: Sequence[bytes]) -> bytes:
    """Byte strings, each behind its length, as the scripts' `pack` does it."""
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def unpacked(blob: bytes) -> list[bytes]:
    """The inverse of the scripts' `pack`: byte strings, each behind its length."""
    parts, at = [], 0
    while at < len(blob):
        (size,) = struct.unpack_from(">I", blob, at)
        parts.append(blob[at + 4 : at + 4 + size])
        at += 4 + size
    return parts


def _version(key: str, raw: bytes) -> Version:
    sequence, event, *image = unpacked(raw)
    fields = dict(zip(image[::2], image[1::2], strict=True))
    before = document.from_fields(key, fields) if fields else None
    return Version(int(sequence), codec.event_from_json(event) if event else {}, before)
