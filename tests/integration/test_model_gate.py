"""The limits that all workers share, on a real Redis: slots, pace, pauses and the circuit breaker; and the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from app.config import Settings
from app.memory.errors import BackendUnavailable
from app.memory.models import ModelUsage
from app.providers.llm import OpenAIGenerator
from app.store.client import connect
from app.store.model_gate import GateLimits, ModelGate
from app.store.usage import UsageRepository
from tests.support.builders import unique
from tests.support.redis_server import session_redis
from tests.support.scripted_llm import as_text, error, slowly
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration
ASK = [{"role": "user", "content": "?"}]


@pytest.fixture(scope="module")
def redis() -> Iterator[Any]:
    with session_redis() as url:
        yield connect(Settings(redis_url=url))


@pytest.fixture
def gate(redis: Any) -> Callable[..., ModelGate]:
    endpoint = unique("endpoint")

    def make(**limits: Any) -> ModelGate:
        usual = {
            "max_concurrency": 4,
            "requests_per_minute": 0,
            "slot_seconds": 30,
            "breaker_failures": 3,
            "breaker_seconds": 0.5,
        }
        return ModelGate(redis, endpoint, GateLimits(**{**usual, **limits}))

    return make


def test_slots_are_shared_and_a_dead_holder_frees_its_own(gate):
    first, second = gate(max_concurrency=2, slot_seconds=0.3), gate(max_concurrency=2, slot_seconds=0.3)
    assert first.enter("a") == (0, "")
    assert second.enter("b") == (0, "")
    wait, reason = first.enter("c")
    assert (wait > 0, reason) == (True, "busy")
    second.leave("b", "ok")
    assert first.enter("c") == (0, "")
    wait_until(lambda: first.enter("d") == (0, ""), 3, "the slots of those that never left are free again")


def test_the_pace_is_shared(gate):
    first, second = gate(requests_per_minute=600), gate(requests_per_minute=600)
    started = time.monotonic()
    admitted = 0
    while admitted < 12:
        one = (first, second)[admitted % 2]
        wait, reason = one.enter(f"t{admitted}")
        if wait:
            assert reason == "pace"
            time.sleep(wait)
        else:
            one.leave(f"t{admitted}", "ok")
            admitted += 1
    assert time.monotonic() - started >= 0.6, "5 at once, then one every 100 ms"


def test_the_breaker_opens_after_failures_in_a_row_lets_one_probe_and_closes_on_success(gate):
    one, other = gate(), gate()
    for token in "abc":
        assert one.enter(token) == (0, "")
        one.leave(token, "failed")
    wait, reason = other.enter("d")
    assert reason == "open"
    assert 0 < wait <= 0.5
    time.sleep(wait + 0.01)
    assert other.enter("probe") == (0, "")
    assert one.enter("e")[1] == "open", "the others wait for the probe"
    other.leave("probe", "ok")
    assert one.enter("e") == (0, "")


def test_a_success_between_failures_keeps_the_breaker_closed(gate):
    one = gate()
    for outcome in ("failed", "failed", "ok", "failed", "failed"):
        assert one.enter("a") == (0, "")
        one.leave("a", outcome)
    assert one.enter("a") == (0, "")


def test_retry_after_pauses_everybody(gate):
    one, other = gate(), gate()
    one.enter("a")
    one.leave("a", "neutral", pause_seconds=0.4)
    wait, reason = other.enter("b")
    assert reason == "paused"
    time.sleep(wait + 0.01)
    assert other.enter("b") == (0, "")


def _client(redis: Any, gate: ModelGate, llm: Any, **settings: Any) -> OpenAIGenerator:
    ledger = UsageRepository(redis, keep_days=3)
    return OpenAIGenerator(Settings(openai_base_url=llm.base_url, **settings), gate=gate, ledger=ledger)


def test_two_clients_together_never_exceed_the_concurrency(redis, gate, scripted_llm):
    scripted_llm.reply_always(slowly(0.1, as_text("ok")))
    clients = [_client(redis, gate(max_concurrency=3), scripted_llm) for _ in range(2)]
    with ThreadPoolExecutor(12) as pool:
        calls = [pool.submit(clients[i % 2].generate_text, purpose="x", messages=ASK) for i in range(12)]
        assert [c.result() for c in calls] == ["ok"] * 12
    assert scripted_llm.most_in_flight == 3


def test_an_open_breaker_spares_the_endpoint_and_says_when_to_come_back(redis, gate, scripted_llm):
    scripted_llm.reply_always(error(500))
    client = _client(redis, gate(breaker_seconds=30), scripted_llm, llm_max_retries=0)
    for _ in range(6):
        with pytest.raises(BackendUnavailable) as raised:
            client.generate_text(purpose="x", messages=ASK)
    assert len(scripted_llm.chats) == 3
    assert "next attempt in" in str(raised.value)


def test_the_ledger_sums_up_by_tenant_model_and_purpose(redis):
    ledger = UsageRepository(redis, keep_days=3)
    one, other = unique("ns"), unique("ns")
    for namespace, purpose, cost in (
        (one, "extract", 0.25),
        (one, "extract", 0.5),
        (one, "ground", None),
        (other, "x", 1.0),
    ):
        ledger.note(ModelUsage(namespace, "m", purpose, 1, 0, 10, 3, cost))
    ledger.note(ModelUsage(None, "m", "extract", 1, 1))
    assert ledger.read([one], days=1) == [
        ModelUsage(one, "m", "extract", 2, 0, 20, 6, 0.75),
        ModelUsage(one, "m", "ground", 1, 0, 10, 3, None),
    ]
    assert {one, other, None} <= set(ledger.namespaces())
    key = redis.keys(f"llmu:*{one[3:]}*")[0]
    assert 0 < redis.ttl(key) <= 3 * 86_400
