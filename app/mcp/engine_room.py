"""The engine behind an MCP server: made ready off the protocol's path, and made ready again when its Redis went."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import structlog

from app.config import Settings, get_settings
from app.memory.errors import BackendUnavailable, MemoryPlatformError

if TYPE_CHECKING:
    from app.container import Container
    from app.store.embedded import EmbeddedRedis

log = structlog.get_logger(__name__)
NO_WORKER = (
    "no worker runs: sessions are stored, and what is in them becomes long-term memory once one does "
    "(`agent-memory up` with the same DATA_DIR or REDIS_URL); memories created directly are searchable at once"
)


class EngineRoom:
    """Gives out the engine. Nothing is imported or started before somebody asks."""

    def __init__(self, settings: Settings, *, alone: bool = False) -> None:
        """With `alone`, nobody else watches over the platform: say it when no worker runs."""
        self.settings = settings
        self._alone = alone
        self._lock = threading.Lock()
        self._engine: Container | None = None
        self._redis: EmbeddedRedis | None = None
        self._warming: threading.Thread | None = None

    def warm(self) -> None:
        """Start to make the engine ready, so that the first tool call need not wait for all of it."""
        if self._warming is None:
            self._warming = threading.Thread(target=self._warm, name="engine-room", daemon=True)
            self._warming.start()

    def engine(self) -> Container:
        """The engine, ready. Blocks while it is being made ready; raises BackendUnavailable when it cannot be."""
        with self._lock:
            gone = self._redis is not None and not self._redis.alive()
            if self._engine is None or gone:
                # An embedded server ends with the process that started it, which may have been another host's.
                self._engine = self._ready()
        from app import container as composition

        # Not the one above for ever: the process follows the deployment's embedding model.
        return composition.container()

    def _ready(self) -> Container:
        from app import container as composition
        from app.following import follow

        embedded = self.settings.redis_url is None
        if embedded:
            url = self._start_redis()
            if os.environ.get("REDIS_URL") != url:
                os.environ["REDIS_URL"] = url  # Celery's settings are read from the environment on import
                get_settings.cache_clear()
                composition.reset()
        engine = composition.container()
        if embedded:
            from migrations import runner

            runner.up(engine.redis, engine.settings, say=log.info)
        try:
            engine.store_ready()
        except MemoryPlatformError as error:
            raise BackendUnavailable(f"{error} (is REDIS_URL right, and was `agent-memory migrate` run?)") from error
        follow()
        return engine

    def _start_redis(self) -> str:
        from app.store.embedded import EmbeddedRedis

        if self._redis is None:
            fsync = self.settings.embedded_redis_fsync
            self._redis = EmbeddedRedis(self.settings.data_dir, fsync=fsync, progress=log.info)
        try:
            return self._redis.start()
        except OSError as error:
            where = self._redis.directory
            raise BackendUnavailable(f"cannot keep data in {where} ({error.strerror}): set DATA_DIR") from error

    def _warm(self) -> None:
        try:
            import app.mcp.tools  # noqa: F401 (what a first call would otherwise load)

            engine = self.engine()
            engine.embedder.warm()
            engine.background  # noqa: B018 (loads Celery)
            if self._alone:
                self._look_for_worker(engine)
        except MemoryPlatformError as error:
            log.error("the engine is not ready; tools will say so", error=str(error))
        except Exception:
            log.exception("the engine could not be loaded")

    @staticmethod
    def _look_for_worker(engine: Container) -> None:
        try:
            engine.presence.require_worker()
        except BackendUnavailable:
            log.warning(NO_WORKER)
