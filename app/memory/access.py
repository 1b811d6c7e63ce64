"""Access tracking: hits are noted in batches, off the request path."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import UTC, datetime

import structlog

from app.memory.errors import MemoryPlatformError
from app.store.records import RecordRepository

log = structlog.get_logger(__name__)
FLUSH_SECONDS = 0.5


class AccessTracker:
    """Collects the keys of found records and touches them every half second from a thread of its own.

    At most the last half second of access times is lost when the process dies: they order results, they are no data.
    """

    def __init__(self, records: RecordRepository) -> None:
        self._records = records
        self._keys: set[bytes] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def note(self, keys: Iterable[bytes]) -> None:
        """Remember that these records were found just now."""
        with self._lock:
            self._keys.update(keys)
            if self._keys and self._thread is None:
                self._thread = threading.Thread(target=self._run, name="access-tracker", daemon=True)
                self._thread.start()
        self._wake.set()

    def flush(self) -> None:
        """Write what was noted, one round trip."""
        with self._lock:
            keys, self._keys = self._keys, set()
        if keys:
            try:
                self._records.touch(sorted(keys), datetime.now(UTC))
            except MemoryPlatformError as error:
                log.warning("access times not written", count=len(keys), error=str(error))

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            self._wake.wait()
            pause.wait(FLUSH_SECONDS)
            self._wake.clear()
            self.flush()
