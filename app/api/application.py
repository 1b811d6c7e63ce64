"""Assembles the Flask application."""

from __future__ import annotations

from flask import Flask
from flask_smorest import Api
from werkzeug.routing import PathConverter

import app as package
from app.api import health, long_term_memory, prompt, summary_views, tasks, user_data, working_memory
from app.api.errors import register_error_handlers
from app.api.wire import OrjsonProvider
from app.config import Settings


class AnyPath(PathConverter):
    """The rest of a path, whatever it is: ids may begin with a slash and hold line breaks."""

    part_isolating = False
    regex = r"[\s\S]+?"


class WireApi(Api):
    """flask-smorest without its own error answers: `errors.py` has them all."""

    def _register_error_handlers(self) -> None:
        """Leave errors to `register_error_handlers`."""


def build(settings: Settings) -> Flask:
    """The application with all routes."""
    flask = Flask("app", static_folder=None)
    flask.config.update(
        SETTINGS=settings,
        MAX_CONTENT_LENGTH=settings.max_request_bytes,
        API_TITLE="Agent memory",
        API_VERSION=package.__version__,
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX="/",
        OPENAPI_JSON_PATH="openapi.json",
        PROPAGATE_EXCEPTIONS=False,
    )
    flask.json = OrjsonProvider(flask)
    flask.url_map.strict_slashes = False
    # Ids may begin or end with a slash or hold several in a row: take paths as they are.
    flask.url_map.merge_slashes = False
    flask.url_map.converters["path"] = AnyPath
    register_error_handlers(flask)
    api = WireApi(flask)
    for module in (health, working_memory, long_term_memory, prompt, summary_views, tasks, user_data):
        api.register_blueprint(module.bp)
    health.register_probes(flask)
    return flask
