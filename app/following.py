"""Keeping a process at the deployment's embedding spaces: a look each second, and a new container when they changed.

The new models are loaded before the process says that it follows, and while it goes on serving with what it had.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress

import structlog

from app import container as composition
from app.container import Container
from app.memory.errors import BackendUnavailable
from app.store.vectors import Follower, Spaces

log = structlog.get_logger(__name__)
LOOK_SECONDS = 1.0


class SpaceFollower:
    """One thread of a process that serves requests or runs tasks."""

    def __init__(self) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self._error: str | None = None
        self._thread = threading.Thread(target=self._run, name="space-follower", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def look(self) -> None:
        """Say which spaces the process uses, and take over newer ones."""
        engine = composition.container()
        wanted = engine.space_repository.report(self._told(engine))
        if wanted.version != engine.spaces.version:
            self._take_over(engine, wanted)
            engine = composition.container()
            engine.space_repository.report(self._told(engine))

    def _told(self, engine: Container) -> Follower:
        return Follower(self.name, engine.spaces.version, error=self._error)

    def _take_over(self, engine: Container, wanted: Spaces) -> None:
        engine.space_repository.report(Follower(self.name, engine.spaces.version, loading=True))
        made = engine.with_spaces(wanted)
        try:
            for space in wanted.all:
                made.embedder_of(space).warm()
        except Exception as error:  # whatever a model's library raises: the process goes on with the models it has
            self._error = f"{type(error).__name__}: {error}"
            log.error("cannot load an embedding model", wanted=[s.label for s in wanted.all], error=self._error)
            return
        self._error = None
        composition.replace_container(made)
        log.info("embedding spaces changed", stage=wanted.stage, searched=wanted.serving.label, version=wanted.version)

    def _run(self) -> None:
        while True:
            with suppress(BackendUnavailable):
                self.look()
            time.sleep(LOOK_SECONDS)


_follower: SpaceFollower | None = None


def follow() -> None:
    """Let this process follow the spaces from now on; once per process, also after a fork."""
    global _follower
    if _follower is None or not _follower.name.endswith(f":{os.getpid()}"):
        _follower = SpaceFollower()
        _follower.start()
