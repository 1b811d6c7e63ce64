"""Where a request carries its credential."""

from __future__ import annotations

from collections.abc import Mapping


def credential(headers: Mapping[str, str]) -> str | None:
    """The token of `Authorization: Bearer …`, else of `X-API-Key`; None when there is none."""
    scheme, _, given = headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer" and given.strip():
        return given.strip()
    return headers.get("x-api-key", "").strip() or None
