"""The model client against a scripted endpoint on a real socket: good answers, bad answers, no answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.config import Settings
from app.memory.errors import BackendUnavailable, ModelFailure
from app.memory.models import ModelUsage
from app.providers.llm import OpenAIGenerator
from app.providers.llm.parsing import Unusable, conforming, parse_json
from tests.support.scripted_llm import (
    ScriptedLLM,
    as_json,
    as_text,
    broken_json,
    empty,
    error,
    hang_up,
    in_a_fence,
    refused,
    slowly,
)
from tests.support.waiting import wait_until

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["memories"],
    "properties": {
        "memories": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["text", "date"],
                "properties": {"text": {"type": "string"}, "date": {"type": ["string", "null"]}},
            },
        }
    },
}
TEA = {"memories": [{"text": "User likes tea", "date": None}]}
ASK = [{"role": "user", "content": "What do you know?"}]


@dataclass
class OpenGate:
    """Lets everybody in, and remembers how they left."""

    left: list[tuple[str, float]] = field(default_factory=list)

    def enter(self, token: str) -> tuple[float, str]:
        return 0.0, ""

    def leave(self, token: str, outcome: str, *, pause_seconds: float = 0.0) -> None:
        self.left.append((outcome, pause_seconds))


@dataclass
class Notes:
    """The ledger as a list."""

    rows: list[ModelUsage] = field(default_factory=list)

    def note(self, usage: ModelUsage) -> None:
        self.rows.append(usage)


@pytest.fixture
def gate() -> OpenGate:
    return OpenGate()


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def make(scripted_llm: ScriptedLLM, gate: OpenGate, notes: Notes, monkeypatch) -> Callable[..., OpenAIGenerator]:
    monkeypatch.setattr("app.providers.llm.failures.FIRST_PAUSE_SECONDS", 0.01)

    def client(**settings: Any) -> OpenAIGenerator:
        options = {"openai_base_url": scripted_llm.base_url, "openai_api_key": "k", "generation_model": "big"}
        return OpenAIGenerator(Settings(**{**options, **settings}), gate=gate, ledger=notes)

    return client


def ask(client: OpenAIGenerator, **more: Any) -> dict[str, Any]:
    return client.generate_json(purpose="extract", messages=ASK, schema=SCHEMA, **more)


def test_a_schema_is_asked_for_and_its_answer_returned(make, scripted_llm, gate):
    scripted_llm.reply(as_json(TEA))
    assert ask(make()) == TEA
    request = scripted_llm.chats[0]
    assert (request.response_format, request.purpose, request.schema) == ("json_schema", "extract", SCHEMA)
    assert (request.body["model"], request.messages) == ("big", ASK)
    assert gate.left == [("ok", 0.0)]


def test_an_endpoint_without_schemas_gets_json_mode_and_one_without_that_the_schema_in_words(make, scripted_llm):
    scripted_llm.json_schema = False
    scripted_llm.reply_always(as_json(TEA))
    client = make()
    assert ask(client) == TEA
    assert [r.response_format for r in scripted_llm.chats] == ["json_schema", "json_object"]
    assert '"memories"' in scripted_llm.chats[1].text, "JSON mode says the schema in words"
    ask(client)
    assert [r.response_format for r in scripted_llm.chats[2:]] == ["json_object"], "what was refused is remembered"
    scripted_llm.json_mode = False
    assert ask(client) == TEA
    assert scripted_llm.chats[-1].response_format == "text"
    assert '"memories"' in scripted_llm.chats[-1].text


@pytest.mark.parametrize(
    "reply",
    [
        in_a_fence(TEA),
        as_text('Here you are: {"memories": [{"text": "User likes tea", "date": null,},]} - done'),
        as_text('<think>{"no": 1}</think>{"memories": [{"text": "User likes tea"}]}'),
        as_json([{"text": "User likes tea"}]),
        as_json({"memories": [{"text": "User likes tea", "why": "said so"}], "note": "x"}),
    ],
    ids=["fenced", "prose and trailing commas", "thinking", "bare list", "unknown and missing properties"],
)
def test_untidy_answers_are_read(make, scripted_llm, reply):
    scripted_llm.reply(reply)
    assert ask(make()) == TEA
    assert len(scripted_llm.chats) == 1


@pytest.mark.parametrize(
    "reply", [broken_json(), empty(), as_text("I do not know."), as_json({"facts": []}), as_json({"memories": [1]})]
)
def test_an_unusable_answer_is_asked_for_again_with_what_is_wrong(make, scripted_llm, reply):
    scripted_llm.reply(reply, as_json(TEA))
    assert ask(make()) == TEA
    assert "cannot be used" in scripted_llm.chats[1].text


def test_three_unusable_answers_are_a_model_failure(make, scripted_llm, notes):
    scripted_llm.reply_always(broken_json())
    with pytest.raises(ModelFailure, match="no usable answer for extract"):
        ask(make())
    assert len(scripted_llm.chats) == 3
    assert sum(row.calls for row in notes.rows) == 3, "unusable answers are paid for as well"


def test_good_items_are_not_lost_with_a_bad_one(make, scripted_llm):
    scripted_llm.reply_always(as_json({"memories": [{"text": 7}, {"text": "User likes tea"}]}))
    assert ask(make()) == TEA


def test_a_refusal_is_a_model_failure(make, scripted_llm):
    scripted_llm.reply(refused())
    with pytest.raises(ModelFailure, match="refused"):
        ask(make())


@pytest.mark.parametrize("bad", [error(500), error(503), error(429), hang_up(), error(408)])
def test_passing_failures_are_retried(make, scripted_llm, notes, bad):
    scripted_llm.reply(bad, bad, as_json(TEA))
    assert ask(make()) == TEA
    assert [row.failed_calls for row in notes.rows] == [1, 1, 0]


def test_lasting_failures_are_backend_unavailable_after_the_retries(make, scripted_llm, gate):
    scripted_llm.reply_always(error(500))
    with pytest.raises(BackendUnavailable, match=r"failed 3 time\(s\)"):
        ask(make(llm_max_retries=2))
    assert len(scripted_llm.chats) == 3
    assert gate.left == [("failed", 0.0)] * 3


def test_retry_after_is_honoured_and_told_to_everybody(make, scripted_llm, gate):
    scripted_llm.reply(error(429, retry_after=0.6), as_json(TEA))
    started = time.monotonic()
    ask(make())
    assert 0.6 <= time.monotonic() - started < 3
    outcome, pause = gate.left[0]
    assert outcome == "neutral", "a rate limit is no fault of the endpoint"
    assert pause >= 0.6


def test_a_longer_wait_than_there_is_time_for_fails_at_once(make, scripted_llm):
    scripted_llm.reply(error(429, retry_after=600))
    started = time.monotonic()
    with pytest.raises(BackendUnavailable, match="asks to wait 600 s"):
        ask(make())
    assert time.monotonic() - started < 2


def test_a_slow_endpoint_is_given_up_at_the_deadline(make, scripted_llm):
    scripted_llm.reply_always(slowly(3, as_json(TEA)))
    started = time.monotonic()
    with pytest.raises(BackendUnavailable):
        ask(make(llm_timeout_seconds=1, llm_max_retries=9), deadline_seconds=1.5)
    assert time.monotonic() - started < 2.9


def test_more_calls_than_may_run_wait_for_each_other(make, scripted_llm):
    scripted_llm.reply_always(slowly(0.2, as_json(TEA)))
    client = make(llm_max_concurrency=2)
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(lambda _: ask(client), range(6))) == [TEA] * 6
    assert scripted_llm.most_in_flight == 2


def test_waiting_for_others_counts_only_for_calls_with_a_deadline_of_their_own(make, scripted_llm):
    scripted_llm.reply(slowly(0.8, as_json(TEA)))
    client = make(llm_max_concurrency=1)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(ask, client)
        wait_until(lambda: scripted_llm.chats, 5)
        patient = client._call("extract", "big", None, None)
        before = patient.deadline
        waiting = pool.submit(client._enter, patient)
        with pytest.raises(BackendUnavailable, match="no room"):
            ask(client, deadline_seconds=0.2)
        assert first.result() == TEA
        client._leave(waiting.result(), "ok")
    assert 0.2 < patient.deadline - before < 0.9
    # The broker delivers a task again after 150 s, and the call itself may take 90.
    assert 150 - 90 - 10 - 0.9 < patient.patience < 150 - 90 - 10 - 0.2
    assert len(scripted_llm.chats) == 1


@pytest.mark.parametrize("bad", [error(401), error(500), hang_up()])
def test_a_failed_call_leaves_its_place_to_the_next(make, scripted_llm, bad):
    scripted_llm.reply(bad)
    client = make(llm_max_concurrency=1, llm_max_retries=0)
    with pytest.raises(BackendUnavailable):
        ask(client)
    assert ask(client, deadline_seconds=2.0) == {"memories": []}


@pytest.mark.parametrize(
    ("status", "raised"), [(401, BackendUnavailable), (404, BackendUnavailable), (400, ModelFailure)]
)
def test_what_retrying_cannot_mend_is_not_retried(make, scripted_llm, status, raised):
    scripted_llm.reply_always(error(status))
    with pytest.raises(raised, match="refused"):
        ask(make())
    assert len(scripted_llm.chats) == 1


def test_calls_are_accounted_by_model_purpose_and_namespace_with_their_cost(make, scripted_llm, notes):
    scripted_llm.reply(as_json(TEA))
    ask(make(llm_prices={"big": [2.0, 10.0]}), namespace="acme")
    row = notes.rows[0]
    assert (row.namespace, row.model, row.purpose, row.calls, row.failed_calls) == ("acme", "big", "extract", 1, 0)
    assert row.prompt_tokens == scripted_llm.chats[0].prompt_tokens
    assert row.completion_tokens > 5
    assert row.cost_usd == pytest.approx((row.prompt_tokens * 2 + row.completion_tokens * 10) / 1e6)


def test_plain_text_and_its_limit(make, scripted_llm):
    scripted_llm.reply(error(400, message="Unsupported parameter: 'max_completion_tokens'"), as_text(" A summary. "))
    text = make().generate_text(purpose="summary", messages=ASK, model="small", max_tokens=50)
    assert text == "A summary."
    assert scripted_llm.chats[0].body["max_completion_tokens"] == 50
    assert scripted_llm.chats[1].body["max_tokens"] == 50
    assert scripted_llm.chats[1].body["model"] == "small"


def test_empty_text_is_a_model_failure(make, scripted_llm):
    scripted_llm.reply(empty())
    with pytest.raises(ModelFailure):
        make().generate_text(purpose="summary", messages=ASK)


def test_json_strings_may_hold_braces_and_quotes():
    assert parse_json('x {"a": "} \\" {", "b": [1]} y') == {"a": '} " {', "b": [1]}
    with pytest.raises(Unusable):
        parse_json("null")


def test_conforming_names_the_place_that_is_wrong():
    with pytest.raises(Unusable, match="memories/0/text"):
        conforming({"memories": [{"text": 1}]}, SCHEMA)
