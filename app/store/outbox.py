"""The outbox: every acknowledged piece of work that is not finished yet, due at a time.

It is the debounce, the queue's insurance and the sweeper's list at once: a member stays in it until its work is
acknowledged; claiming only moves its due time behind a lease. So a worker, a broker or a beat that dies loses
nothing, it only delays.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app import correlation
from app.memory.errors import BackendUnavailable
from app.memory.models import BatchRef, FoldRef, Scope, SessionRef, ViewRunRef, Work
from app.store import codec, index, keys
from app.store.client import RedisClient, store_errors
from app.store.events import EventRepository
from app.store.scripts import script


@dataclass(frozen=True, slots=True)
class OutboxStats:
    """How much work waits: members due now, members in all, given up, and the age of the oldest due one (s)."""

    due: int
    total: int
    dead: int
    oldest_due_seconds: float


# Longer than a session waits for its quiet time; a trace that is older is of no use.
ORIGIN_SECONDS = 3600


def remember_origin(pipeline: Any, namespace: str | None, member: str) -> None:
    """Note, as part of a round trip, for which request the member waits: its promotion will log the same id."""
    if headers := correlation.dumps():
        pipeline.set(keys.origin(namespace, member), headers, ex=ORIGIN_SECONDS)


@store_errors
class Outbox:
    """Unfinished work of all tenants."""

    def __init__(self, client: RedisClient, events: EventRepository | None = None) -> None:
        self._client = client
        self._events = events or EventRepository(client, 0)
        self._claim = script(client, "outbox_claim")
        self._begin = script(client, "outbox_begin")

    def ping(self) -> None:
        """Raise BackendUnavailable unless Redis answers and both indexes are there, with this version's fields."""
        memories = index.describe(self._client, index.MEMORIES)
        for alias, there in ((index.MEMORIES, memories), (index.SESSIONS, index.exists(self._client, index.SESSIONS))):
            if not there:
                raise BackendUnavailable(f"search index {alias!r} is missing; run `agent-memory migrate`")
        if memories is not None and (missing := index.missing_fields(memories)):
            raise BackendUnavailable(
                f"search index {index.MEMORIES!r} is of an earlier version (without {', '.join(missing)}); "
                "run `agent-memory migrate`"
            )

    def namespaces(self) -> list[str | None]:
        """Every tenant that ever stored anything, in a stable order."""
        return [keys.decode(raw.decode()) for raw in sorted(self._client.smembers(keys.NAMESPACES))]

    def due_namespaces(self, now: float, limit: int) -> list[str | None]:
        """Tenants that may have due work, the longest waiting first: a hint, made exact by `namespaces`."""
        found = self._client.zrangebyscore(keys.DUE_TENANTS, "-inf", now, start=0, num=limit)
        return [keys.decode(raw.decode()) for raw in found]

    def settle(self, namespace: str | None) -> None:
        """Renew the hint of a tenant after a claim: its next due time, or none."""
        first = self._client.zrange(keys.outbox(namespace), 0, 0, withscores=True)
        if first:
            self._client.zadd(keys.DUE_TENANTS, {keys.encode(namespace): first[0][1]})
        else:
            self._client.zrem(keys.DUE_TENANTS, keys.encode(namespace))

    def claim(
        self, namespace: str | None, *, now: float, limit: int, lease_seconds: float, max_tries: int
    ) -> tuple[list[Work], int]:
        """Work that is due, now leased to the caller, and how many members were given up. One round trip."""
        claimed, dead = self._claim(
            keys=[keys.outbox(namespace), keys.outbox_state(namespace), keys.dead_letters(namespace)],
            args=[repr(now), limit, lease_seconds, max_tries],
        )
        if dead and self._events.kept:
            with self._client.pipeline(transaction=False) as pipeline:
                for raw in dead:
                    self._announce(pipeline, _member(namespace, raw.decode()))
                pipeline.execute()
        return [_member(namespace, raw.decode()) for raw in claimed], len(dead)

    def begin(self, ref: Work, due: float) -> None:
        """A worker starts with the work: count a try, and bring the work back at `due` if this one comes to nothing."""
        namespace, member = _name(ref)
        self._begin(keys=[keys.outbox(namespace), keys.outbox_state(namespace)], args=[member, f"{due:.3f}"])

    def _announce(self, pipeline: Any, ref: Work) -> None:
        """Tell, as part of a round trip, that work was given up."""
        session = ref.session if isinstance(ref, FoldRef) else ref
        if isinstance(session, SessionRef):
            scope, what = session.scope, {"session_id": session.session_id}
        elif isinstance(session, BatchRef):
            scope, what = Scope(session.namespace, None), {"batch_id": session.batch_id}
        else:
            scope, what = Scope(None, None), {"view_id": session.view_id}
        self._events.add_to(pipeline, scope, "task.failed", what, int(time.time() * 1000))

    def add(self, ref: BatchRef | ViewRunRef, due: float) -> None:
        """Make sure that work comes back at `due` (Unix seconds) unless it is finished by then."""
        with self._client.pipeline(transaction=False) as pipeline:
            self.add_to(pipeline, ref, due)
            pipeline.execute()

    @staticmethod
    def add_to(pipeline: Any, ref: BatchRef | ViewRunRef, due: float) -> None:
        """`add` as part of a round trip."""
        namespace, member = _name(ref)
        pipeline.sadd(keys.NAMESPACES, keys.encode(namespace))
        pipeline.zadd(keys.outbox(namespace), {member: due})
        remember_origin(pipeline, namespace, member)
        pipeline.zadd(keys.DUE_TENANTS, {keys.encode(namespace): due}, lt=True)

    @staticmethod
    def exchange(pipeline: Any, old: Sequence[BatchRef], new: BatchRef, due: float) -> None:
        """Let one batch of a tenant stand for several, as part of a transaction."""
        members = [_name(ref)[1] for ref in old]
        pipeline.zrem(keys.outbox(new.namespace), *members)
        pipeline.hdel(keys.outbox_state(new.namespace), *(f"tries:{member}" for member in members))
        pipeline.zadd(keys.outbox(new.namespace), {_name(new)[1]: due})

    def finish(self, ref: BatchRef | ViewRunRef) -> None:
        """The work is done."""
        namespace, member = _name(ref)
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.zrem(keys.outbox(namespace), member)
            pipeline.hdel(keys.outbox_state(namespace), f"tries:{member}", f"first:{member}")
            pipeline.execute()

    def origin(self, ref: Work) -> dict[str, str]:
        """The request that this work is for, as headers; empty when it is not known (any more)."""
        namespace, member = _name(ref)
        return correlation.loads(self._client.get(keys.origin(namespace, member)))

    def retry_at(self, ref: Work, due: float) -> None:
        """Make failed work due again at a time (Unix seconds); the try counts."""
        namespace, member = _name(ref)
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.zadd(keys.outbox(namespace), {member: due}, xx=True)
            pipeline.zadd(keys.DUE_TENANTS, {keys.encode(namespace): due}, lt=True)
            pipeline.execute()

    def give_up(self, ref: Work, reason: str) -> None:
        """Move work to the dead letters, with the reason; `replay` brings it back."""
        namespace, member = _name(ref)
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.zrem(keys.outbox(namespace), member)
            pipeline.hdel(keys.outbox_state(namespace), f"tries:{member}", f"first:{member}")
            pipeline.hset(keys.dead_letters(namespace), member, codec.dumps({"reason": reason}))
            self._announce(pipeline, ref)
            pipeline.execute()

    def tries(self, ref: Work) -> int:
        """How often workers have started with this work since it last succeeded."""
        return self.tries_of([ref])[0]

    def tries_of(self, refs: Sequence[Work]) -> list[int]:
        """`tries` of several works of one tenant. One round trip."""
        namespace = _name(refs[0])[0]
        found = self._client.hmget(keys.outbox_state(namespace), [f"tries:{_name(ref)[1]}" for ref in refs])
        return [int(count or 0) for count in found]

    def forgive(self, ref: Work, most: int) -> int:
        """Lower the count of tries to at most `most`; the count."""
        namespace, member = _name(ref)
        tries = min(self.tries(ref), max(0, most))
        self._client.hset(keys.outbox_state(namespace), f"tries:{member}", tries)
        return tries

    def dead_letters(self, namespace: str | None) -> list[tuple[Work, str]]:
        """Work that was given up, with its reasons."""
        stored = self._client.hgetall(keys.dead_letters(namespace))
        return [(_member(namespace, k.decode()), codec.loads(v).get("reason", "")) for k, v in stored.items()]

    def replay(self, namespace: str | None, now: float) -> int:
        """Make all given-up work of a tenant due again; how much that was."""
        members = list(self._client.hkeys(keys.dead_letters(namespace)))
        for member in members:
            with self._client.pipeline(transaction=True) as pipeline:
                pipeline.zadd(keys.outbox(namespace), {member: now})
                pipeline.hdel(keys.dead_letters(namespace), member)
                pipeline.execute()
        if members:
            self._client.zadd(keys.DUE_TENANTS, {keys.encode(namespace): now}, lt=True)
        return len(members)

    def stats(self, namespaces: Sequence[str | None], now: float) -> OutboxStats:
        """Sums over tenants, one round trip."""
        with self._client.pipeline(transaction=False) as pipeline:
            for namespace in namespaces:
                pipeline.zcount(keys.outbox(namespace), "-inf", now)
                pipeline.zcard(keys.outbox(namespace))
                pipeline.hlen(keys.dead_letters(namespace))
                pipeline.zrange(keys.outbox(namespace), 0, 0, withscores=True)
            rows = pipeline.execute()
        firsts = [row[0][1] for row in rows[3::4] if row]
        return OutboxStats(
            due=sum(rows[0::4]),
            total=sum(rows[1::4]),
            dead=sum(rows[2::4]),
            oldest_due_seconds=max(0.0, now - min(firsts)) if firsts else 0.0,
        )


def _name(ref: Work) -> tuple[str | None, str]:
    match ref:
        case SessionRef():
            return ref.scope.namespace, keys.session_member(ref)
        case FoldRef():
            return ref.session.scope.namespace, keys.fold_member(ref.session)
        case ViewRunRef():
            # A view has no owner: its runs belong to the tenant without a name.
            return None, keys.view_member(ref.view_id, ref.task_id)
        case BatchRef():
            return ref.namespace, keys.batch_member(ref.batch_id)


def _member(namespace: str | None, member: str) -> Work:
    kind, _, rest = member.partition(":")
    if kind == "b":
        return BatchRef(namespace, keys.decode(rest) or "")
    first, _, second = rest.partition(":")
    if kind == "v":
        return ViewRunRef(keys.decode(first) or "", keys.decode(second))
    session = SessionRef(Scope(namespace, keys.decode(first)), keys.decode(second) or "")
    return FoldRef(session) if kind == "f" else session
