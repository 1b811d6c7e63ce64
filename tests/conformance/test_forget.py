"""Forgetting over HTTP (contract 3.10)."""

from __future__ import annotations

import pytest

from tests.support.api import Api
from tests.support.builders import a_memory, ago
from tests.support.shapes import problems

FORGET = "/v1/long-term-memory/forget"
# The four records of the contract's vector, by (days since access, days since creation).
VECTOR = ((1, 40), (20, 40), (0, 400), (0, 1))


def name(accessed: int, created: int) -> str:
    return f"{accessed}-{created}"


@pytest.fixture
def vector(api: Api) -> Api:
    api.create(
        *[
            a_memory(
                f"memory {name(a, c)}",
                id=f"{api.namespace}/{name(a, c)}",
                last_accessed=ago(days=a),
                created_at=ago(days=c),
            )
            for a, c in VECTOR
        ],
        user_id="u",
    )
    return api


def forget(api: Api, policy: object, **options: object) -> dict:
    body = {"policy": policy, **({"pinned_ids": options.pop("pinned_ids")} if "pinned_ids" in options else {})}
    answer = api.http.post(FORGET, json=body, params={"namespace": api.namespace, **options})
    assert answer.status_code == 200, answer.text
    report = answer.json()
    assert set(report) == {"scanned", "deleted", "deleted_ids", "dry_run"}
    assert report["deleted"] == len(report["deleted_ids"])
    return report


def gone(api: Api, report: dict) -> set[str]:
    return {memory_id.removeprefix(f"{api.namespace}/") for memory_id in report["deleted_ids"]}


BY_AGE = {"max_age_days": 30, "max_inactive_days": 7}


def test_the_vector_of_the_contract(vector: Api):
    report = forget(vector, BY_AGE, dry_run="false")
    assert gone(vector, report) == {name(20, 40), name(0, 400)}
    assert (report["scanned"], report["dry_run"]) == (4, False)
    assert sorted(vector.texts()) == [f"memory {name(0, 1)}", f"memory {name(1, 40)}"]


def test_the_vector_of_the_contract_for_a_budget(vector: Api):
    assert gone(vector, forget(vector, {"budget": 2})) == {name(20, 40), name(0, 400)}


def test_a_dry_run_is_the_default_and_deletes_nothing(vector: Api):
    for options in ({}, {"dry_run": "true"}):
        report = forget(vector, BY_AGE, **options)
        assert report["dry_run"] is True
        assert report["deleted"] == 2
    assert vector.search()["total"] == 4


def test_an_empty_policy_forgets_nothing(vector: Api):
    assert forget(vector, {}, dry_run="false")["deleted"] == 0


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"max_age_days": 30}, {(1, 40), (20, 40), (0, 400)}),
        ({"max_inactive_days": 7}, {(20, 40)}),
        ({"max_age_days": 39.9, "max_inactive_days": 0.5}, {(1, 40), (20, 40)}),
        ({**BY_AGE, "hard_age_multiplier": 1.0}, {(1, 40), (20, 40), (0, 400)}),
        ({**BY_AGE, "hard_age_multiplier": 100}, {(20, 40)}),
        ({"budget": 0}, set(VECTOR)),
        ({"budget": 10}, set()),
        ({**BY_AGE, "budget": 1}, {(20, 40), (0, 400), (1, 40)}),
        ({"max_age_days": "30", "unknown": 1}, {(1, 40), (20, 40), (0, 400)}),
    ],
)
def test_policies_select_what_they_say(vector: Api, policy, expected):
    assert gone(vector, forget(vector, policy)) == {name(*row) for row in expected}


def test_pinned_memories_and_pinned_ids_are_never_forgotten(vector: Api):
    pinned = f"{vector.namespace}/{name(20, 40)}"
    report = forget(vector, {"budget": 0}, pinned_ids=[pinned])
    assert pinned not in report["deleted_ids"]
    vector.http.patch(f"/v1/long-term-memory/{pinned}", json={"pinned": True})
    assert gone(vector, forget(vector, {"budget": 0}, dry_run="false")) == {name(*row) for row in VECTOR} - {
        name(20, 40)
    }
    assert vector.texts() == [f"memory {name(20, 40)}"]


def test_only_types_in_the_allowlist_are_forgotten(api: Api):
    for kind in ("semantic", "episodic", "message"):
        api.create(a_memory(f"a {kind}", memory_type=kind, created_at=ago(days=90)))
    report = forget(api, {"max_age_days": 1, "memory_type_allowlist": ["message", "episodic"]}, dry_run="false")
    assert report["deleted"] == 2
    assert api.texts() == ["a semantic"]


@pytest.mark.parametrize("part", ["user_id", "session_id"])
def test_the_scope_of_a_forget_is_exact(api: Api, part):
    other = Api(api.http, api.namespace + "-other")
    api.create(a_memory("one", **{part: "ann"}), a_memory("two", **{part: "Ann"}), a_memory("three"))
    other.create(a_memory("four", **{part: "ann"}))
    assert forget(api, {"budget": 0}, dry_run="false", **{part: "ann"})["deleted"] == 1
    assert sorted(api.texts()) == ["three", "two"]
    assert other.texts() == ["four"]


def test_row_34_the_oldest_are_scanned_first_and_the_number_is_told(vector: Api):
    report = forget(vector, {"budget": 0}, limit=2)
    assert report["scanned"] == 2
    assert name(0, 1) not in gone(vector, report)
    assert name(0, 400) in gone(vector, report)


@pytest.mark.parametrize(
    "body",
    [
        {}, {"policy": None}, {"policy": []}, {"max_age_days": 30}, {"policy": {"max_age_days": "old"}},
        {"policy": {"max_age_days": True}}, {"policy": {"max_age_days": -1}}, {"policy": {"max_inactive_days": {}}},
        {"policy": {"budget": -1}}, {"policy": {"budget": 1.5}}, {"policy": {"budget": True}},
        {"policy": {"memory_type_allowlist": "message"}}, {"policy": {"memory_type_allowlist": ["secret"]}},
        {"policy": {"hard_age_multiplier": "x"}}, {"policy": {}, "pinned_ids": "x"}, {"policy": {}, "pinned_ids": [5]},
        {"policy": {}, "pinned_ids": {}}, {"policy": {"max_age_days": "NaN"}},
    ],
)  # fmt: skip
def test_row_41_wrong_policies_are_422_and_nothing_is_forgotten(vector: Api, body):
    problems(vector.http.post(FORGET, json=body, params={"namespace": vector.namespace, "dry_run": "false"}))
    assert vector.search()["total"] == 4


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": "x"}, {"dry_run": "perhaps"}])
def test_wrong_options_are_422(http, query):
    problems(http.post(FORGET, json={"policy": {}}, params=query))
