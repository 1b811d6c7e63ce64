"""A server in this process, over its own Redis: asks for tokens, has no worker, and its Redis can be stopped."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from werkzeug.serving import make_server

import app.container.engine as composition
from app import create_app
from app.auth.tokens import describe, new_token
from app.config import Settings
from app.container import Container
from app.memory.permissions import Access, Limits, act_as
from app.store.embedded import EmbeddedRedis
from app.store.tokens import TokenRepository
from migrations import runner
from tests.support.engine import NoBackground
from tests.support.redis_server import embedded_redis


@dataclass(frozen=True)
class OwnServer:
    """What tests need of it: its address, its engine, and its Redis."""

    base_url: str
    engine: Container
    redis: EmbeddedRedis

    def token(self, access: Access, namespace: str) -> str:
        """A new token for a namespace."""
        token = new_token()
        limits = Limits((namespace,))
        TokenRepository(self.engine.redis).save(
            describe(token, "a test", expires_days=None, access=access, limits=limits)
        )
        return token


@contextmanager
def own_server() -> Iterator[OwnServer]:
    """Start it; what runs in this process is what gunicorn would serve."""
    with embedded_redis() as redis:
        settings = Settings(
            _env_file=None, redis_url=redis.url, auth_mode="token", redis_timeout_seconds=2, enable_ner=False
        )
        engine = Container(settings)
        engine.__dict__["background"] = NoBackground()
        runner.up(engine.redis, settings, lambda _line: None)
        before, composition._container = composition._container, engine
        server = make_server("127.0.0.1", 0, create_app(settings), threaded=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield OwnServer(f"http://127.0.0.1:{server.port}", engine, redis)
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
            composition._container = before
            act_as(None)
