"""Folding of long sessions, step by step in process on a real Redis: extractive, and with a scripted model."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from app.memory.errors import BackendUnavailable, ModelFailure
from app.memory.models import Fold, FoldDraft, FoldRef, Message, Scope, Session, SessionRef
from app.memory.windows import message_tokens
from app.memory.working import Window
from app.providers.tokens import count_tokens
from tests.support.builders import unique
from tests.support.engine import Engine, engine_on, session_redis
from tests.support.scripted_llm import LlmRequest, Reply, ScriptedLLM, as_text, empty, error, refused

pytestmark = pytest.mark.integration
TUESDAY = datetime(2026, 3, 10, 12, tzinfo=UTC)
WINDOW = Window(context_window_max=4096)
FACTS = {
    20: "My sister Anna is allergic to peanuts.",
    190: "We moved the launch to 14 September in Rotterdam.",
    310: "The door code of my office is 7741.",
}
SMALL_TALK = (
    "How was the weather today?",
    "I had a nice coffee this morning.",
    "That sounds great, tell me more about it.",
    "The traffic was awful again and I was late.",
    "Sure, I can help you with that.",
    "Could you rewrite this sentence so that it sounds nicer?",
    "You could make pasta with vegetables or a simple soup.",
    "We watched a film and it was okay.",
)


def conversation(length: int = 400) -> tuple[Message, ...]:
    """Small talk with a fact in each third."""
    chance = random.Random(5)
    return tuple(
        Message(
            f"m{i}",
            "user" if i % 2 == 0 or i in FACTS else "assistant",
            FACTS.get(i) or f"{chance.choice(SMALL_TALK)} {chance.choice(SMALL_TALK)}",
            TUESDAY + timedelta(minutes=i),
        )
        for i in range(length)
    )


def a_session(messages: tuple[Message, ...] | None = None, **more: Any) -> Session:
    ref = SessionRef(Scope(unique("ns"), "u"), "s")
    return Session(ref, conversation() if messages is None else messages, **more)


def telling(request: LlmRequest) -> Reply:
    """A model that keeps the facts and the part of the summary so far that it was given."""
    return as_text(" ".join(fact for fact in FACTS.values() if fact in request.text) or "Small talk.")


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with session_redis() as url:
        yield url


@pytest.fixture(scope="module")
def plain(redis_url: str) -> Iterator[Engine]:
    with engine_on(redis_url, extraction_backend="rules") as made:
        yield made


@pytest.fixture
def engine(redis_url: str, scripted_llm: ScriptedLLM) -> Iterator[Engine]:
    scripted_llm.reply_always(telling)
    with engine_on(
        redis_url, openai_base_url=scripted_llm.base_url, llm_max_retries=0, generation_model="gpt-3.5-turbo"
    ) as made:
        yield made


def put(engine: Engine, session: Session, window: Window = WINDOW) -> Session:
    return engine.container.working_memory.put(session, window)[0]


def get(engine: Engine, session: Session, window: Window = WINDOW) -> Session:
    return engine.container.working_memory.get(session.ref, window)[0]


def fold(engine: Engine, session: Session) -> None:
    work = engine.container.folding.summarize(FoldRef(session.ref))
    if work is not None:
        engine.container.folding.fold(work)


def due(engine: Engine, session: Session) -> list[Any]:
    """What the outbox holds for the session's tenant beside its promotion, due or not."""
    claimed, _dead = engine.container.outbox.claim(
        session.ref.scope.namespace, now=2e10, limit=10, lease_seconds=0, max_tries=99
    )
    return [work for work in claimed if isinstance(work, FoldRef)]


def shown_tokens(session: Session) -> int:
    return sum(map(message_tokens, session.messages)) + count_tokens(session.context or "")


def ids(session: Session) -> list[str]:
    return [m.id for m in session.messages]


@pytest.mark.parametrize("backend", ["plain", "engine"])
def test_a_long_session_fits_its_window_and_the_summary_names_the_facts_of_each_third(request, backend):
    engine: Engine = request.getfixturevalue(backend)
    session = a_session()
    put(engine, session)
    assert due(engine, session) == [FoldRef(session.ref)]
    before = get(engine, session)
    assert shown_tokens(before) <= 4096
    assert before.context is None
    fold(engine, session)
    after = get(engine, session)
    assert shown_tokens(after) <= 4096
    assert sum(map(message_tokens, after.messages)) <= 4096 * 0.4
    assert ids(after) == ids(session)[-len(after.messages) :]
    for fact in FACTS.values():
        assert fact in (after.context or "")
    assert due(engine, session) == []


def test_facts_survive_many_folds_without_a_model(plain: Engine):
    messages = conversation()
    session = a_session(())
    folds = 0
    for start in range(0, len(messages), 20):
        plain.container.working_memory.append(session.ref, messages[start : start + 20])
        if start == 0:
            put(plain, replace(session, messages=messages[:20]))
        if due(plain, session):
            fold(plain, session)
            folds += 1
        assert shown_tokens(get(plain, session)) <= 4096
    assert folds > 2
    shown = get(plain, session)
    said = "\n".join([shown.context or "", *(m.content for m in shown.messages)])
    assert [fact for fact in FACTS.values() if fact not in said] == []


def test_the_model_reads_everything_in_order_and_in_several_passes_if_it_must(engine: Engine, scripted_llm):
    session = a_session()
    put(engine, session)
    fold(engine, session)
    requests = scripted_llm.chats
    assert len(requests) > 2, "a model of 4,096 tokens cannot read all at once"
    assert max(r.prompt_tokens for r in requests) < 4096 - 512
    kept = set(ids(get(engine, session)))
    lines = "\n".join(r.text for r in requests)
    expected = [f"{m.role}: {m.content}" for m in session.messages if m.id not in kept]
    position = 0
    for line in expected:
        position = lines.find(line, position)
        assert position >= 0, line
    for earlier, later in pairwise(requests):
        assert telling(earlier).content in later.text, "each pass goes on from the summary so far"


def test_a_message_longer_than_the_models_window_is_read_piece_by_piece(engine: Engine, scripted_llm):
    words = " ".join(f"word{i}" for i in range(4000))
    session = a_session((Message("long", "user", words, TUESDAY), *conversation(60)[1:]))
    put(engine, session)
    fold(engine, session)
    read = "\n".join(r.text for r in scripted_llm.chats)
    assert [i for i in range(4000) if f"word{i}" not in read] == []
    assert max(r.prompt_tokens for r in scripted_llm.chats) < 4096
    assert "long" not in ids(get(engine, session))


def test_a_put_of_the_full_old_list_does_not_undo_the_summary(plain: Engine):
    session = a_session()
    put(plain, session)
    fold(plain, session)
    folded = get(plain, session)
    for context in (None, "", folded.context):
        stored = put(plain, replace(session, context=context))
        assert (stored.messages, stored.context) == (folded.messages, folded.context)
        assert get(plain, session) == replace(folded, revision=stored.revision, updated_at=stored.updated_at)
    assert due(plain, session) == []


def test_a_client_that_names_no_ids_gets_the_summary_back_too(plain: Engine):
    session = a_session(tuple(replace(m, id="") for m in conversation()))
    put(plain, session)
    fold(plain, session)
    folded = get(plain, session)
    put(plain, session)
    assert ids(get(plain, session)) == ids(folded)


def test_what_the_client_was_shown_can_be_put_back(plain: Engine):
    session = a_session()
    put(plain, session)
    fold(plain, session)
    shown = get(plain, session)
    more = Message("new", "user", "And one more thing.", TUESDAY + timedelta(days=1))
    put(plain, replace(shown, messages=(*shown.messages, more)))
    again = get(plain, session)
    assert (again.context, ids(again)) == (shown.context, [*ids(shown), "new"])
    put(plain, session)
    assert get(plain, session).context == shown.context
    assert ids(get(plain, session)) == ids(shown), "the old list came without the new message"


def test_a_clients_own_context_goes_into_the_summary_once(plain: Engine):
    session = a_session(context="The user's name is Marlies Vanderstraeten.")
    put(plain, session)
    fold(plain, session)
    summary = get(plain, session).context or ""
    assert "Marlies Vanderstraeten" in summary
    put(plain, session)
    assert get(plain, session).context == summary, "the same context brings nothing new"
    put(plain, replace(session, context="They are a customer since 2019."))
    assert get(plain, session).context == f"They are a customer since 2019.\n\n{summary}"
    put(plain, replace(session, context=f"{summary}\nEdited by the client."))
    assert get(plain, session).context == f"{summary}\nEdited by the client."


def test_a_put_between_draft_and_fold_loses_neither(plain: Engine):
    session = a_session()
    put(plain, session)
    work = plain.container.folding.summarize(FoldRef(session.ref))
    late = _again(conversation())
    edited = replace(session.messages[0], content="Edited while the summary was made.")
    put(plain, replace(session, messages=(edited, *session.messages[1:], *late), data={"kept": True}))
    plain.container.folding.fold(work)
    after = get(plain, session)
    assert ids(after)[-1] == late[-1].id
    everything = get(plain, session, Window())
    assert ids(everything)[-len(late) :] == ids(replace(session, messages=late))
    assert everything.messages[0] == edited, "an edited message is not the one that was summarized"
    assert FACTS[20] in (after.context or "")
    assert after.data == {"kept": True}
    assert due(plain, session) == [FoldRef(session.ref)], "too long again"
    fold(plain, session)
    assert ids(get(plain, session, Window()))[-1] == late[-1].id
    assert due(plain, session) == []


@pytest.mark.parametrize(
    ("answer", "raised"),
    [(error(500), BackendUnavailable), (error(400), ModelFailure), (empty(), ModelFailure), (refused(), ModelFailure)],
)
def test_a_failed_model_call_changes_nothing_and_the_next_try_goes_on_from_the_last_pass(
    engine: Engine, scripted_llm, answer, raised
):
    session = a_session()
    put(engine, session)
    before = get(engine, session)
    scripted_llm.reply(telling, answer)
    with pytest.raises(raised):
        engine.container.folding.summarize(FoldRef(session.ref))
    assert get(engine, session) == before
    assert due(engine, session) == [FoldRef(session.ref)]
    first, asked = scripted_llm.chats[0].text, len(scripted_llm.chats)
    fold(engine, session)
    assert first not in [r.text for r in scripted_llm.chats[asked:]], "the first pass is not paid for twice"
    assert all(fact in (get(engine, session).context or "") for fact in FACTS.values())


def test_folding_twice_at_once_folds_once(plain: Engine):
    session = a_session()
    put(plain, session)
    for _ in range(2):
        work = plain.container.folding.summarize(FoldRef(session.ref))
    assert work is not None
    plain.container.folding.fold(work)
    once = get(plain, session)
    plain.container.folding.fold(work)
    assert get(plain, session) == once


def test_folded_messages_are_still_distilled(plain: Engine):
    session = a_session(conversation(40))
    put(plain, session, Window(context_window_max=400))
    fold(plain, session)
    shown = get(plain, session)
    assert "m20" not in ids(shown)
    put(plain, shown)
    plain.promote(session.ref)
    assert "allergic to peanuts" in "\n".join(m.text for m in plain.memories(session.ref))


def test_a_deleted_or_emptied_session_keeps_nothing_of_its_summary(plain: Engine):
    session = a_session()
    for restart in ("delete", "empty"):
        put(plain, session)
        work = plain.container.folding.summarize(FoldRef(session.ref))
        if restart == "delete":
            plain.container.working_memory.delete(session.ref)
        else:
            put(plain, replace(session, messages=()))
        put(plain, replace(session, messages=session.messages[:3]))
        plain.container.folding.fold(work)
        after = get(plain, session)
        assert (after.context, len(after.messages)) == (None, 3)
        plain.container.working_memory.delete(session.ref)


def test_an_erased_user_leaves_no_summary_behind_even_one_in_the_making(plain: Engine):
    session, other = a_session(), a_session()
    for one in (session, other):
        put(plain, one)
    fold(plain, session)
    put(plain, replace(session, messages=_again(conversation())))
    work = plain.container.folding.summarize(FoldRef(session.ref))
    receipt = plain.container.erasure.erase(session.ref.scope)
    assert receipt.deleted["folds"] == 1
    plain.container.folding.fold(work)
    plain.container.folding._folds.save_draft(session.ref, FoldDraft("", 0, Fold("late")))
    assert (due(plain, session), plain.container.folding._folds.draft(session.ref)) == ([], None)
    assert due(plain, other) == [FoldRef(other.ref)]


def test_a_folded_session_can_be_carried_elsewhere(plain: Engine):
    session = a_session()
    put(plain, session)
    fold(plain, session)
    folded = get(plain, session)
    lines = list(plain.container.erasure.export(session.ref.scope.namespace))
    plain.container.working_memory.delete(session.ref)
    list(plain.container.erasure.load(lines, session.ref.scope.namespace))
    assert get(plain, session) == folded


def test_the_folds_of_a_session_expire_with_it(plain: Engine):
    session = a_session(ttl_seconds=3600)
    put(plain, session)
    fold(plain, session)
    redis = plain.container.redis
    lifetimes = {
        k[:3]: redis.pttl(k) for k in redis.scan_iter(f"wm*{session.ref.scope.namespace.replace('-', '_2D')}*")
    }
    assert abs(lifetimes[b"wmf"] - lifetimes[b"wm:"]) < 1000
    put(plain, replace(session, ttl_seconds=None))
    assert {redis.pttl(k) for k in redis.scan_iter(f"wmf*{session.ref.scope.namespace.replace('-', '_2D')}*")} == {-1}


def test_a_session_without_a_window_is_folded_by_the_default_one_and_short_ones_never(plain: Engine):
    short, long = a_session(conversation(100)), a_session((*conversation(), *_again(conversation())))
    assert sum(map(message_tokens, short.messages)) < 11_200 < sum(map(message_tokens, long.messages))
    put(plain, short, Window())
    put(plain, long, Window())
    assert (due(plain, short), due(plain, long)) == ([], [FoldRef(long.ref)])


def test_summarization_can_be_switched_off(redis_url: str):
    with engine_on(redis_url, enable_working_memory_summarization=False) as off:
        session = a_session()
        put(off, session)
        assert due(off, session) == []


def test_the_models_tokens_are_counted_once(engine: Engine):
    session = a_session(tokens=7)
    put(engine, session)
    fold(engine, session)
    spent = get(engine, session).tokens
    assert spent > 5000
    put(engine, get(engine, session))
    assert get(engine, session).tokens == spent


def test_a_summary_that_is_too_long_is_shortened(engine: Engine, scripted_llm):
    scripted_llm.reply_always(as_text(" ".join(f"Sentence number {i} says something long." for i in range(400))))
    session = a_session()
    put(engine, session)
    fold(engine, session)
    assert 0 < count_tokens(get(engine, session).context or "") <= 4096 * 0.2


def test_a_custom_prompt_is_used(redis_url: str, scripted_llm):
    with engine_on(
        redis_url,
        openai_base_url=scripted_llm.base_url,
        progressive_summarization_prompt="SO FAR<{prev_summary}> NEW<{messages_joined}> {not a placeholder}",
    ) as custom:
        session = a_session(context="Before {messages_joined}.")
        put(custom, session)
        fold(custom, session)
    asked = scripted_llm.chats[0].messages[-1]["content"]
    assert asked.startswith("SO FAR<Before {messages_joined}.> NEW<user: ")
    assert asked.endswith("> {not a placeholder}")


def _again(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    return tuple(replace(m, id=f"again-{m.id}", created_at=m.created_at + timedelta(days=1)) for m in messages)


def test_each_fold_is_an_event_of_its_user_written_with_it(redis_url: str):
    with engine_on(redis_url, extraction_backend="rules", events_max_entries=100) as engine:
        session = a_session()
        put(engine, session)
        fold(engine, session)
        fold(engine, session)  # nothing is left to fold
        found = engine.container.events.read(session.ref.scope)
        assert [(event.type, dict(event.details)) for event in found] == [("session.summarized", {"session_id": "s"})]
        assert engine.container.events.waiting() == 0, "there is no webhook"


def test_a_fold_that_comes_to_nothing_is_no_event(redis_url: str):
    with engine_on(redis_url, extraction_backend="rules", webhook_url="http://127.0.0.1:1", webhook_secret="s") as made:
        session = a_session()
        put(made, session)
        work = made.container.folding.summarize(FoldRef(session.ref))
        made.container.working_memory.delete(session.ref)
        made.container.folding.fold(work)
        assert made.container.events.read(session.ref.scope) == []
        other = a_session()
        put(made, other)
        fold(made, other)
        waiting = made.container.events.claim(2 * 10**12, limit=10**6, until_ms=2 * 10**12)
        assert other.ref.scope in waiting, "the webhook is to be told"
