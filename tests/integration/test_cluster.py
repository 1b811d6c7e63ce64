"""Three nodes of a cluster on loopback: each tenant is one slot, and works whole on the node that has it.

The platform as such runs on one server (docs/operations.md). What is shown here is that tenants can be divided: no
script, transaction or search of a tenant needs a key of another slot, so that its node alone serves it.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import redis
from redis.client import Pipeline
from redis.crc import key_slot

from app.child_process import kill_group, spawn
from app.memory.filters import MemoryFilter, TagFilter
from app.memory.identity import new_id
from app.memory.models import Fold, FoldDraft, Memory, MemoryType, Message, Scope, Session, SessionRef, utc_now
from app.store import index, keys
from app.store.changes import Change, ChangeRepository, Limits
from app.store.embedded import find_search_module, find_server
from app.store.events import EventRepository
from app.store.folds import FoldRepository, message_key
from app.store.outbox import Outbox
from app.store.records import RecordRepository
from app.store.sessions import FoldTrigger, SessionRepository
from app.store.vectors import DEFAULT, Spaces
from tests.support.redis_server import answers
from tests.support.stack import free_port
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration
SLOTS = 16_384
NODES = 3
# Lists and hints over all tenants; nothing that was acknowledged is in them alone.
GLOBAL = {keys.NAMESPACES, keys.DUE_TENANTS, keys.EVENTS_DUE}


def is_global(args: tuple[Any, ...]) -> bool:
    """Whether a command is about one of the global keys."""
    return len(args) > 1 and args[1] in GLOBAL


class Shard(redis.Redis):
    """A client of one node, as a router in front of a cluster would be.

    Commands on the global keys go to the `hub`, a server outside the cluster. The search module takes the name of an
    index for a key, and on Valkey loads documents of that key's slot only: names have the hash tag of a tenant, `tag`.
    """

    hub: redis.Redis
    tag = ""

    def local(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """A command, with the names that the node's indexes have."""
        if not str(args[0]).startswith("FT."):
            return args
        named = 3 if args[0] == "FT.ALIASUPDATE" else 2
        return (args[0], *(f"{name}{{{self.tag}}}" for name in args[1:named]), *args[named:])

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run a command where its key is."""
        if is_global(args):
            return self.hub.execute_command(*args, **options)
        return super().execute_command(*self.local(args), **options)

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Any:
        """A pipeline that sends each command where its key is."""
        made = SplitPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        made.shard = self
        return made


class SplitPipeline(Pipeline):
    """Commands on global keys go to the hub after the others; a transaction may have none."""

    shard: Shard

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """All replies, in the order of the commands."""
        stack = list(self.command_stack)
        elsewhere = [is_global(args) for args, _options in stack]
        assert not ((self.transaction or self.explicit_transaction) and any(elsewhere)), (
            "a transaction over a tenant's keys and global ones"
        )
        self.command_stack = [
            (self.shard.local(args), options)
            for (args, options), other in zip(stack, elsewhere, strict=True)
            if not other
        ]
        here = iter(super().execute(raise_on_error))
        return [
            self.shard.hub.execute_command(*args) if other else next(here)
            for (args, _options), other in zip(stack, elsewhere, strict=True)
        ]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Shard]]:
    """Three nodes with a third of the slots each, both indexes on every one of them; and a hub beside them."""
    directory = tmp_path_factory.mktemp("cluster")
    processes = []

    def start(name: str, *arguments: str) -> int:
        port, place = free_port(), directory / name
        place.mkdir()
        with (place / "log").open("wb") as log:
            command = [
                str(find_server()), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(place),
                *arguments,
            ]  # fmt: skip
            processes.append(spawn(command, stdout=log, stderr=log, death_signal=signal.SIGKILL))
        return port

    try:
        hub = redis.Redis(port=start("hub"), protocol=2)
        nodes = []
        for number in range(NODES):
            cluster = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
            port = start(f"node{number}", *cluster, "--loadmodule", str(find_search_module()))
            nodes.append(Shard(port=port, protocol=2))
            nodes[-1].hub = hub
            nodes[-1].tag = keys.encode(tenants_of(number)[0].namespace)
        for node in (hub, *nodes):
            wait_until(lambda node=node: answers(node), 20, "the node answers")
        for number, node in enumerate(nodes):
            first, last = SLOTS * number // NODES, SLOTS * (number + 1) // NODES - 1
            node.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
            meet = nodes[0].config_get("port")["port"], nodes[0].config_get("cluster-port")["cluster-port"]
            if number:
                node.execute_command("CLUSTER", "MEET", "127.0.0.1", *meet)
        wait_until(lambda: all(whole(node) for node in nodes), 30, "the cluster is whole")
        for node in nodes:
            for schema in (index.memories_schema(1, [DEFAULT]), index.sessions_schema(1)):
                physical = index.build(node, schema)
                index.point_alias(node, physical.partition("-")[0], physical)
        yield nodes
    finally:
        for process in processes:
            kill_group(process)


def whole(node: redis.Redis) -> bool:
    said = node.execute_command("CLUSTER", "INFO")
    known = said if isinstance(said, dict) else dict(line.split(":") for line in said.decode().split())
    return known["cluster_state"] == "ok" and known["cluster_known_nodes"] == str(NODES)


def node_of(key: str) -> int:
    """The number of the node that has a key."""
    slot = key_slot(key.encode())
    return next(number for number in range(NODES) if slot < SLOTS * (number + 1) // NODES)


def tenants_of(node: int) -> list[Scope]:
    """Two tenants whose keys are on a node."""
    scopes = (Scope(f"tenant {number} {{x}}", "ann") for number in range(100))
    return [scope for scope in scopes if node_of(keys.fingerprints(scope)) == node][:2]


def a_memory(scope: Scope, text: str) -> Memory:
    now = utc_now()
    return Memory(
        id=new_id(), text=text, memory_type=MemoryType.SEMANTIC, namespace=scope.namespace, user_id=scope.user_id,
        created_at=now, last_accessed=now, updated_at=now,
    )  # fmt: skip


def of(scope: Scope) -> MemoryFilter:
    return MemoryFilter({"namespace": (TagFilter(eq=scope.namespace),), "user_id": (TagFilter(eq=scope.user_id),)}, {})


def store_memory(node: Shard, scope: Scope) -> None:
    memory, vector = a_memory(scope, "User likes cake"), np.eye(1, DEFAULT.dimensions, dtype=np.float32)[0]
    change = Change(
        scope, memory.id, memory, vector, fingerprint=memory.text, event={"kind": "test"}, valid_from=utc_now()
    )
    assert ChangeRepository(node, Limits(), spaces=Spaces(DEFAULT)).apply(scope, [change], at=utc_now())


def use_memories(node: Shard, scope: Scope) -> str:
    """Create, change, undo, delete and find memories; the id of the one that is left."""
    events = EventRepository(node, 100, webhook=True)
    changes, records = ChangeRepository(node, Limits(), events, Spaces(DEFAULT)), RecordRepository(node, DEFAULT)
    memory = a_memory(scope, f"User of {scope.namespace} likes tea")
    gone = a_memory(scope, "User likes nothing")
    vector = np.eye(1, DEFAULT.dimensions, dtype=np.float32)[0]
    for one in (memory, gone, replace(memory, text="User likes coffee")):
        change = Change(
            scope, one.id, one, vector, fingerprint=one.text, event={"kind": "test"}, valid_from=utc_now(), history=True
        )
        assert changes.apply(scope, [change], at=utc_now())
    assert changes.undo(scope, [memory.id], changes.log(scope)[-1][0], {"kind": "undone"}) is None
    assert changes.apply(scope, [Change(scope, gone.id, event={"kind": "test"})], at=utc_now())
    [[(found, _revision)], nothing] = records.find([memory.id, gone.id])
    assert (found.text, nothing) == (memory.text, [])
    record = keys.record(scope, memory.id).encode()
    records.touch([record], utc_now())
    near, count = records.candidates(of(scope), vector=vector, text="tea", k=5)
    assert count == 1
    assert set(near.keys) == {record}
    assert sum(event.type.startswith("memory.") for event in events.read(scope)) == 5
    hints = EventRepository(node.hub, 100, webhook=True)
    assert scope in hints.claim(2 * 10**12, limit=10, until_ms=3 * 10**12)
    return memory.id


def use_session(node: Shard, scope: Scope) -> None:
    """Put, read, promote, fold and delete a session."""
    events = EventRepository(node, 100, webhook=True)
    sessions, outbox = SessionRepository(node, max_messages=10), Outbox(node, EventRepository(node, 100))
    folds = FoldRepository(node, events)
    ref = SessionRef(scope, "s 1")
    said = tuple(Message(f"m{n}", "user", f"I like tea number {n}", utc_now()) for n in range(2))
    put = sessions.put(
        Session(ref, said), promote_messages=True, promote_memories=True, debounce_seconds=0, max_wait_seconds=0,
        trigger=FoldTrigger(10, 5, [10, 10]),
    )  # fmt: skip
    assert (put.revision, len(sessions.pending(ref))) == (1, 2)
    assert sessions.get(SessionRef(Scope(scope.namespace, None), "s 1"), exact=False).ref == ref, (
        "found through its node's index"
    )
    assert scope.namespace in outbox.namespaces()
    assert scope.namespace in outbox.due_namespaces(2e10, 10)
    claimed, dead = outbox.claim(scope.namespace, now=2e10, limit=10, lease_seconds=60, max_tries=3)
    assert (ref in claimed, dead) == (True, 0)
    outbox.begin(ref, 2e10)
    done = [(item.field, item.digest) for item in sessions.pending(ref)]
    assert sessions.acknowledge(ref, done, token="t", at=utc_now(), again_in_seconds=1) == 0
    read = sessions.get(ref, exact=True)
    draft = FoldDraft(read.born, 0, Fold("Likes tea.", count=1), (message_key(read.messages[0]),))
    folds.save_draft(ref, draft)
    assert folds.commit(read, draft, left_tokens=10, left_messages=1, at=utc_now())
    assert sessions.get(ref, exact=True).folded == {0}
    outbox.give_up(ref, "poison")
    assert outbox.replay(scope.namespace, 0.0) == 1
    assert sessions.delete(ref, exact=True)


def test_a_tenant_works_whole_on_the_node_that_has_its_slot(shards: list[Shard]):
    first = [tenants_of(number)[0] for number in range(NODES)]
    second = [tenants_of(number)[1] for number in range(NODES)]
    kept: dict[Scope, str] = {}
    for node, scope, neighbour in zip(shards, first, second, strict=True):
        use_session(node, scope)
        kept[scope] = use_memories(node, scope)
        store_memory(node, neighbour)
    for node, scope, neighbour in zip(shards, first, second, strict=True):
        mine = [scope, neighbour]
        slots = {key_slot(keys.fingerprints(one).encode()) for one in mine}
        assert {key_slot(key) for key in node.scan_iter()} == slots
        records = RecordRepository(node)
        assert records.count(MemoryFilter({}, {})) == 2, "one index per shard, of its own tenants only"
        for other in (*first, *second):
            assert records.count(of(other)) == int(other in mine)
        for other, memory_id in kept.items():
            assert len(records.find([memory_id])[0]) == int(other == scope)
    assert {key.decode() for key in shards[0].hub.scan_iter()} <= GLOBAL


def test_a_node_refuses_a_tenant_of_another_node(shards: list[Shard]):
    with pytest.raises(redis.exceptions.MovedError):
        ChangeRepository(shards[0], Limits()).tombstones(tenants_of(1)[0])
