"""Verdicts on pairs, and what a batch of them does: pure, without Redis or a model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from app.memory.dedup.claim import read
from app.memory.dedup.fold import Folder
from app.memory.dedup.frames import other_thing
from app.memory.dedup.judge import Radii, Verdict, compare, judge
from app.memory.dedup.merge import MAX_ALIASES, merge
from app.memory.dedup.plan import Planner, tombstone
from app.memory.dedup.slots import slots_of
from app.memory.identity import fingerprint, slot_mark
from app.memory.models import Memory, MemoryType
from app.store.neighbours import Neighbour, Probe

NOW = datetime(2026, 5, 1, tzinfo=UTC)
NEAR = np.array([1.0, 0.0], np.float32)


def a_fact(text: str, memory_id: str = "old", *, day: int = 0, **more: object) -> Memory:
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)
    return Memory(id=memory_id, text=text, created_at=at, last_accessed=at, **more)  # type: ignore[arg-type]


def a_probe(memory: Memory) -> Probe:
    slots = tuple(slot_mark(slot.key) for slot in slots_of(memory.text))
    return Probe(memory, NEAR, fingerprint(memory), slots)


def verdict(stored: str, incoming: str, distance: float = 0.1) -> Verdict:
    return compare(read(stored), read(incoming), distance, Radii()).verdict


@pytest.mark.parametrize(
    ("stored", "incoming"),
    [
        ("User likes tea.", "user likes  TEA"),
        ("User lives in Lisbon", "User resides in Lisbon"),
        ("User has two cats", "User owns 2 cats"),
        ("The standup is at 5 pm", "The standup is at 17:00"),
        ("Anna manages the Berlin office", "The Berlin office is managed by Anna"),
        ("User doesn't drink alcohol", "User does not drink any alcohol"),
    ],
)
def test_other_words_for_a_fact_are_the_same(stored, incoming):
    assert verdict(stored, incoming) is Verdict.SAME


@pytest.mark.parametrize(
    ("stored", "incoming"),
    [
        ("User has two cats", "User has three cats"),
        ("User owns book 1-11", "User owns book 11-1"),
        ("User owns book number 2037", "User owns book number 4658"),
        ("User owns book number 3", "User has read book number 3"),
        ("The review is on 3 March", "The review is on 10 March"),
        ("User is allergic to peanuts", "User is allergic to walnuts"),
        ("User's sister lives in Madrid", "User's brother lives in Madrid"),
        ("Ben manages Clara", "Clara manages Ben"),
        ("User likes dogs", "User's wife likes dogs"),
        ("User plans to buy a house", "User bought a house"),
        ("User used to live in Berlin", "User lives in Berlin"),
        ("The limit is 100 requests per second", "The limit is 100 requests per minute"),
        ("User lives in Portugal", "User lives in Lisbon"),
        ("User likes tea", "User likes green tea"),
        ("User rates the film ★★★", "User rates the film ★★★★★"),
        ("The wildcard of the search is *", "The wildcard of the search is ?"),
    ],
)
def test_however_near_look_alikes_stay_apart(stored, incoming):
    assert verdict(stored, incoming, distance=0.001) is Verdict.DISTINCT


@pytest.mark.parametrize(
    ("stored", "incoming"),
    [
        ("User lives in Lisbon", "User moved to Porto"),
        ("User works as a nurse", "User is now a teacher"),
        ("User is a vegetarian", "User is no longer a vegetarian"),
        ("Priya owns the billing service", "The billing service is now owned by Omar"),
        ("User works at Siemens", "User left Siemens"),
        ("The standup is at 9:30", "The standup was moved to 10:00"),
    ],
)
def test_the_same_attribute_with_another_value_is_an_update_however_far(stored, incoming):
    assert verdict(stored, incoming, distance=0.44) is Verdict.UPDATES


@pytest.mark.parametrize(
    "incoming",
    ["User visited Porto", "User likes Porto", "User considered moving to Porto", "User's sister moved to Porto",
     "User wants to live in Porto", "User used to live in Porto", "User moved to the finance team"],
)  # fmt: skip
def test_a_true_fact_is_not_retired_by_what_only_looks_like_its_update(incoming):
    assert verdict("User lives in Lisbon", incoming) is Verdict.DISTINCT


def test_a_statement_that_says_more_than_what_changed_is_not_retired():
    assert verdict("Ana lives in Lisbon and has two small kids", "Ana moved to Porto") is Verdict.DISTINCT


@pytest.mark.parametrize(
    "change",
    [{"memory_type": MemoryType.EPISODIC}, {"memory_type": MemoryType.MESSAGE}, {"event_date": NOW},
     {"extraction_strategy": "summary"}],
)  # fmt: skip
def test_other_types_dates_messages_and_summaries_are_never_merged(change):
    assert judge(a_fact("User ran a race"), a_fact("User ran a race", "new", **change), 0.0, Radii()).verdict is (
        Verdict.DISTINCT
    )


def test_merging_keeps_the_id_and_loses_nothing():
    kept = a_fact("User has a dog", day=2, topics=("pets",), metadata={"a": 1}, access_count=2, extracted_from=("m1",))
    other = a_fact("User has a dog named Rex", "new", day=1, topics=("Pets", "dogs"), entities=("Rex",), pinned=True,
                   metadata={"a": 2, "b": 3}, access_count=3, extracted_from=("m2",), aliases=("x",))  # fmt: skip
    both = merge(kept, other, other.text)
    assert (both.id, both.text, both.pinned, both.access_count) == ("old", other.text, True, 5)
    assert (both.created_at, both.last_accessed) == (other.created_at, kept.last_accessed)
    assert (both.topics, both.entities) == (("pets", "dogs"), ("Rex",))
    assert (both.extracted_from, both.aliases) == (("m1", "m2"), ("x", "new"))
    assert both.metadata == {"a": 1, "b": 3}
    assert both.memory_hash != kept.memory_hash


def test_aliases_are_bounded():
    memory = a_fact("User has a dog")
    for number in range(2 * MAX_ALIASES):
        memory = merge(memory, a_fact("User has a dog", f"copy-{number}"), memory.text)
    assert len(memory.aliases) == MAX_ALIASES
    assert memory.aliases[-1] == f"copy-{2 * MAX_ALIASES - 1}"


def plan(incoming: Memory, *stored: Memory, actor: str = "pipeline", tombstones: dict | None = None):  # type: ignore[no-untyped-def]
    planner = Planner(Radii(), actor=actor, at=NOW)  # type: ignore[arg-type]
    near = [Neighbour(memory, 1, 0.05) for memory in stored]
    return planner.plan([a_probe(incoming)], [near], tombstones or {}, judged=True)


def test_an_update_retires_the_old_fact_and_says_by_what():
    made = plan(a_fact("User moved to Porto", "new", day=9), a_fact("User lives in Lisbon"))
    assert made.outcomes[0].status == "updated"
    old, new = sorted(made.changes, key=lambda c: c.memory_id, reverse=True)
    assert old.memory is not None
    assert (old.memory.superseded_by, old.memory.valid_to) == ("new", a_fact("", day=9).created_at)
    assert old.event["kind"] == "superseded"
    assert "porto instead of lisbon" in str(old.event["reason"])
    assert new.memory is not None
    assert new.memory.valid_to is None


def test_news_of_the_past_are_filed_in_the_past():
    made = plan(a_fact("User lives in Lisbon", "new", day=1), a_fact("User moved to Porto", day=9))
    (change,) = made.changes
    assert change.memory is not None
    assert (change.memory.superseded_by, change.memory.valid_to) == ("old", a_fact("", day=9).created_at)


def test_a_pinned_memory_is_neither_merged_nor_retired():
    for stored, incoming in (
        ("User lives in Lisbon", "User moved to Porto"),
        ("User has a dog", "User has a dog named Rex"),
    ):
        made = plan(a_fact(incoming, "new", day=9), a_fact(stored, pinned=True))
        assert [(c.memory_id, c.event["kind"]) for c in made.changes] == [("new", "created")]


def test_a_known_fact_said_again_adds_its_source_only():
    made = plan(
        a_fact("User enjoys tea", "new", extracted_from=("m2",)), a_fact("User likes tea", extracted_from=("m1",))
    )
    (change,) = made.changes
    assert change.memory is not None
    assert (change.memory.text, change.memory.extracted_from) == ("User likes tea", ("m1", "m2"))
    assert made.outcomes[0].memory_id == "old"


def test_copies_inside_a_batch_are_folded_too():
    planner = Planner(Radii(), actor="client", at=NOW)
    incoming = [a_fact("User likes tea", "a"), a_fact("User enjoys tea", "b"), a_fact("User likes coffee", "c")]
    made = planner.plan([a_probe(m) for m in incoming], [[], [], []], {}, judged=True)
    assert [o.status for o in made.outcomes] == ["stored", "same", "stored"]
    assert [c.memory_id for c in made.changes] == ["a", "c"]


def test_what_the_user_deleted_is_not_extracted_again_but_may_be_said_again():
    gone = a_fact("User likes tea", extracted_from=("m1",))
    graves = {fingerprint(gone): tombstone(gone, NEAR, NOW)}
    again = a_fact("User likes tea", "new", extracted_from=("m1",))
    reworded = a_fact("User is fond of tea", "new", extracted_from=("m1",))
    said_anew = a_fact("User likes tea", "new", day=300, extracted_from=("m9",))
    assert plan(again, tombstones=graves).outcomes[0].status == "deleted"
    assert plan(reworded, tombstones=graves).outcomes[0].status == "deleted"
    assert plan(said_anew, tombstones=graves).outcomes[0].status == "stored"
    assert plan(again, actor="client", tombstones=graves).outcomes[0].status == "stored"


def test_a_second_opinion_is_asked_about_uncertain_pairs_only():
    asked = []

    def opinion(stored: Memory, incoming: Memory) -> Verdict:
        asked.append((stored.text, incoming.text))
        return Verdict.SAME

    planner = Planner(Radii(), actor="pipeline", at=NOW, second_opinion=opinion)
    stored = [a_fact("User runs 5 km every day", "1"), a_fact("User has three cats", "2")]
    near = [Neighbour(memory, 1, 0.16) for memory in stored]
    incoming = a_fact("User jogs five kilometres daily", "new")
    made = planner.plan([a_probe(incoming)], [near], {}, judged=True)
    assert asked == [("User runs 5 km every day", "User jogs five kilometres daily")]
    assert made.outcomes[0].memory_id == "1"


def test_compaction_folds_into_the_pinned_or_older_one_and_never_drops_a_pinned_one():
    rows = [
        (a_fact("User likes tea", "a", day=0), 1, NEAR),
        (a_fact("User likes tea", "b", day=1, pinned=True), 1, NEAR),
        (a_fact("User likes tea", "c", day=2, pinned=True), 1, NEAR),
    ]
    near = [[Neighbour(m, r, 0.0) for m, r, _v in rows]] * 3
    folding = Folder(Radii(), semantic=True, at=NOW).plan(rows, near)
    assert [(c.memory_id, c.memory is None) for c in folding.changes if c.memory is None] == [("a", True)]


@pytest.mark.parametrize(
    ("old", "new", "replaced"),
    [
        ("The tap in the hallway is leaking", "The tap in the living room is leaking", ("hallway", "living room")),
        ("Carlos jogs before breakfast", "Ingrid jogs before breakfast", ("Carlos", "Ingrid")),
        ("The tap drips this winter.", "The tap drips during the holidays.", ("this winter", "during the holidays")),
        ("User's sister paints", "User's uncle paints", ("sister", "uncle")),
        # other words for the same
        ("The sofa in the attic is grey", "The couch in the attic is grey", None),
        ("User takes the bus every day", "User takes the bus each day", None),
        ("User practices judo", "User does judo", None),
        ("User has a house in Malaga", "User owns a house in Malaga", None),
        # numbers and days have rules of their own
        ("The cache is flushed at 3 am", "The cache is flushed at 03:00", None),
        # more, not another
        ("User drinks tea in the morning", "User drinks green tea in the morning", None),
        ("The tap in the hall leaks", "The tap in the hall leaks", None),
        ("", "", None),
    ],
)
def test_one_sentence_with_another_thing_in_it(old, new, replaced):
    assert other_thing(old, new) == replaced
    assert other_thing(new, old) == (replaced and replaced[::-1])


def test_going_to_something_is_no_move_from_it():
    stored = "Carlos went to a concert with the cello and drums"
    assert verdict(stored, "Carlos went to a concert with a banjo and drums") is Verdict.DISTINCT
    assert verdict("User works at Acme", "User went from Acme to Globex") is Verdict.UPDATES
