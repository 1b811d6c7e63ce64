"""The one place that decides what a caller may do with the engine.

`RULES` has a line for each method of the engine that a door may call: the access that it needs, and for each argument
that names data, what keeps it within the caller's limits. `guarded_services` puts them in front of the services of the
container, so that REST, MCP and whatever comes later are held to them alike, and so are services that call each other.
A method without a line is closed to limited callers. Where nobody asks (tasks, the command line, authentication off),
calls go through as they are.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, TypeVar, cast

from app.memory.errors import Conflict, NotFound, ScopeForbidden
from app.memory.filters import MemoryFilter
from app.memory.models import Memory, PartitionSummary, Scope, Session, SessionRef, SummaryView, TaskRecord
from app.memory.permissions import Access, Limits, Principal, current
from app.memory.search import SearchRequest

C = TypeVar("C", bound=type)


class Views(Protocol):
    """Where views are looked up."""

    def get(self, view_id: str) -> SummaryView | None:
        """The view, if there is one."""
        ...


class Tasks(Protocol):
    """Where task records are looked up."""

    def get(self, task_id: str) -> TaskRecord | None:
        """The task record, if there is one."""
        ...


class Engine(Protocol):
    """What the rules look up (the container has it)."""

    views: Views
    tasks: Tasks


Check = Callable[[Limits, Any, Engine], Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """What one method needs: access, a check per argument (its result is passed on), and a check of the result."""

    access: Access
    arguments: Mapping[str, Check] = field(default_factory=dict)
    result: Check | None = None


class _Answered(Exception):
    """A check that knows the answer: the method is not called."""

    def __init__(self, value: Any) -> None:
        self.value = value


# -- checks: (limits, value, engine) → the value to pass on, or an error ----------------------------------------------


def _namespace(limits: Limits, given: str | None, _engine: Engine) -> str | None:
    return limits.namespace(given)


def _user(limits: Limits, given: str | None, _engine: Engine) -> str | None:
    return limits.user(given)


def _scope(limits: Limits, given: Scope, _engine: Engine) -> Scope:
    return Scope(limits.namespace(given.namespace), limits.user(given.user_id))


def _whole_namespace(limits: Limits, given: str | None, _engine: Engine) -> str | None:
    if limits.users is not None:
        raise ScopeForbidden("This needs a credential that is not limited to users")
    return limits.namespace(given)


def _not_all_tenants(limits: Limits, given: bool, _engine: Engine) -> bool:
    if given and not limits.any_namespace:
        raise ScopeForbidden("Name the namespace: your credential is not for all")
    return given


def _ref(limits: Limits, given: SessionRef, engine: Engine) -> SessionRef:
    return replace(given, scope=_scope(limits, given.scope, engine))


def _session(limits: Limits, given: Session, engine: Engine) -> Session:
    """The session in its scope; what is noted in it may name no other scope."""
    for memory in given.memories:
        _may_name(limits, memory.namespace, memory.user_id)
    return replace(given, ref=_ref(limits, given.ref, engine))


def _memories(limits: Limits, given: Sequence[Memory], _engine: Engine) -> list[Memory]:
    return [replace(m, namespace=limits.namespace(m.namespace), user_id=limits.user(m.user_id)) for m in given]


def _changes(limits: Limits, given: Mapping[str, Any], _engine: Engine) -> Mapping[str, Any]:
    _may_name(limits, given.get("namespace"), given.get("user_id"))
    return given


def _group(limits: Limits, given: Mapping[str, str], _engine: Engine) -> Mapping[str, str]:
    _may_name(limits, given.get("namespace"), given.get("user_id"))
    return given


def _may_name(limits: Limits, namespace: str | None, user_id: str | None) -> None:
    if namespace is not None:
        limits.namespace(namespace)
    if user_id is not None:
        limits.user(user_id)


def _condition(limits: Limits, given: MemoryFilter, _engine: Engine) -> MemoryFilter:
    return limits.narrow(given)


def _request(limits: Limits, given: SearchRequest, _engine: Engine) -> SearchRequest:
    return replace(given, condition=limits.narrow(given.condition))


def _new_view(limits: Limits, given: SummaryView, _engine: Engine) -> SummaryView:
    """A view's condition is narrowed for good: background runs, which nobody asks for, use it too."""
    return replace(given, condition=limits.narrow(given.condition))


def _view_id(limits: Limits, given: str, engine: Engine) -> str:
    view = engine.views.get(given)
    if view is None or not limits.hold(view.condition):
        raise NotFound(f"SummaryView {given} not found")
    return given


def _view_to_delete(limits: Limits, given: str, engine: Engine) -> str:
    """Unknown views count as deleted, and others' are not known."""
    try:
        return _view_id(limits, given, engine)
    except NotFound:
        raise _Answered(None) from None


def _own_views(limits: Limits, found: Sequence[SummaryView], _engine: Engine) -> list[SummaryView]:
    return [view for view in found if limits.hold(view.condition)]


def _own_partitions(limits: Limits, found: Sequence[PartitionSummary], _engine: Engine) -> list[PartitionSummary]:
    """A run for a group overrides the view's own filter, so a view may hold more than its filter says."""

    def own(group: Mapping[str, str]) -> bool:
        return ("namespace" not in group or limits.allow_namespace(group["namespace"])) and (
            "user_id" not in group or limits.allow_user(group["user_id"])
        )

    return [one for one in found if own(one.group)]


def _own_task(limits: Limits, found: TaskRecord | None, _engine: Engine) -> TaskRecord | None:
    """A task is known to whoever may touch all that its starter may."""
    return found if found is not None and limits.contain(found.limits or Limits()) else None


def _new_task_id(limits: Limits, given: str | None, engine: Engine) -> str | None:
    """A task of others is not overwritten."""
    known = engine.tasks.get(given) if given else None
    if known is not None and _own_task(limits, known, engine) is None:
        raise Conflict(f"The task id {given} is taken")
    return given


# -- rules -------------------------------------------------------------------------------------------------------------

_READ, _WRITE, _ADMIN = Access.READ, Access.WRITE, Access.ADMIN
_NAMED = {"namespace": _namespace, "user_id": _user}

RULES: dict[str, dict[str, Rule]] = {
    "working_memory": {
        "put": Rule(_WRITE, {"session": _session}),
        "append": Rule(_WRITE, {"ref": _ref}),
        "get": Rule(_READ, {"ref": _ref}),
        "delete": Rule(_WRITE, {"ref": _ref}),
        "list_ids": Rule(_READ, _NAMED),
        "window_size": Rule(_READ),
    },
    "long_term_memory": {
        "create": Rule(_WRITE, {"memories": _memories}),
        "get": Rule(_READ, _NAMED),
        "update": Rule(_WRITE, {"changes": _changes, **_NAMED}),
        "delete": Rule(_WRITE, _NAMED),
    },
    "search": {"search": Rule(_READ, {"request": _request})},
    # The session and the memories in a prompt are fetched through the services above.
    "hydration": {"hydrate": Rule(_READ)},
    "profiles": {"of": Rule(_READ, {"scope": _scope})},
    "summary_views": {
        "create": Rule(_WRITE, {"view": _new_view}),
        "get": Rule(_READ, {"view_id": _view_id}),
        "all": Rule(_READ, result=_own_views),
        "delete": Rule(_WRITE, {"view_id": _view_to_delete}),
        "partitions": Rule(_READ, {"view_id": _view_id}, _own_partitions),
        "run_partition": Rule(_WRITE, {"view_id": _view_id, "group": _group}),
        "start_run": Rule(_WRITE, {"view_id": _view_id, "task_id": _new_task_id}),
    },
    "task_records": {"get": Rule(_READ, result=_own_task)},
    "verdicts": {"of": Rule(_READ, _NAMED)},
    "lifecycle": {"forget": Rule(_ADMIN, {"condition": _condition})},
    "compaction": {"compact": Rule(_ADMIN, {"condition": _condition})},
    "history": {"of": Rule(_READ, _NAMED), "restore": Rule(_WRITE, _NAMED)},
    # Imports write what they are given as it is, and so are for administrators of everything.
    "erasure": {
        "erase": Rule(_ADMIN, {"scope": _scope}),
        "export": Rule(_ADMIN, {"namespace": _whole_namespace}),
    },
    # The task of a session is for whoever may read the session, also where the platform itself started it.
    "promotion": {
        "start": Rule(_WRITE, {"session": _ref}),
        "latest": Rule(_READ, {"session": _ref}),
    },
    "topic_catalog": {
        "topics": Rule(_READ, {"condition": _condition, "namespace": _namespace}),
        "entities": Rule(_READ, {"condition": _condition}),
        "map": Rule(_READ, {"condition": _condition, "namespace": _namespace}),
    },
    "topic_refit": {"start": Rule(_ADMIN, {"namespace": _whole_namespace, "everything": _not_all_tenants})},
}


# -- in front of the services ------------------------------------------------------------------------------------------


class Guarded:
    """A service of the engine behind its rules."""

    def __init__(self, service: Any, rules: Mapping[str, Rule], engine: Engine) -> None:
        self._service = service
        self._rules = rules
        self._engine = engine
        for name, rule in rules.items():
            missing = set(rule.arguments) - set(inspect.signature(getattr(service, name)).parameters)
            if missing:
                raise TypeError(f"the rule of {type(service).__name__}.{name} names no argument: {sorted(missing)}")

    def __getattr__(self, name: str) -> Any:
        """The service's own attribute, its public methods behind their rules."""
        found = getattr(self._service, name)
        if name.startswith("_") or not callable(found):
            return found
        call = self._behind(found, self._rules.get(name))
        setattr(self, name, call)
        return call

    def _behind(self, method: Callable[..., Any], rule: Rule | None) -> Callable[..., Any]:
        signature = inspect.signature(method)

        def call(*args: Any, **kwargs: Any) -> Any:
            principal = current()
            if principal is None:
                return method(*args, **kwargs)
            if not _decide(principal, rule) or rule is None:
                return method(*args, **kwargs)
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            try:
                for name, check in rule.arguments.items():
                    bound.arguments[name] = check(principal.limits, bound.arguments[name], self._engine)
            except _Answered as answered:
                return answered.value
            result = method(*bound.args, **bound.kwargs)
            return rule.result(principal.limits, result, self._engine) if rule.result else result

        return call


def _decide(principal: Principal, rule: Rule | None) -> bool:
    """Whether the call must be kept within limits. Raises ScopeForbidden when it may not be made at all."""
    if rule is None:
        principal.require_everything()
        return False
    principal.require(rule.access)
    return not principal.limits.unlimited


def guarded_services(container: C) -> C:
    """Class decorator: the services named in RULES are given out behind their rules."""
    for name, rules in RULES.items():
        if isinstance(found := inspect.getattr_static(container, name, None), cached_property):
            setattr(container, name, _guarded(found, name, rules))
    return container


def _guarded(found: cached_property[Any], name: str, rules: Mapping[str, Rule]) -> cached_property[Any]:
    guarded = cached_property(lambda engine: Guarded(found.func(engine), rules, cast(Engine, engine)))
    guarded.__set_name__(object, name)
    guarded.__doc__ = found.__doc__
    return guarded
