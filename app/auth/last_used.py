"""When tokens were last used: noted in batches, off the request path."""

from __future__ import annotations

import threading
from datetime import datetime

import structlog

from app.memory.errors import MemoryPlatformError
from app.store.tokens import TokenRepository

log = structlog.get_logger(__name__)
FLUSH_SECONDS = 10.0


class LastUsed:
    """Collects uses and writes them every ten seconds from a thread of its own; what a crash loses is no harm."""

    def __init__(self, tokens: TokenRepository) -> None:
        self._tokens = tokens
        self._uses: dict[str, datetime] = {}
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def note(self, token_hash: str, at: datetime) -> None:
        """Remember that a token was used."""
        with self._lock:
            self._uses[token_hash] = at
            if self._timer is None:
                self._timer = threading.Timer(FLUSH_SECONDS, self.flush)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Write what was noted, one round trip."""
        with self._lock:
            uses, self._uses, self._timer = self._uses, {}, None
        if uses:
            try:
                self._tokens.note_used(uses)
            except MemoryPlatformError as error:
                log.warning("last uses of tokens not written", count=len(uses), error=str(error))
