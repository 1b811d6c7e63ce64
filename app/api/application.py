"""Assembles the Flask application."""

from __future__ import annotations

from typing import Any

from flask import Flask
from werkzeug.routing import PathConverter

from app.api import (
    health,
    jobs,
    long_term_memory,
    metrics,
    prompt,
    summary_views,
    tasks,
    topics,
    usage,
    user_data,
    working_memory,
)
from app.api.access import protect
from app.api.errors import register_error_handlers
from app.api.observing import observe
from app.api.openapi import WireApi, explorer
from app.api.resource import engine
from app.api.wire import OrjsonProvider
from app.config import Settings
from app.web import explorer as memory_explorer


class AnyPath(PathConverter):
    """The rest of a path, whatever it is: ids may begin with a slash and hold line breaks."""

    part_isolating = False
    regex = r"[\s\S]+?"


class Application(Flask):
    """Flask, all of whose views are plain functions."""

    def ensure_sync(self, func: Any) -> Any:
        """The function as it is: asking for each layer of each request whether it is a coroutine takes its time."""
        return func


class OneSlashForm:
    """Serves both slash forms of every path: a slash at the end means nothing.

    One that belongs to an id comes encoded, as `%2F`.
    """

    def __init__(self, wsgi: Any) -> None:
        self._wsgi = wsgi

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Pass the request on with its path in the form without the slash."""
        path = environ.get("PATH_INFO", "")
        sent = environ.get("RAW_URI") or environ.get("REQUEST_URI") or path
        if len(path) > 1 and path.endswith("/") and sent.partition("?")[0].endswith("/"):
            environ["PATH_INFO"] = path[:-1]
        return self._wsgi(environ, start_response)


def build(settings: Settings) -> Flask:
    """The application with all routes."""
    flask = Application("app", static_folder=None)
    flask.config.update(
        SETTINGS=settings,
        MAX_CONTENT_LENGTH=settings.max_request_bytes,
        PROPAGATE_EXCEPTIONS=False,
        PROVIDE_AUTOMATIC_OPTIONS=False,
    )
    flask.json = OrjsonProvider(flask)
    flask.url_map.strict_slashes = False
    # Ids may begin or end with a slash or hold several in a row: take paths as they are.
    flask.url_map.merge_slashes = False
    flask.url_map.converters["path"] = AnyPath
    observe(flask, settings)
    register_error_handlers(flask)
    protect(flask, settings, lambda: engine().authenticator)
    api = WireApi(flask, secured=settings.resolved_auth_mode != "disabled")
    modules = (health, working_memory, long_term_memory, prompt, summary_views, topics, tasks, usage, user_data, jobs)
    for module in modules:
        api.register_blueprint(module.bp)
    flask.register_blueprint(metrics.bp)
    flask.register_blueprint(explorer())
    flask.register_blueprint(memory_explorer.bp)
    flask.wsgi_app = OneSlashForm(flask.wsgi_app)  # type: ignore[method-assign]
    return flask
