"""gunicorn's entry: `gunicorn -c app/gunicorn_conf.py app.wsgi:application`."""

from __future__ import annotations

from app import create_app
from app.config import get_settings
from app.logs import configure_logging

configure_logging(get_settings())
application = create_app()
