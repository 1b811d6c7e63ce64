"""The engine on a real store: many writers, undoing, compaction while others search, erasing, carrying over."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.container import Container
from app.memory.filters import MemoryFilter
from app.memory.identity import new_id
from app.memory.lifecycle import ForgetPolicy, tenant_filter
from app.memory.models import Batch, BatchRef, Memory, Message, Scope, Session, SessionRef, utc_now
from app.memory.search import SearchRequest
from app.store import document, keys
from app.store.compaction import CompactionRepository
from tests.quality.evolving_facts import measure
from tests.support.builders import unique
from tests.support.engine import engine_at, fact

pytestmark = pytest.mark.integration


def of(scope: Scope, *memories: Memory) -> list[Memory]:
    return [replace(m, namespace=scope.namespace, user_id=scope.user_id) for m in memories]


def store(engine: Container, scope: Scope, *memories: Memory, deduplicate: bool = True, actor: Any = "client") -> list:
    own = [replace(m, persisted_at=utc_now()) for m in of(scope, *memories)]
    return engine.consolidation.store(
        own, engine.embedder.embed([m.text for m in own]), deduplicate=deduplicate, actor=actor
    )


def everything(scope: Scope) -> MemoryFilter:
    return tenant_filter(scope.namespace)


def texts(engine: Container, scope: Scope, **more: Any) -> list[str]:
    request = SearchRequest(condition=replace(everything(scope), **more), limit=100)
    return sorted(hit.memory.text for hit in engine.search.search(request).memories)


# -- many writers ----------------------------------------------------------------------

FACTS = [f"{name} lives in {place}" for name, place in zip(
    ("Ana", "Bo", "Cem", "Dora", "Eli", "Finn", "Gus", "Hana", "Ida", "Jan"),
    ("Lisbon", "Oslo", "Kyoto", "Prague", "Lyon", "Turin", "Graz", "Bonn", "Cork", "Bath"), strict=True)]  # fmt: skip


def test_eight_workers_that_store_the_same_facts_at_once_end_with_one_record_each(engine: Container, scope: Scope):
    url = str(engine.settings.redis_url)

    def worker(number: int) -> None:
        own = engine_at(url)
        own.__dict__["embedder"] = engine.embedder
        for place in range(len(FACTS)):
            # Equal words from half of the workers, other words for the same fact from the others.
            text = FACTS[(place + number) % len(FACTS)]
            said = text if number % 2 else text.replace("lives", "resides")
            store(own, scope, fact(f"{number}-{place}", said, day=1), actor="pipeline")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(worker, range(8)))
    assert len(texts(engine, scope)) == len(FACTS)


def test_an_update_by_two_workers_at_once_leaves_one_current_value(engine: Container, scope: Scope):
    store(engine, scope, fact("a", "User lives in Lisbon"))
    with ThreadPoolExecutor(2) as pool:
        moves = (fact("b", "User moved to Porto", day=2), fact("c", "User moved to Faro", day=3))
        list(pool.map(lambda move: store(engine, scope, move), moves))
    assert texts(engine, scope) == ["User moved to Faro"]
    assert texts(engine, scope, as_of=fact("", "", day=2.5).created_at) == ["User moved to Porto"]
    assert texts(engine, scope, as_of=fact("", "", day=1).created_at) == ["User lives in Lisbon"]


def test_the_past_told_in_any_order_makes_the_same_timeline(engine: Container):
    said = [(0, "User lives in Lisbon"), (10, "User moved to Porto"), (20, "User now lives in Faro")]
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)):
        scope = Scope(unique("ns"), "u")
        for place in order:
            store(engine, scope, fact(str(place), said[place][1], day=said[place][0]))
        seen = [texts(engine, scope, as_of=fact("", "", day=day + 5).created_at) for day, _text in said]
        assert seen == [[text] for _day, text in said], order
        assert texts(engine, scope) == [said[2][1]]


def test_evolving_facts_are_answered_right(engine: Container):
    figures = measure(engine, unique("ns"), subjects=12)
    assert figures.rate("current") >= 0.95, figures.notes
    assert figures.rate("as_of") >= 0.95, figures.notes
    assert figures.rate("staying") >= 0.995, figures.notes


# -- undoing ----------------------------------------------------------------------

WORDS = ("User lives in Lisbon", "User moved to Porto", "User resides in Lisbon", "User has a dog",
         "User has a dog named Rex", "User likes tea", "User no longer likes tea", "User has two cats")  # fmt: skip
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, len(WORDS) - 1), st.integers(0, 30)),
        st.tuples(st.just("edit"), st.integers(0, 5), st.integers(0, len(WORDS) - 1)),
        st.tuples(st.just("delete"), st.integers(0, 5), st.just(0)),
        st.tuples(st.just("restore"), st.integers(0, 5), st.just(0)),
        st.tuples(st.just("compact"), st.just(0), st.just(0)),
    ),
    min_size=1,
    max_size=10,
)


def dump(engine: Container, scope: Scope) -> dict[str, Any]:
    """All records and fingerprints of a scope, as stored."""
    state: dict[str, Any] = {}
    for key in engine.redis.scan_iter(match=f"ltm*:{{{keys.encode(scope.namespace)}}}:*", count=10_000):
        if key.startswith(b"ltm:") or key.startswith(b"ltmh:"):
            state[key.decode()] = engine.redis.hgetall(key)
    return state


def apply(engine: Container, scope: Scope, step: tuple[str, int, int]) -> None:
    from app.memory.errors import Conflict, NotFound

    kind, one, two = step
    known = sorted({i for key in dump(engine, scope) if key.startswith("ltm:") for i in [key.rsplit(":", 1)[1]]})
    target = keys.decode(known[one % len(known)]) if known else None
    where = {"namespace": scope.namespace, "user_id": scope.user_id}
    if kind == "add":
        store(engine, scope, fact(new_id(), WORDS[one], day=two))
    elif kind == "compact":
        engine.compaction.compact(everything(scope))
    elif target is not None:
        try:
            if kind == "edit":
                engine.long_term_memory.update(target, {"text": WORDS[two]}, **where)
            elif kind == "delete":
                engine.long_term_memory.delete([target], **where)
            else:
                engine.history.restore(target, **where)
        except (Conflict, NotFound):
            pass  # Nothing to restore, or later changes come first: nothing happened.


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seeds=st.lists(st.integers(0, len(WORDS) - 1), max_size=4), steps=STEPS)
def test_undoing_all_changes_gives_back_the_state_before_them(engine: Container, seeds, steps):
    scope = Scope(unique("ns"), "u")
    for number, word in enumerate(seeds):
        store(engine, scope, fact(f"seed-{number}", WORDS[word], day=number), deduplicate=False)
    start = dump(engine, scope)
    now = int(engine.redis.get(keys.scope_version(scope)) or 0)
    for step in steps:
        apply(engine, scope, step)
    check_fingerprints(dump(engine, scope), scope)
    engine.history.rewind(scope, now)
    check_fingerprints(dump(engine, scope), scope)
    assert comparable(dump(engine, scope)) == comparable(start)


def comparable(state: dict[str, Any]) -> dict[str, Any]:
    """The records without what only grows quietly when a fact is said again: access times and folded ids."""
    quiet = {b"accessed", b"count", b"rev", b"put", b"aka"}
    found: dict[str, Any] = {}
    for key, fields in state.items():
        if key.startswith("ltm:"):
            found[key] = {f: v for f, v in fields.items() if f not in quiet}
            memory = document.from_fields(key, fields)
            found[key][b"doc"] = replace(memory, last_accessed=memory.created_at, access_count=0, aliases=())
    return found


def check_fingerprints(state: dict[str, Any], scope: Scope) -> None:
    """Each known fact is stated by the memory that stands for it."""
    for mark, owner in state.get(keys.fingerprints(scope), {}).items():
        assert state[keys.record(scope, keys.decode(owner.decode()) or "")][b"mark"] == mark


def test_a_restored_memory_is_the_one_that_it_was_to_the_byte(engine: Container, scope: Scope):
    store(engine, scope, fact("a", "User has a dog", topics=("pets",)), fact("b", "User lives in Lisbon"))
    before = dump(engine, scope)
    where = {"namespace": scope.namespace, "user_id": scope.user_id}
    store(engine, scope, fact("c", "User has a dog named Rex", day=2), actor="pipeline")
    engine.long_term_memory.update("a", {"topics": ("dogs",)}, **where)
    engine.long_term_memory.delete(["a"], **where)
    for _ in range(3):
        engine.history.restore("a", **where)
    store(engine, scope, fact("d", "User moved to Porto", day=2))
    assert engine.history.restore("b", **where).valid_to is None
    after = dump(engine, scope)
    own = keys.record(scope, "a"), keys.record(scope, "b")
    assert {k: after[k] for k in own} == {k: before[k] for k in own}


def test_what_compaction_folded_comes_apart_again(engine: Container, scope: Scope):
    store(engine, scope, fact("a", "User likes tea"), fact("b", "User enjoys tea", day=1), deduplicate=False)
    before = dump(engine, scope)
    assert engine.compaction.compact(everything(scope)) == 1
    assert engine.long_term_memory.get("b", namespace=scope.namespace).id == "a"
    engine.history.restore("b", namespace=scope.namespace, user_id=scope.user_id)
    assert {k: v for k, v in dump(engine, scope).items() if "ltm:" in k} == {
        k: v for k, v in before.items() if "ltm:" in k
    }


def test_history_and_log_are_bounded(engine: Container, scope: Scope):
    small = engine_at(str(engine.settings.redis_url), history_max_versions=3, change_log_max_entries=5)
    small.__dict__["embedder"] = engine.embedder
    store(small, scope, fact("a", "User likes tea"))
    for number in range(8):
        small.long_term_memory.update("a", {"topics": (str(number),)}, namespace=scope.namespace, user_id="u")
    assert len(small.changes.versions(scope, "a")) == 3
    assert len(small.changes.log(scope)) == 5


def test_facts_stored_at_once_are_one_entry_of_the_log_and_can_be_undone(engine: Container, scope: Scope):
    store(engine, scope, fact("first", "User likes tea"))
    before = dump(engine, scope)
    sequence = engine.changes.log(scope)[-1][0]
    ids = ['a"', "b[c]", "d\n[e]", "same"]
    news = ["User has a dog", "User owns a boat", "User plays chess", "User likes tea"]
    store(engine, scope, *(fact(i, text, day=1) for i, text in zip(ids, news, strict=True)))
    ((number, event),) = [entry for entry in engine.changes.log(scope) if entry[1]["kind"] == "created"][1:]
    assert (event["ids"], event["reason"]) == (ids[:3], "nothing like it was known")
    assert number > sequence
    engine.history.rewind(scope, sequence)
    assert comparable(dump(engine, scope)) == comparable(before)


def test_a_deleted_memory_is_not_extracted_again(engine: Container, scope: Scope):
    said = fact("a", "User likes tea", extracted_from=("m1",))
    store(engine, scope, said, actor="pipeline")
    engine.long_term_memory.delete(["a"], namespace=scope.namespace, user_id="u")
    again = store(engine, scope, said, replace(said, id="b", text="User enjoys tea"), actor="pipeline")
    assert [outcome.status for outcome in again] == ["deleted", "deleted"]
    assert texts(engine, scope) == []
    assert store(engine, scope, said)[0].status == "stored", "a client's own word brings it back"


def test_running_a_step_again_changes_nothing(engine: Container, scope: Scope):
    batch = [fact("a", "User lives in Lisbon"), fact("b", "User moved to Porto", day=2), fact("c", "User likes tea"),
             fact("d", "User enjoys tea", day=1)]  # fmt: skip
    store(engine, scope, *batch, actor="pipeline")
    known = texts(engine, scope)
    before = len(engine.changes.log(scope))
    for _ in range(2):
        outcomes = store(engine, scope, *batch, actor="pipeline")
        assert {outcome.status for outcome in outcomes} == {"same"}
    assert texts(engine, scope) == known == ["User likes tea", "User moved to Porto"]
    assert len(engine.changes.log(scope)) == before


def test_known_facts_and_folded_ids_are_told_apart_in_a_batch(engine: Container, scope: Scope):
    first = [fact(f"f{n}", text, day=1) for n, text in enumerate(FACTS)]
    store(engine, scope, *first)
    assert store(engine, scope, fact("twin", f"{FACTS[3]} near the old river port", day=1))[0].memory_id == "f3"
    batch = [fact(f"g{n}", text, day=1) for n, text in enumerate(FACTS)]
    new = [fact("n1", "User paints owls", day=2), fact("twin", "User collects stamps from Peru", day=2)]
    outcomes = store(engine, scope, *batch, *new, actor="pipeline")
    assert [outcome.memory_id for outcome in outcomes] == [*(f"f{n}" for n in range(len(FACTS))), "n1", "f3"]
    assert {outcome.status for outcome in outcomes[: len(FACTS)]} == {"same"}


# -- compaction ----------------------------------------------------------------------


def test_every_fact_is_found_at_every_moment_of_compaction(engine: Container, scope: Scope):
    lost: list[str] = []
    asked = 0
    ready, stop = threading.Event(), threading.Event()

    def probe() -> None:
        nonlocal asked
        prober = engine_at(str(engine.settings.redis_url))
        prober.__dict__["embedder"] = engine.embedder
        ready.wait()
        while not stop.is_set():
            for text in FACTS:
                found = prober.search.search(SearchRequest(text=text, condition=everything(scope), limit=1)).memories
                asked += 1
                if not found or found[0].memory.text != text:
                    lost.append(text)

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        rounds = 0
        while rounds < 4 or asked < 10 * len(FACTS):
            copies = [fact(f"{n}-{rounds}-{c}", text, day=c) for n, text in enumerate(FACTS) for c in range(6)]
            store(engine, scope, *copies, deduplicate=False)
            ready.set()
            assert engine.compaction.compact(everything(scope)) == len(FACTS)
            rounds += 1
    finally:
        stop.set()
        thread.join()
    assert lost == []


def test_compaction_goes_on_where_it_stopped_and_says_how_far_it_is(engine: Container, scope: Scope):
    for start in range(0, 240, 40):
        some = [fact(str(n), f"User likes tea number {n // 2}", day=n) for n in range(start, start + 40)]
        store(engine, scope, *some, deduplicate=False)
    assert engine.compaction.due(scope.namespace)
    slices = 0
    while not engine.compaction.slice(scope.namespace, new_id(), seconds=0.0):
        slices += 1
        progress = CompactionRepository(engine.redis).load(scope.namespace)
        assert progress is not None
        task = engine.tasks.get(progress.task_id)
        assert task is not None
        assert task.status == "running"
        assert 0 < task.details["memories_done"] <= task.details["memories_total"]
    assert slices >= 2
    assert engine.tasks.get(task.id).status == "success"  # type: ignore[union-attr]
    assert len(texts(engine, scope)) == 100  # a page of the 120
    assert engine.records.count(everything(scope)) == 120
    assert not engine.compaction.due(scope.namespace)
    store(engine, scope, fact("new", "User likes rain"))
    assert engine.compaction.due(scope.namespace)


def test_two_compactions_of_a_tenant_do_not_run_at_once(engine: Container, scope: Scope):
    store(engine, scope, fact("a", "User likes tea"), fact("b", "User likes tea"), deduplicate=False)
    progress = CompactionRepository(engine.redis)
    assert progress.acquire(scope.namespace, "somebody")
    assert engine.compaction.slice(scope.namespace, new_id(), seconds=5)
    assert engine.records.count(everything(scope)) == 2
    progress.release(scope.namespace, "somebody")
    assert engine.compaction.slice(scope.namespace, new_id(), seconds=5)
    assert engine.records.count(everything(scope)) == 1


def test_forgetting_leaves_an_audit_record_and_can_be_undone(engine: Container, scope: Scope):
    store(
        engine, scope, fact("old", "User likes tea", day=-400), fact("pinned", "User likes milk", day=-400, pinned=True)
    )
    report = engine.lifecycle.forget(everything(scope), ForgetPolicy(max_age_days=30), limit=10, dry_run=False)
    assert report.deleted_ids == ("old",)
    kind, reason = [(e["kind"], e["reason"]) for _s, e in engine.changes.log(scope)][-1]
    assert (kind, reason) == ("forgotten", "older than 30 days")
    engine.history.restore("old", namespace=scope.namespace, user_id="u")
    assert len(texts(engine, scope)) == 2


# -- erasing and carrying over ----------------------------------------------------------------------

CANARY = "Zanzibarquokka"


def populate(engine: Container, scope: Scope) -> None:
    """The user's words wherever they can be."""
    words = f"User lives in {CANARY}"
    store(engine, scope, fact("a", words), fact("b", "User moved to Porto", day=2), fact("c", f"User has a {CANARY}"))
    where = {"namespace": scope.namespace, "user_id": scope.user_id}
    engine.long_term_memory.update("b", {"text": f"User moved to {CANARY} Bay"}, **where)
    engine.long_term_memory.delete(["c"], **where)
    session = SessionRef(scope, "s1")
    message = Message("m1", "user", f"I live in {CANARY}", utc_now())
    engine.working_memory.put(Session(session, messages=(message,), context=f"About {CANARY}"), _no_window())
    for ref in (BatchRef(scope.namespace, f"session-{new_id()}"), BatchRef(scope.namespace, f"create-{new_id()}")):
        own = of(scope, fact("x", words))
        others = of(Scope(scope.namespace, "other"), fact("y", "Other likes tea"))
        batch = Batch(ref, session=session if ref.kind == "session" else None, records=(*own, *others),
                      vectors=np.zeros((2, 384), np.float32).tobytes())  # fmt: skip
        engine.batches.save(batch)
        engine.outbox.add(ref, time.time() + 1000)
    engine.queries.embed(f"where is {CANARY}")


def _no_window() -> Any:
    from app.memory.working import Window

    return Window()


def holders(engine: Container) -> list[bytes]:
    """Keys whose name or value holds the canary."""
    needle = CANARY.encode()
    found = []
    for key in engine.redis.scan_iter(count=10_000):
        kind = engine.redis.type(key)
        if kind == b"hash":
            value = repr(engine.redis.hgetall(key))
        elif kind == b"list":
            value = repr(engine.redis.lrange(key, 0, -1))
        elif kind == b"set":
            value = repr(engine.redis.smembers(key))
        elif kind == b"zset":
            value = repr(engine.redis.zrange(key, 0, -1))
        else:
            value = repr(engine.redis.get(key))
        if CANARY in value or needle in key:
            found.append(key)
    return found


def test_an_erased_user_is_nowhere_in_the_keyspace_nor_in_the_append_only_file(engine: Container, scope: Scope):
    other = Scope(scope.namespace, "other")
    store(engine, other, fact("kept", "Other lives in Rome"))
    populate(engine, scope)
    assert len(holders(engine)) >= 7
    receipt = engine.erasure.erase(scope)
    assert holders(engine) == []
    assert receipt.verified
    assert receipt.deleted["memories"] == 2
    assert receipt.deleted["sessions"] == 1
    assert receipt.append_only_file in ("rewritten", "no append-only file")
    assert texts(engine, scope) == ["Other lives in Rome"]
    directory = Path(engine.redis.config_get("dir")["dir"])
    for path in directory.rglob("*"):
        if path.is_file() and "aof" in path.name:
            assert CANARY.encode() not in path.read_bytes(), path


def test_work_begun_before_an_erasure_stores_nothing_afterwards(engine: Container, scope: Scope):
    begun = [replace(m, persisted_at=utc_now()) for m in of(scope, fact("a", "User likes tea"))]
    vectors = engine.embedder.embed([m.text for m in begun])
    engine.erasure.erase(scope)
    assert engine.consolidation.store(begun, vectors, deduplicate=True, actor="pipeline")[0].status == "deleted"
    assert texts(engine, scope) == []
    assert store(engine, scope, fact("b", "User likes rain"))[0].status == "stored"


def test_export_erase_import_gives_a_byte_identical_export(engine: Container, scope: Scope):
    populate(engine, scope)
    store(engine, Scope(scope.namespace, None), fact("n", 'Nobody\'s memory: \N{PILE OF POO} \x00 "quoted"'))
    before = list(engine.erasure.export(scope.namespace))
    assert len(before) > 8
    for user in (scope.user_id, None):
        engine.erasure.erase(Scope(scope.namespace, user))
    assert len(list(engine.erasure.export(scope.namespace))) == 2
    *_, done = engine.erasure.load(before, scope.namespace)
    assert done == len(before) - 2
    assert b"".join(engine.erasure.export(scope.namespace)) == b"".join(before)
    assert texts(engine, scope)
    assert engine.sessions.pending(SessionRef(scope, "s1")), "what awaited extraction still does"


@pytest.mark.parametrize("broken", [b"", b"{}\n", b'{"format": "other"}\n'])
def test_an_import_refuses_what_is_no_export(engine: Container, broken: bytes):
    from app.memory.errors import InvalidRequest

    with pytest.raises(InvalidRequest):
        list(engine.erasure.load(broken.splitlines(keepends=True), None))


def test_an_import_refuses_an_export_cut_short_or_of_another_tenant(engine: Container, scope: Scope):
    from app.memory.errors import InvalidRequest

    store(engine, scope, fact("a", "User likes tea"))
    lines = list(engine.erasure.export(scope.namespace))
    with pytest.raises(InvalidRequest, match="ends early"):
        list(engine.erasure.load(lines[:-1], scope.namespace))
    with pytest.raises(InvalidRequest, match="not of"):
        list(engine.erasure.load(lines, "another"))


def test_the_cost_of_deduplication_is_one_more_round_trip(engine: Container, scope: Scope):
    """Per scope and batch: one look around, one script."""
    memories = [fact(str(n), f"User likes tea number {n}") for n in range(20)]
    store(engine, scope, memories[0])
    own = [replace(m, persisted_at=utc_now()) for m in of(scope, *memories)]
    vectors = engine.embedder.embed([m.text for m in own])
    sent: list[int] = []
    pool = engine.redis.connection_pool
    connection = pool.get_connection()
    send = type(connection).send_packed_command

    this_thread = threading.get_ident()  # access times of earlier searches are written by another

    def counting(self: Any, *args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() == this_thread:
            sent.append(1)
        return send(self, *args, **kwargs)

    pool.release(connection)
    engine.redis.ping()  # a connection that rested long is asked for its health first
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(connection), "send_packed_command", counting)
        engine.consolidation.store(own, vectors, deduplicate=True, actor="client")
    assert len(sent) == 2
