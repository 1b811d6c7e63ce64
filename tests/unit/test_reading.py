"""The quick way to load a value gives what marshmallow gives, or leaves the value to it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import marshmallow as ma
import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.api.schemas import memory, working
from app.api.schemas.base import WireSchema
from app.api.schemas.lifecycle import ForgetSchema
from app.api.schemas.memory import CreateMemoriesSchema, MemoryUpdateSchema
from app.api.schemas.prompt import PromptRequestSchema
from app.api.schemas.reading import Irregular
from app.api.schemas.search import SearchRequestSchema
from app.api.schemas.views import NewSummaryViewSchema, RunPartitionSchema
from app.api.schemas.working import AppendSchema, GetSessionQuerySchema, WorkingMemoryUpdateSchema
from app.config import Settings
from app.mcp import arguments
from app.mcp.arguments import CreateArguments, PromptArguments, SearchArguments, SetSessionArguments
from app.memory.errors import MemoryPlatformError

SCHEMAS = (
    WorkingMemoryUpdateSchema, AppendSchema, GetSessionQuerySchema, CreateMemoriesSchema, MemoryUpdateSchema,
    SearchRequestSchema, PromptRequestSchema, ForgetSchema, NewSummaryViewSchema, RunPartitionSchema,
    CreateArguments, SearchArguments, PromptArguments, SetSessionArguments,
)  # fmt: skip
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

_odd = st.one_of(
    st.sampled_from([None, True, "2026-01-05T10:00:00Z", "t", "semantic", "12", "", " ", "a,b", "x" * 300]),
    st.integers(-5, 300),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.lists(st.text(max_size=3), max_size=2),
    st.dictionaries(st.sampled_from(["eq", "any", "gte", "x"]), st.just("a")),
)


def _good(field: ma.fields.Field[Any]) -> st.SearchStrategy[Any]:
    """Mostly values that the field takes."""
    if isinstance(field, ma.fields.Nested):
        return bodies(field.schema)
    if isinstance(field, ma.fields.List):
        return st.lists(_good(field.inner), max_size=2)
    if isinstance(field, ma.fields.Boolean):
        return st.sampled_from([True, False, "true", "0"])
    if isinstance(field, (ma.fields.Integer, ma.fields.Float)):
        return st.sampled_from([0, 1, 2.0, "3", 7])
    if isinstance(field, ma.fields.String):
        return st.sampled_from(["x", "f", "t", "semantic", "hybrid", "long_term", "user", "2026-01-05T10:00:00Z"])
    if isinstance(field, ma.fields.Dict):
        return st.dictionaries(st.sampled_from(["a", "user_id"]), st.sampled_from(["b", {"eq": "c"}]), max_size=2)
    return st.sampled_from(
        [{"eq": "a"}, {"gte": "2026-01-01"}, "2026-01-05T10:00:00+02:00", 1_700_000_000, True, {"text": "q"}]
    )


def bodies(schema: ma.Schema) -> st.SearchStrategy[Any]:
    """JSON values for a schema: most good, some with one odd field, a few not even objects."""
    names = {(field.data_key or name): field for name, field in schema.load_fields.items()}
    required = {name: _good(field) for name, field in names.items() if field.required}
    optional = {name: st.one_of(_good(field), st.none()) for name, field in names.items() if not field.required}
    good = st.fixed_dictionaries(required, optional=optional)
    odd = st.tuples(good, st.sampled_from([*names, "unknown"]), _odd).map(lambda t: {**t[0], t[1]: t[2]})
    return st.one_of(good, good, odd, _odd)


@pytest.fixture(scope="module", autouse=True)
def app() -> Iterator[Flask]:
    flask = Flask("app", static_folder=None)
    flask.config["SETTINGS"] = Settings(max_session_messages=3, max_batch_size=2, max_text_chars=100)
    with flask.app_context():
        yield flask


@pytest.fixture(autouse=True)
def same_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "utc_now", lambda: NOW)
    monkeypatch.setattr(working, "utc_now", lambda: NOW)
    monkeypatch.setattr(arguments, "new_id", lambda: "an-id")


def outcome(load: Any, value: Any) -> tuple[str, Any]:
    """What loading a copy of the value comes to."""
    try:
        return "value", load(copy.deepcopy(value))
    except ma.ValidationError as error:
        return "invalid", error.messages
    except MemoryPlatformError as error:
        return "refused", str(error)


@pytest.mark.parametrize("kind", SCHEMAS, ids=lambda kind: kind.__name__)
def test_what_is_read_quickly_is_what_marshmallow_loads(kind: type[WireSchema]) -> None:
    schema = kind()
    seen = {"quick": 0, "left": 0}

    @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(bodies(schema))
    def compare(value: Any) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(WireSchema, "load", ma.Schema.load)  # nested schemas are loaded so too
            expected = outcome(schema.load, value)
        assert outcome(schema.load, value) == expected
        try:
            quick = outcome(schema.read, value)
        except Irregular:
            seen["left"] += 1
            return
        if quick[0] == "value":
            seen["quick"] += 1
            assert quick == expected

    compare()
    # Both ways were tried.
    assert seen["quick"] > 2
    assert seen["left"] > 2


def test_hooks_of_marshmallow_are_refused_where_the_quick_way_would_not_see_them() -> None:
    with pytest.raises(TypeError, match="use prepared, checked or made"):

        class _Hooked(WireSchema):
            @ma.post_load
            def _late(self, data: Any, **_: Any) -> Any:
                return data
