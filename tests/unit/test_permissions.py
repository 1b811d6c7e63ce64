"""Limits as values: what they allow, narrow, hold and contain."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.memory.errors import ScopeForbidden
from app.memory.filters import MemoryFilter, TagFilter
from app.memory.permissions import Access, Limits, Principal
from app.store.query import compile_filter

NAMES = ["a", "ab", "b", "team-1", "team-2", "x"]
names = st.sampled_from(NAMES)
some = st.lists(names, min_size=1, max_size=3, unique=True).map(tuple)
limits = st.builds(
    Limits,
    namespaces=st.none() | some,
    namespace_prefixes=st.lists(st.sampled_from(["a", "team-", "x"]), max_size=2, unique=True).map(tuple),
    users=st.none() | some,
)
filters = st.builds(
    TagFilter,
    eq=st.none() | names,
    ne=st.none() | names,
    any=st.none() | some,
    none=st.none() | some,
    startswith=st.none() | st.sampled_from(["a", "t", "team-1", "q"]),
)


def matches(one: TagFilter, value: str) -> bool:
    """What a filter means."""
    wide = one.any is not None and (value in one.any or value.startswith(one.or_startswith or ()))
    return (
        (one.eq is None or one.eq == value)
        and one.ne != value
        and (one.any is None or wide)
        and (one.all is None or set(one.all) <= {value})
        and value not in (one.none or ())
        and (one.startswith is None or value.startswith(one.startswith))
    )


@given(limits, st.lists(filters, max_size=2), names)
def test_a_narrowed_filter_matches_what_it_did_and_is_allowed(limited, given_, value):
    before = MemoryFilter({"namespace": tuple(given_)} if given_ else {})
    try:
        after = limited.narrow(before)
    except ScopeForbidden:
        after = MemoryFilter({"namespace": (TagFilter(eq="-nothing-"),)})
    wanted = all(matches(one, value) for one in given_) and limited.allow_namespace(value)
    assert all(matches(one, value) for one in after.tags.get("namespace", ())) == wanted
    assert compile_filter(after)


@given(limits, st.lists(filters, max_size=2), names)
def test_a_filter_that_limits_hold_matches_nothing_else(limited, given_, value):
    condition = MemoryFilter({"namespace": tuple(given_), "user_id": (TagFilter(eq="a"),)})
    if limited.hold(condition) and all(matches(one, value) for one in given_):
        assert limited.allow_namespace(value)
        assert limited.allow_user("a")


@given(limits, st.lists(filters, max_size=2))
def test_what_was_narrowed_is_held(limited, given_):
    try:
        narrowed = limited.narrow(MemoryFilter({"namespace": tuple(given_)}))
    except ScopeForbidden:
        return
    assert limited.hold(narrowed)


@given(limits, limits, names, names)
def test_limits_that_contain_others_allow_all_that_those_do(wide, narrow, namespace, user):
    if wide.contain(narrow):
        assert not narrow.allow_namespace(namespace) or wide.allow_namespace(namespace)
        assert not narrow.allow_user(user) or wide.allow_user(user)
    assert Limits().contain(narrow)
    assert wide.contain(wide)


@given(limits)
def test_limits_survive_being_stored(limited):
    assert Limits.of(limited.as_json()) == limited


@pytest.mark.parametrize("name", ["", None])
def test_no_name_is_a_scope_that_nobody_limited_was_given(name):
    limited = Limits(("a",), ("b",), ("u",))
    assert not limited.allow_namespace(name)
    assert not limited.allow_user(name)


def test_what_a_call_leaves_out_is_filled_in_where_there_is_one():
    assert Limits(("a",), users=("u",)).namespace(None) == "a"
    assert Limits(("a",), users=("u",)).user("") == "u"
    assert Limits(users=("u",)).namespace(None) is None
    with pytest.raises(ScopeForbidden, match="Name the namespace"):
        Limits(namespace_prefixes=("a",)).namespace(None)
    with pytest.raises(ScopeForbidden, match="You may not use this user_id"):
        Limits(users=("u",)).user("v")


def test_access_includes_what_is_less():
    writer = Principal("w", Access.WRITE)
    writer.require(Access.READ)
    with pytest.raises(ScopeForbidden, match="This needs admin access; you have write access"):
        writer.require(Access.ADMIN)
    with pytest.raises(ScopeForbidden):
        Principal("a", Access.ADMIN, Limits(("a",))).require_everything()


@pytest.mark.parametrize("prefix", ["team-", "tüm", "a_b", "a*"])
def test_a_prefix_is_compiled_as_the_encoded_prefix(prefix):
    query = compile_filter(Limits(("x",), (prefix,)).narrow(MemoryFilter()))
    other = compile_filter(MemoryFilter({"namespace": (TagFilter(startswith=prefix),)}))
    assert query == other.replace("@ns:{", "@ns:{x|")
