"""Agent memory platform: `create_app` makes the REST application."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from app.config import Settings

__version__ = "0.1.0"


def create_app(settings: Settings | None = None) -> Flask:
    """The Flask application, for gunicorn (`app.wsgi`) and tests."""
    # Imported here so that `import app.config` in a worker or the CLI does not load Flask.
    from app.api.application import build
    from app.config import get_settings

    return build(settings or get_settings())
