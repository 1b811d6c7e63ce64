"""Who asks, and what of the memory is theirs: the values behind every decision (`guard.py` makes the decisions)."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from app.memory.errors import ScopeForbidden
from app.memory.filters import MemoryFilter, TagFilter


class Access(enum.IntEnum):
    """What a caller may do; each includes the ones before it."""

    NONE = 0
    READ = 1
    WRITE = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """Whose data a caller may touch. None (and no prefix) means that this part of the scope is not limited.

    A limited caller never touches data without a namespace (or user): "no namespace" is a scope that it was not given.
    """

    namespaces: tuple[str, ...] | None = None
    namespace_prefixes: tuple[str, ...] = ()
    users: tuple[str, ...] | None = None

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Limits:
        """Limits from their JSON form (see `as_json`)."""
        names, users = stored.get("namespaces"), stored.get("users")
        return cls(
            None if names is None else tuple(names),
            tuple(stored.get("namespace_prefixes") or ()),
            None if users is None else tuple(users),
        )

    def as_json(self) -> dict[str, list[str]]:
        """What is limited, and only that."""
        parts = {"namespaces": self.namespaces, "users": self.users}
        limited = {name: list(values) for name, values in parts.items() if values is not None}
        return limited | ({"namespace_prefixes": list(self.namespace_prefixes)} if self.namespace_prefixes else {})

    @property
    def any_namespace(self) -> bool:
        """Whether namespaces are not limited."""
        return self.namespaces is None and not self.namespace_prefixes

    @property
    def unlimited(self) -> bool:
        """Whether nothing is limited."""
        return self.any_namespace and self.users is None

    @property
    def only(self) -> tuple[str | None, str | None]:
        """The one namespace and the one user that may be touched, where there is only one."""
        names, users = self.namespaces or (), self.users or ()
        one_namespace = len(names) == 1 and not self.namespace_prefixes
        return (names[0] if one_namespace else None), (users[0] if len(users) == 1 else None)

    def contain(self, other: Limits) -> bool:
        """Whether whoever has these limits may touch everything that one with the others may."""
        if not self.any_namespace:
            if other.any_namespace or not all(self.allow_namespace(name) for name in other.namespaces or ()):
                return False
            if not all(prefix.startswith(self.namespace_prefixes) for prefix in other.namespace_prefixes):
                return False
        return self.users is None or (other.users is not None and set(other.users) <= set(self.users))

    def allow_namespace(self, name: str | None) -> bool:
        """Whether this namespace may be touched."""
        if self.any_namespace:
            return True
        return bool(name) and (name in (self.namespaces or ()) or str(name).startswith(self.namespace_prefixes))

    def allow_user(self, name: str | None) -> bool:
        """Whether this user's data may be touched."""
        return self.users is None or (bool(name) and name in self.users)

    def namespace(self, given: str | None) -> str | None:
        """The namespace for a call that names this one, or none. Raises ScopeForbidden."""
        return _part("namespace", given, self.allow_namespace, self.only[0], self.any_namespace)

    def user(self, given: str | None) -> str | None:
        """The user for a call that names this one, or none. Raises ScopeForbidden."""
        return _part("user_id", given, self.allow_user, self.only[1], self.users is None)

    def narrow(self, condition: MemoryFilter) -> MemoryFilter:
        """The filter, limited to what may be touched. Raises ScopeForbidden when it names only what may not."""
        for name, names, prefixes, limited in self._parts():
            if not limited:
                continue
            given = condition.tags.get(name, ())
            if not all(_can_match(one, names, prefixes) for one in given):
                raise ScopeForbidden(f"You may not use this {name}")
            if not any(_stays_within(one, names, prefixes) for one in given):
                condition = condition.also(name, _within(names, prefixes))
        return condition

    def hold(self, condition: MemoryFilter) -> bool:
        """Whether a filter by itself can match only what may be touched."""
        return all(
            not limited or any(_stays_within(one, names, prefixes) for one in condition.tags.get(name, ()))
            for name, names, prefixes, limited in self._parts()
        )

    def _parts(self) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...], bool]]:
        yield "namespace", self.namespaces or (), self.namespace_prefixes, not self.any_namespace
        yield "user_id", self.users or (), (), self.users is not None


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller that proved who it is."""

    subject: str
    access: Access = Access.ADMIN
    limits: Limits = field(default_factory=Limits)

    def require(self, access: Access) -> None:
        """Raise ScopeForbidden unless the caller may do this."""
        if self.access < access:
            raise ScopeForbidden(f"This needs {access.name.lower()} access; you have {self.access.name.lower()} access")

    def require_everything(self) -> None:
        """Raise ScopeForbidden unless the caller is an administrator of the whole deployment."""
        self.require(Access.ADMIN)
        if not self.limits.unlimited:
            raise ScopeForbidden("This needs a credential that is not limited to namespaces or users")


@dataclass(frozen=True, slots=True)
class Rate:
    """How far a caller is with its requests: seconds until it may go on, or until nothing is used any more."""

    limit: int
    remaining: int
    reset_seconds: float
    exceeded: bool = False


# Who may nothing: a request before it proved who sends it.
NOBODY = Principal("nobody", Access.NONE)
_current: ContextVar[Principal | None] = ContextVar("principal", default=None)


def current() -> Principal | None:
    """Who asks; None is the platform itself (a task, the command line), or anybody where authentication is off."""
    return _current.get()


def current_limits() -> Limits | None:
    """The limits of who asks."""
    principal = _current.get()
    return principal.limits if principal is not None else None


def act_as(principal: Principal | None) -> None:
    """From now on, this thread works for this caller."""
    _current.set(principal)


@contextmanager
def acting_as(principal: Principal | None) -> Iterator[None]:
    """Work for this caller."""
    token = _current.set(principal)
    try:
        yield
    finally:
        _current.reset(token)


def _part(
    name: str, given: str | None, allows: Callable[[str | None], bool], only: str | None, open_to_all: bool
) -> str | None:
    if open_to_all:
        return given
    if not given:
        if only is None:
            raise ScopeForbidden(f"Name the {name}: your credential is for several")
        return only
    if not allows(given):
        raise ScopeForbidden(f"You may not use this {name}")
    return given


def _within(names: Sequence[str], prefixes: Sequence[str]) -> TagFilter:
    if len(names) == 1 and not prefixes:
        return TagFilter(eq=names[0])
    return TagFilter(any=tuple(names)) if not prefixes else TagFilter(any=tuple(names), or_startswith=tuple(prefixes))


def _allowed(names: Sequence[str], prefixes: tuple[str, ...], value: str) -> bool:
    return bool(value) and (value in names or value.startswith(prefixes))


def _can_match(one: TagFilter, names: Sequence[str], prefixes: tuple[str, ...]) -> bool:
    """Whether a filter that names values names one that is allowed."""
    allowed = partial(_allowed, names, prefixes)
    if one.eq is not None and not allowed(one.eq):
        return False
    if one.any is not None and one.or_startswith is None and not any(map(allowed, one.any)):
        return False
    if one.all is not None and not all(map(allowed, one.all)):
        return False
    if one.startswith is None:
        return True
    start = one.startswith
    return any(name.startswith(start) for name in names) or any(
        prefix.startswith(start) or start.startswith(prefix) for prefix in prefixes
    )


def _stays_within(one: TagFilter, names: Sequence[str], prefixes: tuple[str, ...]) -> bool:
    """Whether a filter can match allowed values only."""
    allowed = partial(_allowed, names, prefixes)
    if one.eq is not None and allowed(one.eq):
        return True
    if one.any is not None and all(map(allowed, one.any)):
        return all(start.startswith(prefixes) for start in one.or_startswith or ())
    if one.all and all(map(allowed, one.all)):
        return True
    return bool(one.startswith) and str(one.startswith).startswith(prefixes)
