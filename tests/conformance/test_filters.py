"""Filters of a search, over HTTP: every operator on every field, and values that are only ever values."""

from __future__ import annotations

import pytest

from tests.support.api import Api
from tests.support.builders import a_memory, unique
from tests.support.shapes import problems

SEARCH = "/v1/long-term-memory/search"
TAG_FIELDS = ("session_id", "namespace", "user_id", "topics", "entities", "extraction_strategy")
ALL_TAG_FIELDS = (*TAG_FIELDS, "memory_type")
TIME_FIELDS = ("created_at", "last_accessed", "event_date")


@pytest.fixture(scope="module")
def mark() -> str:
    """Kept in `topics` of all records here, so that filters on the namespace itself can be tested."""
    return unique("mark")


@pytest.fixture(scope="module")
def one(http, mark) -> Api:
    """Six memories a to f that differ in every field; f lacks all that may be lacking."""
    api = Api(http, unique("ns"))
    rows = {
        "a": {"session_id": "s1", "user_id": "ann", "topics": ["food", "drink"], "entities": ["Lisbon", "Acme"]},
        "b": {"session_id": "s2", "user_id": "bob", "topics": ["food"], "entities": ["Lisbon"]},
        "c": {"session_id": "s1", "user_id": "Ann", "topics": ["drink"], "entities": ["Acme"]},
        "d": {"session_id": "S1", "user_id": "ann-marie", "topics": ["sport"], "entities": ["Oslo"]},
        "e": {"session_id": "s 3", "user_id": "bob", "topics": ["food", "sport"], "entities": ["New York"]},
        "f": {},
    }
    types = {"a": "semantic", "b": "episodic", "c": "message", "d": "semantic", "e": "episodic", "f": "semantic"}
    strategies = {"a": "discrete", "b": "manual", "c": "summary", "d": "discrete", "e": "manual", "f": "preferences"}
    api.create(
        *[
            a_memory(
                f"memory {name}", memory_type=types[name], extraction_strategy=strategies[name],
                created_at=f"2024-01-0{day}T12:00:00.25Z",
                # In the future, so that no search finds it stale and touches it.
                last_accessed=f"2094-02-0{day}T12:00:00.25Z",
                **{k: v for k, v in row.items() if k not in ("topics",)},
                topics=[mark, *row.get("topics", [])],
                **({"event_date": f"2024-03-0{day}T12:00:00.25Z"} if name != "f" else {}),
            )
            for day, (name, row) in enumerate(rows.items(), start=1)
        ]
    )  # fmt: skip
    return api


def found(api: Api, mark: str, **filters: object) -> str:
    """Letters of the memories that match, sorted."""
    topics = {"topics": filters.pop("topics")} if "topics" in filters else {"topics": {"any": [mark]}}
    return "".join(sorted(m["text"][-1] for m in api.memories(**topics, **filters, recency_boost=False)))


@pytest.mark.parametrize(
    ("field", "condition", "expected"),
    [
        ("user_id", {"eq": "ann"}, "a"),
        ("user_id", {"eq": "bob"}, "be"),
        ("user_id", {"ne": "bob"}, "acdf"),
        ("user_id", {"any": ["ann", "bob"]}, "abe"),
        ("user_id", {"none": ["ann", "bob"]}, "cdf"),
        ("user_id", {"all": ["ann"]}, "a"),
        ("user_id", {"all": ["ann", "bob"]}, ""),
        ("user_id", {"startswith": "ann"}, "ad"),
        ("user_id", {"startswith": "ann-"}, "d"),
        ("user_id", {"any": ["ann", "bob"], "ne": "bob"}, "a"),
        ("user_id", {"eq": "ann", "none": ["ann"]}, ""),
        ("session_id", {"eq": "s1"}, "ac"),
        ("session_id", {"eq": "s 3"}, "e"),
        ("session_id", {"ne": "s1"}, "bdef"),
        ("session_id", {"startswith": "s"}, "abce"),
        ("topics", {"eq": "food"}, "abe"),
        ("topics", {"any": ["sport", "drink"]}, "acde"),
        ("topics", {"all": ["food", "sport"]}, "e"),
        ("topics", {"none": ["food", "drink"]}, "df"),
        ("topics", {"ne": "food"}, "cdf"),
        ("topics", {"startswith": "dri"}, "ac"),
        ("entities", {"eq": "New York"}, "e"),
        ("entities", {"any": ["Lisbon"]}, "ab"),
        ("entities", {"all": ["Lisbon", "Acme"]}, "a"),
        ("entities", {"none": ["Lisbon", "Acme"]}, "def"),
        ("memory_type", {"eq": "semantic"}, "adf"),
        ("memory_type", {"ne": "semantic"}, "bce"),
        ("memory_type", {"any": ["episodic", "message"]}, "bce"),
        ("memory_type", {"none": ["episodic", "message"]}, "adf"),
        ("extraction_strategy", {"eq": "manual"}, "be"),
        ("extraction_strategy", {"startswith": "s"}, "c"),
    ],
)
def test_tag_operators_mean_what_they_say(one, mark, field, condition, expected):
    assert found(one, mark, **{field: condition}) == expected


@pytest.mark.parametrize(
    ("field", "condition", "expected"),
    [
        ("user_id", {"in_": ["ann", "bob"]}, "abe"),
        ("user_id", {"not_eq": "bob"}, "acdf"),
        ("user_id", {"not_in": ["ann", "bob"]}, "cdf"),
        ("session_id", {"in_": ["s1"]}, "ac"),
        ("session_id", {"not_in": ["s1"]}, "bdef"),
        ("memory_type", {"in_": ["episodic"]}, "be"),
        ("memory_type", {"not_eq": "semantic"}, "bce"),
        ("memory_type", {"not_in": ["semantic"]}, "bce"),
        ("extraction_strategy", {"in_": ["manual", "summary"]}, "bce"),
        ("topics", {"none": ["food"]}, "cdf"),
        ("entities", {"none": ["Oslo"]}, "abcef"),
    ],
)
def test_row_05_the_operator_names_of_the_clients_work(one, mark, field, condition, expected):
    assert found(one, mark, **{field: condition}) == expected


def test_row_05_the_operator_names_of_the_clients_work_on_the_namespace(one, mark):
    listed = {"topics": {"any": [mark]}}
    assert len(one.memories(namespace={"in_": [one.namespace, "x"]}, **listed)) == 6
    assert len(one.memories(namespace={"not_in": ["x"]}, **listed)) == 6
    assert one.memories(namespace={"not_eq": one.namespace}, **listed) == []


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"any": ["ann", "bob"], "in_": ["bob", "Ann"]}, "be"),
        ({"none": ["ann"], "not_in": ["bob"]}, "cdf"),
        ({"ne": "ann", "not_eq": "bob"}, "cdf"),
        ({"in_": ["ann", "bob"], "not_eq": "bob", "startswith": None}, "a"),
    ],
)
def test_row_03_an_operator_under_both_of_its_names_is_two_conditions(one, mark, condition, expected):
    assert found(one, mark, user_id=condition) == expected


@pytest.mark.parametrize("moment", [0.00001, -0.00001, "1970-01-01T00:00:00.000001Z", -62135596800000, 253402300799000])
def test_times_of_any_magnitude_are_compared(one, mark, moment):
    """Numbers as Python prints them (1e-05) are not all numbers to the index."""
    assert found(one, mark, created_at={"gte": moment, "lt": "9999-01-01"}) == (
        "" if moment == 253402300799000 else "abcdef"
    )
    assert found(one, mark, created_at={"ne": moment}) == "abcdef"


def test_row_04_all_means_all(one, mark):
    assert found(one, mark, topics={"all": ["food", "drink"]}) == "a"
    assert found(one, mark, entities={"all": ["Lisbon", "Oslo"]}) == ""


@pytest.mark.parametrize(
    ("field", "month"), [("created_at", "2024-01"), ("last_accessed", "2094-02"), ("event_date", "2024-03")]
)
@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"gte": "3T12:00:00.25Z"}, "cdef"),
        ({"gt": "3T12:00:00.25Z"}, "def"),
        ({"gt": "3T12:00:00.20Z"}, "cdef"),
        ({"lte": "3T12:00:00.25Z"}, "abc"),
        ({"lt": "3T12:00:00.25Z"}, "ab"),
        ({"eq": "3T12:00:00Z"}, "c"),
        ({"eq": "3T12:00:00.9Z"}, "c"),
        ({"eq": "3T12:00:01Z"}, ""),
        ({"ne": "3T12:00:00Z"}, "abdef"),
        ({"gte": "2T00:00:00Z", "lte": "4T00:00:00Z"}, "bc"),
        ({"gt": "2T12:00:00.25Z", "lt": "5T12:00:00.25Z"}, "cd"),
        ({"gte": "2T00:00:00Z", "lte": "4T00:00:00Z", "ne": "3T12:00:00Z"}, "b"),
        ({"between": ["2T12:00:00.25Z", "4T12:00:00.25Z"]}, "bcd"),
        ({"between": ["2T12:00:00.25Z", "4T12:00:00.25Z"], "inclusive": "neither"}, "c"),
        ({"between": ["2T12:00:00.25Z", "4T12:00:00.25Z"], "inclusive": "left"}, "bc"),
        ({"between": ["2T12:00:00.25Z", "4T12:00:00.25Z"], "inclusive": "right"}, "cd"),
        ({"between": ["4T00:00:00Z", "2T00:00:00Z"]}, ""),
    ],
)
def test_time_operators_mean_what_they_say(one, mark, field, month, condition, expected):
    def day(value: str) -> str:
        return value if value in ("both", "neither", "left", "right") else f"{month}-0{value}"

    sent = {k: [day(v) for v in value] if isinstance(value, list) else day(value) for k, value in condition.items()}
    if field == "event_date" and "ne" not in condition:
        expected = expected.replace("f", "")  # f has none
    assert found(one, mark, **{field: sent}) == expected


def test_row_03_gte_and_lte_are_both_honoured(one, mark):
    window = {"gte": "2024-01-02T00:00:00Z", "lte": "2024-01-04T00:00:00Z"}
    assert found(one, mark, created_at=window) == "bc"


def test_row_03_all_operators_of_all_filters_are_anded(one, mark):
    filters = {
        "user_id": {"any": ["ann", "bob"]}, "memory_type": {"ne": "semantic"}, "created_at": {"gt": "2024-01-03"},
    }  # fmt: skip
    assert found(one, mark, **filters) == "e"


@pytest.mark.parametrize("form", [1704240000, 1704240000000, "1704240000", "2024-01-03", "2024-01-03T02:00:00+02:00",
                                  "2024-01-03T00:00:00"])  # fmt: skip
def test_row_12_times_in_filters_are_read_in_utc_in_every_form(one, mark, form):
    assert found(one, mark, created_at={"gte": form}) == "cdef"


def test_records_without_an_event_date_are_found_only_by_ne(one, mark):
    assert "f" not in found(one, mark, event_date={"gte": "1970-01-01"})
    assert "f" in found(one, mark, event_date={"ne": "2024-03-01T12:00:00Z"})


def test_row_08_scopes_and_ids_are_case_sensitive(one, mark):
    assert found(one, mark, user_id={"eq": "Ann"}) == "c"
    assert found(one, mark, user_id={"eq": "ANN"}) == ""
    assert found(one, mark, session_id={"eq": "S1"}) == "d"
    assert one.memories(namespace={"eq": one.namespace.upper()}) == []


def test_topics_and_entities_are_found_in_any_case(one, mark):
    assert found(one, mark, topics={"eq": "FOOD"}) == "abe"
    assert found(one, mark, entities={"any": ["lisbon", "new york"]}) == "abe"


@pytest.mark.parametrize("empty", [{}, {"eq": None}, {"any": None, "ne": None}, None, {"field": "user_id"}])
def test_an_empty_filter_is_no_filter(one, mark, empty):
    assert found(one, mark, user_id=empty, created_at=empty) == "abcdef"


def test_row_06_the_field_key_inside_a_filter_is_ignored(one, mark):
    assert found(one, mark, user_id={"eq": "ann", "field": "session_id"}) == "a"
    assert one.memories(namespace={"eq": "s1", "field": "session_id"}, topics={"any": [mark]}) == []
    assert found(one, mark, created_at={"gt": "2024-01-03", "field": "last_accessed"}) == "cdef"


@pytest.mark.parametrize("field", ["user_id", "session_id"])
def test_row_45_eq_empty_matches_only_records_without_the_value(one, mark, field):
    assert found(one, mark, **{field: {"eq": ""}}) == "f"
    assert found(one, mark, **{field: {"any": ["", "bob" if field == "user_id" else "s2"]}}) in ("bef", "bf")
    assert found(one, mark, **{field: {"ne": ""}}) == "abcde"


@pytest.mark.parametrize("field", ["namespace", "topics", "entities", "extraction_strategy"])
def test_row_45_eq_empty_never_matches_everything(one, mark, field):
    limit = {"topics": {"any": [mark]}} if field != "topics" else {}
    assert one.memories(**limit, **{field: {"eq": ""}}) == []


@pytest.mark.parametrize(
    ("field", "condition"),
    [
        *[(field, condition) for field in ALL_TAG_FIELDS for condition in (
            "plain", 5, [], True,
            {"eq": 5}, {"eq": ["x"]}, {"any": "x"}, {"any": []}, {"all": []}, {"any": [5]}, {"none": {}},
            {"eq": "semantic", "ne": "message"}, {"any": ["semantic"], "all": ["semantic"]}, {"unknown": "x"},
            {"startswith": ""}, {"startswith": "x", "eq": "semantic"}, {"gt": "x"},
        )],
        *[(field, condition) for field in TIME_FIELDS for condition in (
            "2024-01-01", 5, [], {"gte": "soon"}, {"gte": []}, {"any": ["2024-01-01"]}, {"between": "x"},
            {"between": ["2024-01-01"]}, {"between": ["2024-01-01"] * 3}, {"inclusive": "x"}, {"unknown": 1},
            {"between": ["2024-01-01", "2024-01-02"], "eq": "2024-01-01"},
            {"between": ["2024-01-01", "2024-01-02"], "gte": "2024-01-01"}, {"eq": True},
        )],
        ("user_id", {"any": ["x"] * 1001}),
        ("user_id", {"eq": "x" * 256}),
    ],
)  # fmt: skip
def test_wrong_filters_are_422_and_say_where(http, field, condition):
    assert problems(http.post(SEARCH, json={field: condition}))[0]["loc"][:2] == ["body", field]


@pytest.mark.parametrize("operator", ["eq", "ne", "startswith"])
@pytest.mark.parametrize("value", ["secret", "SEMANTIC", "", "semantic|message", "*"])
def test_row_09_an_invalid_memory_type_in_a_filter_is_422(http, operator, value):
    assert problems(http.post(SEARCH, json={"memory_type": {operator: value}}))[0]["loc"] == ["body", "memory_type"]
    assert problems(http.post(SEARCH, json={"memory_type": {"any": ["semantic", value]}}))


HOSTILE = [
    "*", "victim*", "nobody|victim", "victim|", "|victim", "{victim}", "}|{victim", "nobody} | @user:{victim",
    "nobody} @ns:{*", "vict\\im", "\\victim", "\\", "'victim'", '"victim"', '"', "'", "victim\x00", "\x00", "victim ",
    " victim", "Victim", "VICTIM", "victim,nobody", ",", "(victim)", "-victim", "-", "~victim", "%victim%", "$victim",
    "@user:{victim}", "victi?", "v.ctim", "[a TO z]", "=>[KNN 10 @vec $vec]", "__none__", "_", "victi", "vicţim",
    "victim\u200b", "ｖｉｃｔｉｍ",
]  # fmt: skip


@pytest.fixture(scope="module")
def victim(http) -> Api:
    """A namespace with the secrets of a victim, and one of nobody in particular."""
    api = Api(http, unique("ns"))
    api.create(
        a_memory("secret of the victim", user_id="victim", session_id="victim", topics=["victim"], entities=["victim"]),
        a_memory("secret without an owner"),
    )
    return api


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("field", ["user_id", "session_id"])
def test_hostile_values_in_a_filter_match_literally_and_never_widen(victim, field, value):
    for condition in ({"eq": value}, {"any": [value]}, {"all": [value]}, {"in_": [value, value]}):
        for text, mode in ((None, "semantic"), ("secret", "semantic"), ("secret", "keyword"), ("secret", "hybrid")):
            body = {"namespace": {"eq": victim.namespace}, field: condition, "text": text, "search_mode": mode}
            answer = victim.http.post(SEARCH, json=body)
            assert answer.status_code in (200, 422), answer.text
            if answer.status_code == 200:
                assert answer.json()["memories"] == [], condition


@pytest.mark.parametrize("value", [v for v in HOSTILE if v not in ("victi",)])
def test_hostile_prefixes_match_literally(victim, value):
    found = victim.ids(user_id={"startswith": value})
    assert found == []


@pytest.mark.parametrize("value", [v for v in HOSTILE if v.strip().casefold() != "victim"])
@pytest.mark.parametrize("field", ["topics", "entities"])
def test_hostile_values_match_literally_in_lists_too(victim, field, value):
    for condition in ({"any": [value]}, {"all": [value]}, {"eq": value}):
        assert victim.memories(**{field: condition}) == []


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_is_found_by_itself_and_alone(api: Api, value):
    api.create(a_memory("mine", user_id=value, session_id=value), a_memory("other", user_id="victim"))
    assert api.texts(user_id={"eq": value}) == ["mine"]
    assert api.texts(session_id={"any": [value, "unknown"]}) == ["mine"]
    assert api.texts(user_id={"ne": value}) == ["other"]
    assert api.texts(user_id={"startswith": value}) == (["other", "mine"] if "victim".startswith(value) else ["mine"])


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_namespaces_find_nothing(http, victim, value):
    answer = http.post(SEARCH, json={"namespace": {"eq": value}, "text": "secret"})
    assert answer.status_code == 200
    assert answer.json()["memories"] == []


def test_row_07_no_hits_in_a_scope_are_no_hits(victim):
    """No fallback drops filters, whatever else was asked for."""
    for extra in ({"topics": {"any": ["food"]}}, {"entities": {"any": ["x"]}}, {"memory_type": {"eq": "message"}},
                  {"event_date": {"gt": "2030-01-01"}}, {"extraction_strategy": {"eq": "custom"}}):  # fmt: skip
        for mode in ("semantic", "keyword", "hybrid"):
            answer = victim.search("secret of the victim", search_mode=mode, **extra)
            assert answer == {"memories": [], "total": 0, "next_offset": None}


@pytest.mark.parametrize("field", TAG_FIELDS[3:5])
def test_values_of_lists_with_strange_characters_are_found(api: Api, field):
    values = ["C++", "R&D | sales", "{braces}", "a*b", "ünï ✓", 'it\'s "q"', "back\\slash", "tab\there"]
    api.create(*[a_memory(f"about {i}", **{field: [value]}) for i, value in enumerate(values)])
    for i, value in enumerate(values):
        assert api.texts(**{field: {"any": [value]}}) == [f"about {i}"], value


def test_commas_in_scope_names_are_part_of_the_name(api: Api):
    api.create(a_memory("one", user_id="a,b", session_id="x,y"), a_memory("two", user_id="a"))
    assert api.texts(user_id={"eq": "a,b"}) == ["one"]
    assert api.texts(user_id={"eq": "a"}) == ["two"]
    assert api.texts(session_id={"eq": "x"}) == []
