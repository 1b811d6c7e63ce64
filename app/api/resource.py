"""What all blueprints share: the parser, both slash forms of each route, the engine."""

from __future__ import annotations

from typing import Any

import flask
from flask_smorest import Blueprint

from app.api.wire import WireParser
from app.container import Container, container


class WireBlueprint(Blueprint):
    """A blueprint whose bodies and queries are read as the contract says; operations are named after their views."""

    ARGUMENTS_PARSER = WireParser()

    def add_url_rule(self, rule: str, endpoint: str | None = None, view_func: Any = None, **options: Any) -> None:
        """Add a route; one that is documented with a slash at its end is served without it (see `OneSlashForm`)."""
        super().add_url_rule(rule, endpoint, view_func, **options)
        if rule.endswith("/"):
            served = f"{endpoint or view_func.__name__}_served"
            flask.Blueprint.add_url_rule(self, rule.removesuffix("/"), served, view_func, methods=options["methods"])

    def _store_endpoint_docs(self, endpoint: str, obj: Any, parameters: Any, tags: Any, **options: Any) -> None:
        super()._store_endpoint_docs(endpoint, obj, parameters, tags, **options)
        for method, doc in self._docs[endpoint].items():
            if method != "parameters":
                doc.setdefault("manual_doc", {})["operationId"] = obj.__name__


def blueprint(name: str, prefix: str, description: str) -> WireBlueprint:
    """A blueprint under `/v1`."""
    return WireBlueprint(name, name, url_prefix=f"/v1{prefix}", description=description)


def engine() -> Container:
    """The process's engine."""
    return container()


def refusals(texts: dict[int, str]) -> dict[int, Any]:
    """For `bp.doc(responses=…)`: the errors of one operation that not all have, and when they come."""
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}
    return {code: {"description": text, "content": content} for code, text in texts.items()}


def links(to: dict[str, dict[str, str]]) -> dict[int, Any]:
    """For `bp.doc(responses=…)`: what can be called next, with which parts of the answer (operation → parameters)."""
    return {200: {"links": {name: {"operationId": name, "parameters": given} for name, given in to.items()}}}
