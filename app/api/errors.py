"""Every error as JSON with a `detail` (wire contract 1.4): the one table from errors to HTTP."""

from __future__ import annotations

from typing import Any

import structlog
from flask import Flask, Response, jsonify
from werkzeug.exceptions import HTTPException

from app.memory import errors

log = structlog.get_logger(__name__)

RETRY_AFTER_SECONDS = 2
STATUS: dict[type[errors.MemoryPlatformError], int] = {
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.PreconditionFailed: 412,
    errors.InvalidRequest: 400,
    errors.ScopeForbidden: 403,
    errors.ModelFailure: 503,
    errors.BackendUnavailable: 503,
}
_DEFAULT_DETAIL = {404: "Not Found", 405: "Method Not Allowed"}


def _answer(status: int, detail: Any, headers: dict[str, str] | None = None) -> Response:
    response = jsonify({"detail": detail})
    response.status_code = status
    response.headers.extend(headers or {})
    return response


def register_error_handlers(app: Flask) -> None:
    """Make every way to fail answer JSON."""

    @app.errorhandler(errors.ValidationFailed)
    def _invalid(error: errors.ValidationFailed) -> Response:
        return _answer(422, error.problems)

    @app.errorhandler(errors.MemoryPlatformError)
    def _known(error: errors.MemoryPlatformError) -> Response:
        status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == 503 else None
        if status >= 500:
            log.warning("request failed", status=status, error=str(error))
        return _answer(status, str(error), headers)

    @app.errorhandler(HTTPException)
    def _http(error: HTTPException) -> Response:
        status = error.code or 500
        headers = {}
        if status == 405 and getattr(error, "valid_methods", None):
            headers["Allow"] = ", ".join(sorted(error.valid_methods))
        return _answer(status, _DEFAULT_DETAIL.get(status) or error.description, headers)

    @app.errorhandler(Exception)
    def _fault(error: Exception) -> Response:
        log.exception("fault", error=f"{type(error).__name__}: {error}")
        return _answer(500, "Internal Server Error")
