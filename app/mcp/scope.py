"""Whose memory one MCP request may touch: bound by URL and token, filled in by settings."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from app.memory.errors import ScopeForbidden
from app.memory.filters import MemoryFilter, TagFilter
from app.memory.models import Memory, Scope

_PARTS = ("namespace", "user_id")


@dataclass(frozen=True, slots=True)
class RequestScope:
    """The scope of one request; a value of its own per request, so that two at once cannot see each other's.

    Parts that are `bound` (the URL's namespace, the token's claims) hold for everything the request does: a call that
    names another value is refused. `default` parts (settings) only stand in for what a call leaves out.
    """

    bound: Scope = field(default_factory=Scope)
    default: Scope = field(default_factory=Scope)

    def scope(self, namespace: str | None = None, user_id: str | None = None) -> Scope:
        """The scope for a call that names these parts. Raises ScopeForbidden when it names a foreign one."""
        return Scope(self._part("namespace", namespace), self._part("user_id", user_id))

    def allow(self, namespace: str | None, user_id: str | None) -> None:
        """Raise ScopeForbidden when one of the parts is given and is not the bound one."""
        for name, given in zip(_PARTS, (namespace, user_id), strict=True):
            bound = getattr(self.bound, name)
            if given is not None and bound is not None and given != bound:
                raise _forbidden(name, bound)

    def place(self, memory: Memory) -> Memory:
        """The memory in this scope: parts it does not name are filled in. Raises ScopeForbidden."""
        scope = self.scope(memory.namespace, memory.user_id)
        return replace(memory, namespace=scope.namespace, user_id=scope.user_id)

    def narrow(self, condition: MemoryFilter) -> MemoryFilter:
        """The filter, limited to this scope. Raises ScopeForbidden when it could only match outside of it."""
        for name in _PARTS:
            bound, default = getattr(self.bound, name), getattr(self.default, name)
            given = condition.tags.get(name, ())
            if bound is not None:
                if not all(admits(one, bound) for one in given):
                    raise _forbidden(name, bound)
                condition = condition.also(name, TagFilter(eq=bound))
            elif default is not None and not given:
                condition = condition.also(name, TagFilter(eq=default))
        return condition

    def _part(self, name: str, given: str | None) -> str | None:
        bound, default = getattr(self.bound, name), getattr(self.default, name)
        if bound is not None and given is not None and given != bound:
            raise _forbidden(name, bound)
        found: str | None = bound or given or default
        return found


def admits(one: TagFilter, value: str) -> bool:
    """Whether a filter can match a record whose only value is this one."""
    return (
        (one.eq is None or one.eq == value)
        and one.ne != value
        and (one.any is None or value in one.any)
        and (one.all is None or set(one.all) == {value})
        and (one.none is None or value not in one.none)
        and (one.startswith is None or value.startswith(one.startswith))
    )


def _forbidden(name: str, bound: str) -> ScopeForbidden:
    return ScopeForbidden(f"This connection only works with {name} {bound!r}; leave {name} out of the call")
