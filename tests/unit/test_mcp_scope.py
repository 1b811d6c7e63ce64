"""Whose memory an MCP request may touch."""

from __future__ import annotations

import pytest

from app.mcp.scope import RequestScope, admits
from app.memory.errors import ScopeForbidden
from app.memory.filters import MemoryFilter, TagFilter
from app.memory.models import Memory, Scope

BOUND = RequestScope(bound=Scope("a"), default=Scope("d", "u"))
OPEN = RequestScope(default=Scope("d", "u"))


def tags(condition: MemoryFilter, name: str) -> tuple[TagFilter, ...]:
    return condition.tags.get(name, ())


def test_what_a_call_leaves_out_is_filled_in_from_the_binding_then_the_settings():
    assert BOUND.scope() == Scope("a", "u")
    assert OPEN.scope() == Scope("d", "u")
    assert RequestScope().scope() == Scope()


def test_settings_are_only_defaults_but_a_binding_holds():
    assert OPEN.scope("b", "v") == Scope("b", "v")
    assert BOUND.scope("a", "v") == Scope("a", "v")
    with pytest.raises(ScopeForbidden, match="only works with namespace 'a'"):
        BOUND.scope("b")


def test_a_memory_is_placed_in_the_scope_or_refused():
    assert BOUND.place(Memory("1", "x")).scope == Scope("a", "u")
    assert OPEN.place(Memory("1", "x", namespace="b")).scope == Scope("b", "u")
    with pytest.raises(ScopeForbidden):
        BOUND.place(Memory("1", "x", namespace="b"))


def test_a_search_is_narrowed_to_the_binding_whatever_its_filters_say():
    assert tags(BOUND.narrow(MemoryFilter()), "namespace") == (TagFilter(eq="a"),)
    several = MemoryFilter({"namespace": (TagFilter(any=("a", "b")),)})
    assert tags(BOUND.narrow(several), "namespace") == (TagFilter(any=("a", "b")), TagFilter(eq="a"))
    with pytest.raises(ScopeForbidden):
        BOUND.narrow(MemoryFilter({"namespace": (TagFilter(eq="b"),)}))


def test_a_default_does_not_narrow_a_search_that_names_the_part_itself():
    named = MemoryFilter({"namespace": (TagFilter(eq="b"),)})
    assert tags(OPEN.narrow(named), "namespace") == (TagFilter(eq="b"),)
    assert tags(OPEN.narrow(named), "user_id") == (TagFilter(eq="u"),)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (TagFilter(eq="a"), True),
        (TagFilter(eq="A"), False),
        (TagFilter(eq=""), False),
        (TagFilter(ne="a"), False),
        (TagFilter(ne="b"), True),
        (TagFilter(any=("b", "a")), True),
        (TagFilter(any=("b",)), False),
        (TagFilter(all=("a",)), True),
        (TagFilter(all=("a", "b")), False),
        (TagFilter(none=("a",)), False),
        (TagFilter(none=("b",)), True),
        (TagFilter(startswith="a"), True),
        (TagFilter(startswith="b"), False),
        (TagFilter(eq="a", none=("a",)), False),
    ],
)
def test_admits_tells_whether_a_filter_can_match_a_value(one, expected):
    assert admits(one, "a") is expected


def test_moving_a_memory_out_of_the_binding_is_refused():
    BOUND.allow("a", "anybody")
    BOUND.allow(None, None)
    with pytest.raises(ScopeForbidden):
        BOUND.allow("b", None)
