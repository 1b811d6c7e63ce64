"""From the claims of a JWT to a principal, by the settings that name the claims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.auth.errors import Unauthorized
from app.memory.permissions import Access, Limits, Principal

_ACCESS = {access.name.lower(): access for access in (Access.READ, Access.WRITE, Access.ADMIN)}
_QUALIFIER = "memory:"


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """Which claims limit a caller; None: this part is not limited by claims."""

    user: str | None = None
    namespace: str | None = None
    namespace_prefix: str | None = None
    access: str | None = None


def principal_of(claims: Mapping[str, Any], names: ClaimNames) -> Principal:
    """The principal. Raises Unauthorized when a claim that the settings name is missing: less is never more."""
    namespaces = _values(claims, names.namespace)
    prefixes = _values(claims, names.namespace_prefix)
    if names.namespace and names.namespace_prefix and (namespaces or prefixes):
        namespaces = namespaces or ()
    elif (names.namespace and not namespaces) or (names.namespace_prefix and not prefixes):
        raise Unauthorized("Invalid token: it lacks the claim that names the namespace")
    users = _values(claims, names.user)
    if names.user and not users:
        raise Unauthorized(f"Invalid token: it lacks the claim {names.user}")
    limits = Limits(namespaces, prefixes or (), users)
    return Principal(str(claims["sub"]), _access(claims, names.access, limits), limits)


def _access(claims: Mapping[str, Any], name: str | None, limits: Limits) -> Access:
    if name is None:
        # Whoever is limited to some data is a user of the platform; forgetting and the like is not for users.
        return Access.ADMIN if limits.unlimited else Access.WRITE
    granted = (_ACCESS.get(value.removeprefix(_QUALIFIER), Access.NONE) for value in _values(claims, name) or ())
    return max(granted, default=Access.NONE)


def _values(claims: Mapping[str, Any], name: str | None) -> tuple[str, ...] | None:
    """A claim as strings; text is one value, except in `scope`, which holds words (RFC 8693)."""
    if name is None:
        return None
    value = claims.get(name)
    if isinstance(value, str):
        return tuple(value.split()) if name in ("scope", "scp") else ((value,) if value else ())
    if isinstance(value, list):
        return tuple(entry for entry in value if isinstance(entry, str) and entry)
    return ()
