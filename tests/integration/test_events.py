"""Events of changes: written with the change, delivered in order, signed, tried again, never to the wrong user."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

from app.config import Settings
from app.memory.events import EventDelivery
from app.memory.identity import new_id
from app.memory.models import BatchRef, Memory, MemoryType, Scope, SessionRef, utc_now
from app.providers.webhook import SIGNATURE, TIMESTAMP, Webhook, signature
from app.store import keys
from app.store.changes import Change, ChangeRepository, Limits
from app.store.client import connect
from app.store.events import EventRepository
from app.store.outbox import Outbox
from app.store.tenants import TenantKeys
from tests.support.redis_server import embedded_redis

pytestmark = pytest.mark.integration
ANN, BOB = Scope("shop", "ann"), Scope("shop", "bob")


@pytest.fixture(scope="module")
def server():
    with embedded_redis() as running:
        yield connect(Settings(_env_file=None, redis_url=running.url))


@pytest.fixture
def client(server):
    server.flushall()
    return server


@pytest.fixture
def events(client) -> EventRepository:
    return EventRepository(client, 1000, webhook=True)


@pytest.fixture
def changes(client, events) -> ChangeRepository:
    return ChangeRepository(client, Limits(), events)


def a_memory(scope: Scope, text: str = "User likes tea") -> Memory:
    now = utc_now()
    return Memory(
        id=new_id(), text=text, memory_type=MemoryType.SEMANTIC, namespace=scope.namespace, user_id=scope.user_id,
        created_at=now, last_accessed=now, updated_at=now,
    )  # fmt: skip


def put(changes: ChangeRepository, memory: Memory, **more) -> None:
    vector = np.ones(4, np.float32)
    change = Change(
        memory.scope,
        memory.id,
        memory,
        vector,
        fingerprint=memory.text,
        event={"kind": "test"},
        valid_from=utc_now(),
        **more,
    )
    assert changes.apply(memory.scope, [change], at=utc_now())


class Receiver:
    """A webhook on a loopback port: keeps what it gets, answers as it is told."""

    def __init__(self) -> None:
        self.status = 200
        self.got: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((dict(self.headers), body))
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    def events(self) -> list[dict]:
        return [event for _headers, body in self.got for event in json.loads(body)["events"]]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    yield running
    running.server.shutdown()
    running.server.server_close()


def test_every_change_of_a_memory_is_an_event_of_its_user_without_its_text(events, changes):
    memory = a_memory(ANN)
    put(changes, memory)
    put(changes, replace(memory, text="User likes green tea"))
    drop = Change(ANN, memory.id, event={"kind": "test"})
    changes.apply(ANN, [drop], at=utc_now())
    changes.apply(ANN, [drop], at=utc_now())
    put(changes, a_memory(BOB))
    found = events.read(ANN)
    assert [event.type for event in found] == ["memory.created", "memory.updated", "memory.deleted"]
    assert {event.details["memory_id"] for event in found} == {memory.id}
    assert "tea" not in str(found)
    assert [event.type for event in events.read(BOB)] == ["memory.created"]
    assert events.read(ANN, after=found[1].id) == found[2:]


def test_what_is_replaced_by_a_newer_fact_is_superseded(events, changes):
    memory = a_memory(ANN)
    put(changes, memory)
    put(changes, replace(memory, valid_to=utc_now()))
    assert [event.type for event in events.read(ANN)] == ["memory.created", "memory.superseded"]


def test_a_change_that_is_undone_is_an_event_too(events, changes):
    memory = a_memory(ANN)
    put(changes, memory)
    put(changes, replace(memory, text="User likes coffee"))
    sequence = changes.log(ANN)[-1][0]
    assert changes.undo(ANN, [memory.id], sequence, {"kind": "undone"}) is None
    assert [event.type for event in events.read(ANN)][-1] == "memory.updated"


def test_work_that_is_given_up_is_an_event(client, events):
    outbox = Outbox(client, events)
    outbox.give_up(SessionRef(ANN, "s1"), "poison")
    outbox.add(BatchRef("shop", "create-1"), 0.0)
    outbox.claim("shop", now=1.0, limit=10, lease_seconds=0, max_tries=0)
    found = [*events.read(ANN), *events.read(Scope("shop", None))]
    assert [(e.type, dict(e.details)) for e in found] == [
        ("task.failed", {"session_id": "s1"}),
        ("task.failed", {"batch_id": "create-1"}),
    ]


def test_without_the_setting_nothing_is_written(client):
    changes = ChangeRepository(client, Limits())
    put(changes, a_memory(ANN))
    assert not [key for key in client.scan_iter() if key.startswith(b"events")]


def test_events_arrive_signed_in_order_and_once(events, changes, receiver):
    for scope in (ANN, BOB):
        for number in range(150):
            put(changes, a_memory(scope, f"User likes tea number {number}"))
    delivery = EventDelivery(events, Webhook(receiver.url, "s3cret", timeout_seconds=5), max_attempts=3)
    assert delivery.run() == {"delivered": 300, "failed": 0, "given_up": 0}
    assert delivery.run()["delivered"] == 0
    assert events.waiting() == 0
    for scope in (ANN, BOB):
        assert [e["id"] for e in receiver.events() if e["user_id"] == scope.user_id] == [
            e.id for e in events.read(scope, limit=1000)
        ]
    for headers, body in receiver.got:
        assert headers[SIGNATURE] == signature("s3cret", headers[TIMESTAMP], body)
        assert headers[SIGNATURE] != signature("another", headers[TIMESTAMP], body)
        assert len({event["user_id"] for event in json.loads(body)["events"]}) == 1
    put(changes, a_memory(ANN, "User likes cake"))
    assert delivery.run()["delivered"] == 1


def test_a_receiver_that_is_away_gets_them_later_and_nobody_else_waits_for_it(events, changes, receiver, monkeypatch):
    clock = [1_000_000.0]
    monkeypatch.setattr("app.memory.events.time.time", lambda: clock[0] + 1_000_000_000)
    put(changes, a_memory(ANN))
    delivery = EventDelivery(events, Webhook(receiver.url, "s", timeout_seconds=5), max_attempts=3)
    receiver.status = 500
    assert delivery.run()["failed"] == 1
    assert delivery.run()["failed"] == 0, "it rests first"
    receiver.status = 204
    clock[0] += 2.5
    assert delivery.run()["delivered"] == 1
    assert len({event["id"] for event in receiver.events()}) == 1, "each delivery of an event has the same id"


def test_after_its_tries_a_delivery_is_given_up_and_the_stream_keeps_it(events, changes, monkeypatch):
    clock = [1_000_000.0]
    monkeypatch.setattr("app.memory.events.time.time", lambda: clock[0] + 1_000_000_000)
    put(changes, a_memory(ANN))
    nobody = Webhook("http://127.0.0.1:1/", "s", timeout_seconds=1)
    delivery = EventDelivery(events, nobody, max_attempts=2)
    delivery.run()
    clock[0] += 700
    assert delivery.run()["given_up"] == 1
    assert len(events.read(ANN)) == 1
    assert events.waiting() == 0


def test_erasing_a_user_leaves_no_events_of_theirs(client, changes):
    put(changes, a_memory(ANN))
    put(changes, a_memory(BOB))
    tenants = TenantKeys(client)
    tenants.forget_work(ANN)
    tenants.delete(tenants.of_user(ANN))
    assert not [key for key in client.scan_iter() if b"ann" in key]
    assert client.zrange(keys.EVENTS_DUE, 0, -1) == [keys.scope_member(BOB).encode()]
