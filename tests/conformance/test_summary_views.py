"""Summary views and tasks over HTTP (contract 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.api import Api
from tests.support.builders import Json, a_memory, ago, unique
from tests.support.shapes import PARTITION, ULID, VIEW, check_task, check_time, problems, refusal

VIEWS = "/v1/summary-views"
MakeView = Callable[..., Json]


@pytest.fixture
def make_view(api: Api) -> Iterator[MakeView]:
    """Creates views of the test's namespace; they are deleted afterwards."""
    made: list[str] = []

    def make(**body: object) -> Json:
        filters = {"namespace": api.namespace, **dict(body.pop("filters", {}))}  # type: ignore[call-overload]
        answer = api.http.post(VIEWS, json={"source": "long_term", "filters": filters, **body})
        assert answer.status_code == 200, answer.text
        made.append(answer.json()["id"])
        return dict(answer.json())

    yield make
    for view_id in made:
        api.http.delete(f"{VIEWS}/{view_id}")


def run_partition(api: Api, view: Json, group: Json) -> Json:
    answer = api.http.post(f"{VIEWS}/{view['id']}/partitions/run", json={"group": group})
    assert answer.status_code == 200, answer.text
    partition = answer.json()
    assert set(partition) == PARTITION
    assert isinstance(partition["summary"], str)
    check_time(partition["computed_at"])
    return dict(partition)


def run(api: Api, view: Json, **options: object) -> Json:
    answer = api.http.post(f"{VIEWS}/{view['id']}/run", **{"json": {}, **options})
    assert answer.status_code == 200, answer.text
    check_task(answer.json())
    return api.wait_for_task(answer.json()["id"])


def partitions(api: Api, view: Json, **query: object) -> list[Json]:
    answer = api.http.get(f"{VIEWS}/{view['id']}/partitions", params=query)
    assert answer.status_code == 200, answer.text
    assert isinstance(answer.json(), list)
    return list(answer.json())


# -- views -----------------------------------------------------------------------------------------------------------


def test_a_view_comes_back_with_every_field(api: Api, make_view: MakeView):
    view = make_view(
        name="by user", group_by=["user_id", "memory_type"], filters={"topics": ["a", "b"]}, time_window_days=30,
        continuous=False, prompt="Be brief.", model_name="gpt-5",
    )  # fmt: skip
    assert set(view) == VIEW
    assert ULID.match(view["id"])
    assert view["group_by"] == ["user_id", "memory_type"]
    assert view["filters"] == {"namespace": api.namespace, "topics": ["a", "b"]}
    assert (view["name"], view["time_window_days"], view["continuous"]) == ("by user", 30, False)
    assert (view["prompt"], view["model_name"], view["source"]) == ("Be brief.", "gpt-5", "long_term")
    assert api.http.get(f"{VIEWS}/{view['id']}").json() == view


def test_a_view_with_a_source_only_has_the_defaults(api: Api, make_view: MakeView):
    view = make_view()
    assert (view["name"], view["group_by"], view["time_window_days"], view["continuous"]) == (None, [], None, False)
    assert (view["prompt"], view["model_name"]) == (None, None)


def test_row_40_views_are_listed_in_the_order_of_their_making(api: Api, make_view: MakeView):
    made = [make_view(name=f"view {i}")["id"] for i in range(3)]
    answer = api.http.get(VIEWS)
    assert isinstance(answer.json(), list)
    listed = [view["id"] for view in answer.json()]
    assert [view_id for view_id in listed if view_id in made] == made


def test_views_of_the_same_name_are_two_views(make_view: MakeView):
    assert make_view(name="x")["id"] != make_view(name="x")["id"]


def test_row_40_deleting_a_view_deletes_its_partitions_and_is_idempotent(api: Api, make_view: MakeView):
    view = make_view()
    run_partition(api, view, {})
    for _ in range(2):
        assert api.http.delete(f"{VIEWS}/{view['id']}").json() == {"status": "ok"}
    refusal(api.http.get(f"{VIEWS}/{view['id']}"), 404)
    refusal(api.http.get(f"{VIEWS}/{view['id']}/partitions"), 404)


@pytest.mark.parametrize(
    ("method", "suffix"), [("GET", ""), ("GET", "/partitions"), ("POST", "/partitions/run"), ("POST", "/run")]
)
def test_an_unknown_view_is_404_with_a_detail(http, method, suffix):
    answer = http.request(method, f"{VIEWS}/nothing{suffix}", json={"group": {}} if method == "POST" else None)
    assert refusal(answer, 404) == "SummaryView nothing not found"


@pytest.mark.parametrize(
    "body",
    [
        {"source": "working_memory"},
        {"source": "long_term", "group_by": ["topics"]},
        {"source": "long_term", "group_by": ["user_id", "colour"]},
        {"source": "long_term", "filters": {"colour": "red"}},
        {"source": "long_term", "filters": {"id": "x"}},
    ],
)
def test_what_a_view_cannot_do_is_400(http, body):
    refusal(http.post(VIEWS, json=body), 400)


def test_unsupported_names_are_all_told_sorted(http):
    body = {"source": "long_term", "group_by": ["zebra", "user_id", "apple"]}
    assert "apple, zebra" in refusal(http.post(VIEWS, json=body), 400)


@pytest.mark.parametrize(
    "body",
    [
        {}, {"source": "nowhere"}, {"source": 5}, {"source": "long_term", "time_window_days": 0},
        {"source": "long_term", "time_window_days": "x"}, {"source": "long_term", "group_by": "user_id"},
        {"source": "long_term", "group_by": [5]}, {"source": "long_term", "filters": []},
        {"source": "long_term", "continuous": "perhaps"}, {"source": "long_term", "filters": {"memory_type": "secret"}},
        {"source": "long_term", "filters": {"event_date": {"gte": "soon"}}},
        {"source": "long_term", "filters": {"topics": {"unknown": 1}}}, {"source": "long_term", "prompt": 5},
    ],
)  # fmt: skip
def test_wrong_views_are_422(http, body):
    problems(http.post(VIEWS, json=body))


def test_row_30_nulls_of_the_java_client_are_accepted(api: Api, http):
    body = {
        "name": None, "source": "long_term", "group_by": ["user_id"], "filters": None, "time_window_days": None,
        "continuous": None, "prompt": None, "model_name": None,
    }  # fmt: skip
    answer = http.post(VIEWS, json=body)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["filters"], answer.json()["continuous"]) == ({}, False)
    http.delete(f"{VIEWS}/{answer.json()['id']}")


# -- partitions ------------------------------------------------------------------------------------------------------


def test_a_partition_summarizes_its_memories_only(api: Api, make_view: MakeView):
    api.create(
        a_memory("User likes tea", user_id="ann"), a_memory("User likes milk", user_id="ann"),
        a_memory("User likes beer", user_id="bob"),
    )  # fmt: skip
    view = make_view(group_by=["user_id"])
    partition = run_partition(api, view, {"user_id": "ann"})
    assert (partition["group"], partition["memory_count"]) == ({"user_id": "ann"}, 2)
    assert (partition["empty"], partition["empty_reason"], partition["view_id"]) == (False, None, view["id"])
    assert "tea" in partition["summary"]
    assert "milk" in partition["summary"]
    assert "beer" not in partition["summary"]
    assert partitions(api, view) == [partition]


def test_a_partition_without_memories_is_empty_and_says_why(api: Api, make_view: MakeView):
    partition = run_partition(api, make_view(group_by=["user_id"]), {"user_id": unique("nobody")})
    assert (partition["empty"], partition["empty_reason"]) == (True, "no_matching_memories")
    assert (partition["summary"], partition["memory_count"]) == ("", 0)


def test_the_group_of_a_run_must_have_the_keys_of_the_view(api: Api, make_view: MakeView):
    view = make_view(group_by=["user_id"])
    for group in ({}, {"session_id": "x"}, {"user_id": "x", "session_id": "y"}):
        answer = api.http.post(f"{VIEWS}/{view['id']}/partitions/run", json={"group": group})
        assert "user_id" in refusal(answer, 400)


def test_a_view_without_grouping_has_one_partition(api: Api, make_view: MakeView):
    api.create("User likes tea", "User likes milk")
    assert run_partition(api, make_view(), {})["memory_count"] == 2


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({"user_id": "ann"}, 2),
        ({"user_id": "ANN"}, 0),
        ({"memory_type": "episodic"}, 1),
        ({"session_id": "s1"}, 1),
        ({"topics": "drinks"}, 2),
        ({"topics": ["drinks", "sports"]}, 3),
        ({"topics": {"all": ["drinks", "warm"]}}, 1),
        ({"extraction_strategy": "manual"}, 1),
        ({"event_date": {"gte": "2024-02-01"}}, 1),
        ({"user_id": "ann", "memory_type": "episodic"}, 0),
    ],
)
def test_static_filters_of_a_view_are_honoured(api: Api, make_view: MakeView, filters, count):
    api.create(
        a_memory("one", user_id="ann", topics=["drinks", "warm"], session_id="s1"),
        a_memory("two", user_id="ann", topics=["drinks"], extraction_strategy="manual", event_date="2024-01-05"),
        a_memory("three", user_id="bob", topics=["sports"], memory_type="episodic", event_date="2024-02-05"),
    )
    assert run_partition(api, make_view(filters=filters), {})["memory_count"] == count


def test_the_group_overrides_a_static_filter_on_the_same_key(api: Api, make_view: MakeView):
    api.create(a_memory("one", user_id="ann"), a_memory("two", user_id="bob"), a_memory("three", user_id="bob"))
    view = make_view(group_by=["user_id"], filters={"user_id": "ann"})
    assert run_partition(api, view, {"user_id": "bob"})["memory_count"] == 2


def test_the_time_window_counts_from_now_by_creation(api: Api, make_view: MakeView):
    api.create(a_memory("new", created_at=ago(days=2)), a_memory("old", created_at=ago(days=20)))
    assert run_partition(api, make_view(time_window_days=10), {})["memory_count"] == 1
    assert run_partition(api, make_view(time_window_days=30), {})["memory_count"] == 2


def test_partitions_are_filtered_by_their_group(api: Api, make_view: MakeView):
    view = make_view(group_by=["user_id", "session_id"])
    for user, session in (("ann", "1"), ("ann", "2"), ("bob", "1")):
        run_partition(api, view, {"user_id": user, "session_id": session})
    assert len(partitions(api, view, limit=1, offset=5)) == 3
    assert [p["group"]["session_id"] for p in partitions(api, view, user_id="ann")] == ["1", "2"]
    assert len(partitions(api, view, user_id="ann", session_id="2")) == 1
    assert partitions(api, view, user_id="Ann") == []


@pytest.mark.parametrize("value", ["x=y z", "a|b", "*", "}{", "a,b", "ünï", "%7C", "-", ""])
def test_partitions_of_strange_groups_are_kept_apart(api: Api, make_view: MakeView, value):
    view = make_view(group_by=["user_id"])
    api.create(a_memory("of the strange one", user_id=value or None), a_memory("of another", user_id="another"))
    assert run_partition(api, view, {"user_id": value})["memory_count"] == 1
    run_partition(api, view, {"user_id": "another"})
    assert [p["group"] for p in partitions(api, view, user_id=value or None)].count({"user_id": value}) == 1


def test_row_30_the_bare_group_of_the_java_client_is_accepted(api: Api, make_view: MakeView):
    view = make_view(group_by=["user_id"])
    answer = api.http.post(f"{VIEWS}/{view['id']}/partitions/run", json={"user_id": "ann"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["group"] == {"user_id": "ann"}


@pytest.mark.parametrize("body", [{"group": "x"}, {"group": []}, {"group": {"user_id": 5}}, {"user_id": 5}, []])
def test_wrong_groups_are_422(api: Api, make_view: MakeView, body):
    view = make_view(group_by=["user_id"])
    answer = api.http.post(f"{VIEWS}/{view['id']}/partitions/run", json=body)
    assert answer.status_code in (400, 422), answer.text


# -- full runs -------------------------------------------------------------------------------------------------------


def test_a_full_run_computes_every_partition_and_its_task_ends_in_success(api: Api, make_view: MakeView):
    api.create(
        a_memory("one", user_id="ann"), a_memory("two", user_id="bob"), a_memory("three", user_id="bob"),
        a_memory("of nobody"),
    )  # fmt: skip
    view = make_view(group_by=["user_id"])
    task = run(api, view)
    check_task(task)
    assert (task["status"], task["type"], task["view_id"]) == ("success", "summary_view_full_run", view["id"])
    check_time(task["started_at"])
    check_time(task["completed_at"])
    assert task["error_message"] is None
    counts = {p["group"]["user_id"]: p["memory_count"] for p in partitions(api, view)}
    assert counts == {"ann": 1, "bob": 2}


def test_row_39_groups_by_type_have_plain_values(api: Api, make_view: MakeView):
    api.create(a_memory("one"), a_memory("two", memory_type="episodic"))
    view = make_view(group_by=["memory_type"])
    run(api, view)
    assert [p["group"] for p in partitions(api, view)] == [{"memory_type": "episodic"}, {"memory_type": "semantic"}]
    assert len(partitions(api, view, memory_type="semantic")) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"json": {}},
        {"json": {"force": True}},
        {"json": None},
        {"json": None, "params": {"force": "true"}},
        {"json": None, "content": b"", "headers": {"content-type": "application/json"}},
    ],
)
def test_row_30_a_run_accepts_every_body_of_the_clients(api: Api, make_view: MakeView, options):
    assert run(api, make_view(), **options)["status"] == "success"


def test_row_31_a_run_is_pending_first_and_success_is_its_word_for_done(api: Api, make_view: MakeView):
    view = make_view()
    task = api.http.post(f"{VIEWS}/{view['id']}/run", json={}).json()
    assert task["status"] == "pending"
    assert task["started_at"] is task["completed_at"] is None
    assert api.wait_for_task(task["id"])["status"] == "success"


def test_a_run_can_be_given_its_task_id(api: Api, make_view: MakeView):
    task_id = unique("task/with|strange{chars}")
    task = api.http.post(f"{VIEWS}/{make_view()['id']}/run", json={"task_id": task_id}).json()
    assert task["id"] == task_id
    assert api.wait_for_task(task_id)["status"] == "success"


def test_the_summary_of_a_partition_follows_its_memories(api: Api, make_view: MakeView):
    memory = a_memory("User likes tea", user_id="ann")
    api.create(memory)
    view = make_view(group_by=["user_id"])
    run(api, view)
    api.http.patch(f"/v1/long-term-memory/{memory['id']}", json={"text": "User likes beer"})
    run(api, view)
    assert "beer" in partitions(api, view)[0]["summary"]
    assert "tea" not in partitions(api, view)[0]["summary"]
