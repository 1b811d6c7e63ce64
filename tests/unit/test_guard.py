"""The guard in front of the engine's services: who gets through, and what with."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import pytest

from app.container import Container
from app.memory.compaction import Compaction
from app.memory.erasure import Erasure
from app.memory.errors import ScopeForbidden
from app.memory.guard import RULES, Guarded
from app.memory.history import History
from app.memory.lifecycle import Lifecycle
from app.memory.long_term import LongTermMemory
from app.memory.models import Memory, TaskRecord
from app.memory.permissions import NOBODY, Access, Limits, Principal, acting_as
from app.memory.profile import Profiles
from app.memory.promotion import Promotion
from app.memory.prompt import PromptHydration
from app.memory.search import MemorySearch
from app.memory.summary_views import SummaryViews
from app.memory.topics.catalog import TopicCatalog
from app.memory.topics.refit import TopicRefit
from app.memory.working import WorkingMemory
from app.store.batches import TaskRepository
from app.store.verdicts import VerdictRepository

ANN = Principal("ann", Access.WRITE, Limits(("acme",), users=("ann",)))
ROOT = Principal("root")


class Service:
    """Remembers what it was called with."""

    def create(self, memories: Any, *, deduplicate: bool = True) -> Any:
        return memories

    def get(self, memory_id: str, *, namespace: str | None = None, user_id: str | None = None) -> Any:
        return memory_id, namespace, user_id

    def update(self, memory_id: str, changes: Any, *, namespace: Any = None, user_id: Any = None) -> Any:
        return changes

    def delete(self, memory_ids: Any, *, namespace: Any = None, user_id: Any = None) -> Any:
        return memory_ids

    def everything(self) -> str:
        return "all tenants' data"


@pytest.fixture
def service() -> Any:
    return Guarded(Service(), RULES["long_term_memory"], SimpleNamespace())  # type: ignore[arg-type]


def test_where_nobody_asks_calls_go_through(service):
    assert service.get("m") == ("m", None, None)
    assert service.everything() == "all tenants' data"


def test_a_limited_caller_works_in_its_scope_whatever_it_says(service):
    with acting_as(ANN):
        assert service.get("m") == ("m", "acme", "ann")
        assert service.get("m", namespace="acme") == ("m", "acme", "ann")
        assert [(m.namespace, m.user_id) for m in service.create([Memory("1", "x")])] == [("acme", "ann")]
        for foreign in ({"namespace": "other"}, {"user_id": "bob"}):
            with pytest.raises(ScopeForbidden):
                service.get("m", **foreign)
            with pytest.raises(ScopeForbidden):
                service.create([Memory("1", "x", **foreign)])
            with pytest.raises(ScopeForbidden):
                service.update("m", foreign)


def test_a_method_without_a_rule_is_closed_to_limited_callers_and_to_those_who_may_less(service):
    for caller in (NOBODY, ANN, Principal("w", Access.WRITE), Principal("a", Access.ADMIN, Limits(("acme",)))):
        with acting_as(caller), pytest.raises(ScopeForbidden):
            service.everything()
    with acting_as(ROOT):
        assert service.everything() == "all tenants' data"


def test_one_who_has_not_proved_who_it_is_may_nothing(service):
    with acting_as(NOBODY), pytest.raises(ScopeForbidden):
        service.get("m", namespace="acme", user_id="ann")


def test_a_reader_may_not_write(service):
    with acting_as(Principal("r", Access.READ)):
        assert service.get("m") == ("m", None, None)
        with pytest.raises(ScopeForbidden, match="write access"):
            service.delete(["m"])


def test_a_rule_that_names_no_argument_is_found_at_once():
    with pytest.raises(TypeError, match="names no argument"):
        Guarded(Service(), {"everything": RULES["search"]["search"]}, SimpleNamespace())  # type: ignore[arg-type]


SERVICES = {
    "working_memory": WorkingMemory, "long_term_memory": LongTermMemory, "search": MemorySearch,
    "hydration": PromptHydration, "profiles": Profiles, "summary_views": SummaryViews, "lifecycle": Lifecycle,
    "task_records": TaskRepository, "compaction": Compaction, "history": History, "erasure": Erasure,
    "promotion": Promotion, "topic_catalog": TopicCatalog, "topic_refit": TopicRefit, "verdicts": VerdictRepository,
}  # fmt: skip


@pytest.mark.parametrize("name", RULES)
def test_the_rules_fit_the_services_and_stand_in_front_of_them(name):
    kind = SERVICES[name]
    for method, rule in RULES[name].items():
        assert set(rule.arguments) <= set(inspect.signature(getattr(kind, method)).parameters), method
    made = vars(Container)[name].func
    assert made.__qualname__.startswith("_guarded"), f"{name} is given out without its rules"


def test_a_task_remembers_the_limits_of_who_started_it():
    with acting_as(ANN):
        assert TaskRecord("1", "x").limits == ANN.limits
    assert TaskRecord("1", "x").limits is None
