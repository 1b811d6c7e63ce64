"""What all blueprints share: the parser, both slash forms of each route, the engine."""

from __future__ import annotations

from typing import Any

from flask_smorest import Blueprint

from app.api.wire import WireParser
from app.container import Container, container


class WireBlueprint(Blueprint):
    """A blueprint whose bodies and queries are read as the contract says."""

    ARGUMENTS_PARSER = WireParser()


def blueprint(name: str, prefix: str, description: str) -> WireBlueprint:
    """A blueprint under `/v1`."""
    return WireBlueprint(name, name, url_prefix=f"/v1{prefix}", description=description)


def engine() -> Container:
    """The process's engine."""
    return container()


def responses(*codes: int) -> dict[str, Any]:
    """Documentation of error answers."""
    texts = {
        400: "Not allowed",
        404: "Not found",
        409: "Ambiguous",
        412: "Lost a race",
        422: "Invalid",
        503: "Try later",
    }
    return {str(code): {"description": texts[code]} for code in codes}
