"""When a worker counts as stalled."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace

import pytest
from celery.worker import state
from kombu.exceptions import OperationalError

from tasks.watchdog import Look, StallDetector, Watchdog


def looks(patience: float, *seen: Look, seconds: float = 1.0) -> list[bool]:
    detector = StallDetector(patience)
    return [detector.stalled(look, seconds) for look in seen]


def test_tasks_wait_and_none_is_taken_for_longer_than_the_patience():
    assert looks(2.0, *[Look(5, 7)] * 5) == [False, False, False, True, True]


def test_a_worker_that_takes_tasks_does_not_stall_however_many_wait():
    assert not any(looks(2.0, *[Look(1000, taken) for taken in range(50)]))


def test_an_empty_queue_and_a_broker_that_is_away_start_the_time_anew():
    patient = [Look(5, 7)] * 3
    assert not any(looks(2.0, *patient, Look(0, 7), *patient[:2], Look(0, 7), *patient[:2]))


def test_tasks_at_hand_may_use_their_time_limit():
    busy = [Look(5, 7, busy_seconds=120.0)] * 200
    assert looks(60.0, *busy).index(True) == 181


class Broker:
    def __init__(self, waiting: int) -> None:
        self.waiting = waiting

    def __enter__(self) -> Broker:
        if self.waiting < 0:
            raise OperationalError("away")
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def default_channel(self) -> SimpleNamespace:
        return SimpleNamespace(_size=lambda _queue: self.waiting)


@pytest.fixture
def consumer(monkeypatch):
    monkeypatch.setattr(state, "active_requests", set())
    monkeypatch.setattr(state, "reserved_requests", set())
    application = SimpleNamespace(
        amqp=SimpleNamespace(queues=SimpleNamespace(consume_from={"ml": 1, "store": 2})),
        connection_for_read=lambda: Broker(4),
        conf=SimpleNamespace(task_time_limit=120, worker_proc_alive_timeout=100),
    )
    qos = SimpleNamespace(can_consume=lambda: True)
    return SimpleNamespace(
        app=application,
        pool=SimpleNamespace(num_processes=2),
        task_consumer=SimpleNamespace(channel=SimpleNamespace(qos=qos)),
        task_buckets={"tasks.x": None},
    )


def request(hard: float | None) -> SimpleNamespace:
    return SimpleNamespace(time_limits=(hard, None), task=SimpleNamespace(time_limit=None))


class Active(list):
    """Requests that count as active; they need no hash."""


def test_the_watchdog_counts_what_waits_in_the_queues_that_the_worker_consumes(consumer):
    assert Watchdog(consumer, 60.0).look() == Look(8, 0)


def test_a_consumer_that_was_cancelled_waits_for_nothing(consumer):
    consumer.app.amqp.queues.consume_from = {}
    assert not Watchdog(consumer, 60.0).look().waiting


def test_nothing_waits_while_the_broker_is_away(consumer):
    consumer.app.connection_for_read = lambda: Broker(-1)
    assert not Watchdog(consumer, 60.0).look().waiting


def test_a_rate_limit_holds_tasks_back_on_purpose(consumer):
    consumer.task_buckets["tasks.slow"] = SimpleNamespace(contents=deque(["a request"]))
    assert not Watchdog(consumer, 60.0).look().waiting


def test_a_free_process_must_take_the_next_task_at_once(consumer, monkeypatch):
    monkeypatch.setattr(state, "active_requests", Active([request(4500)]))
    assert Watchdog(consumer, 60.0).look().busy_seconds == 0.0


def test_when_all_are_busy_the_first_limit_that_ends_counts(consumer, monkeypatch):
    monkeypatch.setattr(state, "active_requests", Active([request(4500), request(None)]))
    assert Watchdog(consumer, 60.0).look().busy_seconds == 120.0


def test_a_full_prefetch_counts_as_busy_too(consumer, monkeypatch):
    consumer.task_consumer.channel.qos.can_consume = lambda: False
    monkeypatch.setattr(state, "active_requests", Active([request(30)]))
    assert Watchdog(consumer, 60.0).look().busy_seconds == 30.0


def test_a_worker_that_is_connecting_again_has_only_its_patience(consumer):
    consumer.task_consumer = None
    assert Watchdog(consumer, 60.0).look() == Look(8, 0)


def test_children_that_load_their_models_may_take_as_long_as_they_are_given(consumer, monkeypatch):
    consumer.task_consumer.channel.qos.can_consume = lambda: False
    monkeypatch.setattr(state, "reserved_requests", {"a request"})
    assert Watchdog(consumer, 60.0).look().busy_seconds == 100.0
