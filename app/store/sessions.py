"""Sessions in Redis: one hash per document, with marks and pending items beside it.

| key | holds | written by |
|---|---|---|
| `wm:`  | the document as the client put it | PUT, append |
| `wmx:` | marks: item → digest + time, once extracted or persisted | acknowledge |
| `wmp:` | pending: item → digest + order + JSON, until acknowledged | PUT, append; emptied by acknowledge |
| `wml:` | the lease of the running promotion | promotion |
| `wmt:` | the id of the task record that shows the unfinished promotion | promotion |
| `wmr:` | the id of the task record of the last finished promotion | promotion |
| `wmf:` | the fold: a summary, and which messages it stands for | fold |
| `wmd:` | the draft of the next summary, while it is made | fold |

The server never rewrites the document, so a PUT cannot lose a race against background work: marks and folds are laid
over the document when it is read (`folds.py` writes the last two).
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from app.memory.errors import InvalidRequest, PreconditionFailed
from app.memory.models import Memory, Message, PendingItem, Scope, Session, SessionRef
from app.store import codec, index, keys
from app.store.client import RedisClient, store_errors
from app.store.outbox import remember_origin
from app.store.scripts import script

TASK_TTL_SECONDS = 7 * 86_400
_DIGEST = 16
_ORDER = 8


def message_digest(message: Message) -> str:
    """16 hex digits that change when the message's words do."""
    return hashlib.blake2b(f"{message.role}\0{message.content}".encode(), digest_size=8).hexdigest()


def memory_digest(memory: Memory) -> str:
    """16 hex digits that change when what a structured memory says does."""
    said = codec.dumps([memory.text, memory.memory_type, memory.topics, memory.entities, memory.event_date])
    return hashlib.blake2b(said, digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class FoldTrigger:
    """When a session is due for folding: over `limit` tokens in its window (None: never); `sizes` per message."""

    window: int
    limit: int | None
    sizes: Sequence[int]


@store_errors
class SessionRepository:
    """Reads and writes sessions; each call is one or two round trips, as its docstring says."""

    def __init__(self, client: RedisClient, *, max_messages: int) -> None:
        self._client = client
        self._max_messages = max_messages
        self._put = script(client, "session_put")
        self._get = script(client, "session_get")
        self._ack = script(client, "session_ack")
        self._lease = script(client, "session_lease")
        self._known_namespaces: set[str | None] = set()

    # -- documents -----------------------------------------------------------------------------------------------

    def put(
        self,
        session: Session,
        *,
        promote_messages: bool,
        promote_memories: bool,
        debounce_seconds: float,
        max_wait_seconds: float,
        trigger: FoldTrigger,
        append: bool = False,
        expected_revision: int | None = None,
    ) -> Session:
        """Replace the document (or append its messages), one round trip; returns it with its marks laid over.

        Document, pending items and outbox mark are stored in one atomic step. Raises PreconditionFailed when
        `expected_revision` is not the stored one, InvalidRequest when the session would hold too many messages.
        """
        ref = session.ref
        now = session.updated_at.timestamp()
        head = {
            "data": session.data,
            "context": session.context,
            "tokens": session.tokens,
            "strategy": {"strategy": session.strategy.name, "config": session.strategy.config},
            "ttl_seconds": session.ttl_seconds,
            "last_accessed": session.last_accessed,
            "scope": codec.ref_to_json(ref),
        }
        args: list[Any] = [
            "" if expected_revision is None else expected_revision,
            "" if session.created_at is None else repr(session.created_at.timestamp()),
            repr(now),
            "" if session.ttl_seconds is None else session.ttl_seconds * 1000,
            codec.dumps(head),
            keys.encode(ref.scope.namespace),
            keys.encode(ref.scope.user_id),
            keys.encode(ref.session_id),
            keys.session_member(ref),
            debounce_seconds,
            max_wait_seconds,
            "append" if append else "replace",
            self._max_messages,
            len(session.messages),
            trigger.window,
            "" if trigger.limit is None else trigger.limit,
            keys.fold_member(ref),
            "1" if (session.context or "").strip() else "0",
        ]
        for message, tokens in zip(session.messages, trigger.sizes, strict=True):
            wanted = promote_messages and not message.extracted
            body = codec.dumps(codec.message_to_json(message))
            args += ["m", message.id, message_digest(message), body, "1" if wanted else "0", tokens]
        for memory in session.memories:
            wanted = promote_memories and memory.persisted_at is None
            body = codec.dumps(codec.memory_to_json(memory))
            args += ["r", memory.id, memory_digest(memory), body, "1" if wanted else "0", 0]
        pipeline = self._client.pipeline(transaction=False)
        new_namespace = ref.scope.namespace not in self._known_namespaces
        if new_namespace:
            pipeline.sadd(keys.NAMESPACES, keys.encode(ref.scope.namespace))
        remember_origin(pipeline, ref.scope.namespace, keys.session_member(ref))
        self._put(
            keys=[
                keys.session(ref),
                keys.session_marks(ref),
                keys.session_pending(ref),
                keys.outbox(ref.scope.namespace),
                keys.outbox_state(ref.scope.namespace),
                keys.session_fold(ref),
            ],
            args=args,
            client=pipeline,
        )
        # A hint for the dispatcher, outside the tenant's slot; a lost hint is made good by the full sweep.
        may_fold = trigger.limit is not None and (append or sum(trigger.sizes) > trigger.limit)
        due = now if may_fold else now + debounce_seconds
        pipeline.zadd(keys.DUE_TENANTS, {keys.encode(ref.scope.namespace): due}, lt=True)
        status, revision, *rest = pipeline.execute()[-2]
        if status == b"conflict":
            raise PreconditionFailed(f"the session is at revision {revision}, not {expected_revision}")
        if status == b"full":
            raise InvalidRequest(f"a session holds at most {self._max_messages} messages; this one has {revision}")
        self._known_namespaces.add(ref.scope.namespace)
        created, found, fold, folded = rest
        messages = tuple(_marked_message(m, mark) for m, mark in zip(session.messages, found, strict=False))
        marks = found[len(session.messages) :]
        memories = tuple(_marked_memory(m, mark) for m, mark in zip(session.memories, marks, strict=True))
        return replace(
            session,
            messages=messages,
            memories=memories,
            created_at=codec.from_seconds(created),
            revision=int(revision),
            fold=codec.fold_from_hash(fold),
            folded=frozenset(folded),
        )

    def get(self, ref: SessionRef, *, exact: bool) -> Session | None:
        """The session, one round trip; with `exact` false and no exact hit, the only session of that id whose
        scope agrees with the parts that are given (one more round trip). None if there is none or several.
        """
        found = self._read(ref)
        if found is not None or exact:
            return found
        other = self.find(ref)
        return self._read(other) if other else None

    def find(self, ref: SessionRef) -> SessionRef | None:
        """The only stored session with this id that agrees with the given scope parts; None if none or several."""
        query = self._query(ref.scope.namespace, ref.scope.user_id, ref.session_id)
        reply = self._client.execute_command(
            "FT.SEARCH", index.SESSIONS, query, "RETURN", "3", "ns", "user", "sess", "LIMIT", "0", "2", "DIALECT", "2"
        )
        _total, rows = index.parse_search(reply)
        if len(rows) != 1:
            return None
        return _ref_of(rows[0][1])

    def _read(self, ref: SessionRef) -> Session | None:
        reply = self._get(keys=[keys.session(ref), keys.session_marks(ref), keys.session_fold(ref)])
        return _session_of(reply) if reply else None

    def delete(self, ref: SessionRef, *, exact: bool) -> bool:
        """Delete the document and everything that awaited promotion from it; whether anything was there."""
        if not self._client.exists(keys.session(ref)) and not exact:
            ref = self.find(ref) or ref
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.delete(
                keys.session(ref),
                keys.session_marks(ref),
                keys.session_pending(ref),
                keys.session_fold(ref),
                keys.session_draft(ref),
                keys.session_last_task(ref),
            )
            members = (keys.session_member(ref), keys.fold_member(ref))
            pipeline.zrem(keys.outbox(ref.scope.namespace), *members)
            state = [f"{kind}:{member}" for kind in ("first", "tries") for member in members]
            pipeline.hdel(keys.outbox_state(ref.scope.namespace), *state)
            deleted = pipeline.execute()[0]
        return bool(deleted)

    def list_ids(self, *, namespace: str | None, user_id: str | None, limit: int, offset: int) -> tuple[list[str], int]:
        """Session ids, most recently updated first, and how many there are; None means any. One round trip."""
        reply = self._client.execute_command(
            "FT.SEARCH",
            index.SESSIONS,
            self._query(namespace, user_id, None),
            "RETURN",
            "1",
            "sess",
            "SORTBY",
            "updated",
            "DESC",
            "LIMIT",
            *((str(offset), str(limit)) if offset <= index.MAX_OFFSET else ("0", "0")),
            "DIALECT",
            "2",
        )
        total, rows = index.parse_search(reply)
        return [keys.decode(fields[b"sess"].decode()) or "" for _key, fields in rows], total

    @staticmethod
    def _query(namespace: str | None, user_id: str | None, session_id: str | None) -> str:
        parts = [f"@expires:[({time.time():.3f} +inf]"]
        for name, value in (("ns", namespace), ("user", user_id), ("sess", session_id)):
            if value is not None:
                parts.append(f"@{name}:{{{keys.encode(value)}}}")
        return " ".join(parts)

    # -- promotion -----------------------------------------------------------------------------------------------

    def acquire_lease(self, ref: SessionRef, token: str, seconds: float) -> bool:
        """Become (or stay) the one promotion of this session. One round trip."""
        return bool(self._lease([keys.session_lease(ref)], [token, int(seconds * 1000)]))

    def release_lease(self, ref: SessionRef, token: str) -> None:
        """Let another promotion of this session start: this one failed."""
        key = keys.session_lease(ref)
        if self._client.get(key) == token.encode():
            self._client.delete(key)

    def task_of(self, ref: SessionRef, *, otherwise: str | None = None) -> str | None:
        """Id of the task record of the session's unfinished promotion; `otherwise` becomes it if there is none."""
        key = keys.session_task(ref)
        if otherwise is not None:
            self._client.set(key, otherwise, nx=True, ex=TASK_TTL_SECONDS)
        found = self._client.get(key)
        return found.decode() if found else None

    def end_task(self, ref: SessionRef, task_id: str) -> None:
        """The session's promotion is finished. One round trip."""
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.set(keys.session_last_task(ref), task_id, ex=TASK_TTL_SECONDS)
            pipeline.delete(keys.session_task(ref))
            pipeline.execute()

    def last_task(self, ref: SessionRef) -> str | None:
        """Id of the task record of the unfinished promotion, or else of the last one. One round trip."""
        found = self._client.mget(keys.session_task(ref), keys.session_last_task(ref))
        return next((raw.decode() for raw in found if raw), None)

    def make_due(self, ref: SessionRef, now: float) -> bool:
        """Promote the session now instead of after its quiet time; whether anything awaits promotion.

        Also brings back a session whose promotion was given up.
        """
        if not self._client.exists(keys.session_pending(ref)):
            return False
        namespace, member = ref.scope.namespace, keys.session_member(ref)
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.zadd(keys.outbox(namespace), {member: now})
            pipeline.hset(keys.outbox_state(namespace), f"tries:{member}", 0)
            pipeline.hdel(keys.dead_letters(namespace), member)
            pipeline.execute()
        self._client.zadd(keys.DUE_TENANTS, {keys.encode(namespace): now}, lt=True)
        return True

    def pending(self, ref: SessionRef) -> list[PendingItem]:
        """What awaits promotion, in the order in which the client put it."""
        items = []
        for raw_field, raw in self._client.hgetall(keys.session_pending(ref)).items():
            field = raw_field.decode()
            digest = raw[:_DIGEST].decode()
            order = int(raw[_DIGEST : _DIGEST + _ORDER])
            stored = codec.loads(raw[_DIGEST + _ORDER :])
            item = codec.message_from_json(stored) if field[0] == "m" else codec.memory_from_json(stored)
            items.append(PendingItem(field, digest, order, item))
        return sorted(items, key=lambda p: (p.item.created_at, p.order))

    def acknowledge(
        self, ref: SessionRef, done: Sequence[tuple[str, str]], *, token: str, at: datetime, again_in_seconds: float
    ) -> int:
        """Mark items (field, digest) as promoted and release the lease; how many items still wait."""
        now = at.timestamp()
        args: list[Any] = [token, keys.session_member(ref), repr(now), f"{now + again_in_seconds:.3f}"]
        for field, digest in done:
            args += [field, digest, repr(now)]
        left = self._ack(
            keys=[
                keys.session(ref),
                keys.session_marks(ref),
                keys.session_pending(ref),
                keys.session_lease(ref),
                keys.outbox(ref.scope.namespace),
                keys.outbox_state(ref.scope.namespace),
            ],
            args=args,
        )
        if left:
            self._client.zadd(keys.DUE_TENANTS, {keys.encode(ref.scope.namespace): now + again_in_seconds}, lt=True)
        return int(left)

    def postpone(self, ref: SessionRef, due: float) -> None:
        """Make the session due at a time (Unix seconds) without counting a try."""
        namespace = ref.scope.namespace
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.zadd(keys.outbox(namespace), {keys.session_member(ref): due})
            pipeline.hincrby(keys.outbox_state(namespace), f"tries:{keys.session_member(ref)}", -1)
            pipeline.execute()
        self._client.zadd(keys.DUE_TENANTS, {keys.encode(namespace): due}, lt=True)


def _ref_of(fields: dict[bytes, bytes]) -> SessionRef:
    scope = Scope(keys.decode(fields[b"ns"].decode()), keys.decode(fields[b"user"].decode()))
    return SessionRef(scope, keys.decode(fields[b"sess"].decode()) or "")


def _session_of(reply: list[Any]) -> Session:
    head_json, messages_json, memories_json, created, updated, revision, marks_flat = reply[:7]
    window, born, fold, folded = reply[10:]
    head = codec.loads(head_json)
    marks = dict(zip(marks_flat[::2], marks_flat[1::2], strict=True))
    messages = (codec.message_from_json(m) for m in codec.loads(messages_json))
    memories = (codec.memory_from_json(m) for m in codec.loads(memories_json))
    return Session(
        ref=codec.ref_from_json(head["scope"]),
        messages=tuple(_marked_message(m, marks.get(b"m:" + m.id.encode())) for m in messages),
        memories=tuple(_marked_memory(m, marks.get(b"r:" + m.id.encode())) for m in memories),
        data=head["data"],
        context=head["context"],
        tokens=head["tokens"],
        strategy=codec.strategy_from_json(head["strategy"]),
        ttl_seconds=head["ttl_seconds"],
        created_at=codec.from_seconds(created),
        updated_at=codec.from_seconds(updated),
        last_accessed=codec.to_time(head["last_accessed"]) or codec.from_seconds(updated),
        revision=int(revision),
        fold=codec.fold_from_hash(fold),
        folded=frozenset(folded),
        window=int(window or 0) or None,
        born=(born or b"").decode(),
    )


def _mark_time(mark: bytes | None, digest: str) -> datetime | None:
    if not mark or mark[:_DIGEST] != digest.encode():
        return None
    seconds = float(mark[_DIGEST:])
    return codec.from_seconds(seconds) if math.isfinite(seconds) else None


def _marked_message(message: Message, mark: bytes | None) -> Message:
    at = _mark_time(mark, message_digest(message)) if mark else None
    return replace(message, extracted=True) if at else message


def _marked_memory(memory: Memory, mark: bytes | None) -> Memory:
    at = _mark_time(mark, memory_digest(memory)) if mark else None
    return replace(memory, persisted_at=at, discrete_memory_extracted="t") if at else memory
