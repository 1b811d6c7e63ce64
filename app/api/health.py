"""Is it alive, is it ready, what runs."""

from __future__ import annotations

import time
from typing import Any

from flask import Blueprint, Flask, Response, jsonify

from app.api.resource import WireBlueprint, engine
from app.memory.health import readiness

bp = WireBlueprint("health", "health", url_prefix="/v1", description="Health")
probes = Blueprint("probes", __name__)


@bp.route("/health", methods=["GET"])
@bp.route("/health/", methods=["GET"])
@bp.response(200)
def health() -> Any:
    """Answer with the server's time in Unix milliseconds; touches nothing."""
    return jsonify({"now": int(time.time() * 1000)})


@probes.get("/healthz")
def alive() -> Response:
    """Liveness: the process answers."""
    return jsonify({"status": "alive"})


@probes.get("/readyz")
def ready() -> Response:
    """Readiness: Redis, search, broker and a worker answer; says which models are in use."""
    report = readiness(engine())
    response = jsonify(report)
    response.status_code = 200 if report["ready"] else 503
    if not report["ready"]:
        response.headers["Retry-After"] = "2"
    return response


def register_probes(app: Flask) -> None:
    """Add the unversioned probes."""
    app.register_blueprint(probes)
