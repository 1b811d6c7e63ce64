"""Shows the warnings and errors of log files as they grow, and keeps the files from filling the disk."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

POLL_SECONDS = 0.5
MAX_BYTES = 50 * 1024 * 1024
MAX_LINE_CHARS = 400
_ALARMS = re.compile(r"\b(WARNING|ERROR|CRITICAL)\b|^Traceback|^\w*(Error|Exception):", re.IGNORECASE)
_JSON_ALARMS = {"warning", "error", "critical", "exception"}


class LogFollower:
    """Follows every `*.log` of a directory from its present end."""

    def __init__(self, directory: Path, show: Callable[[str, str], None]) -> None:
        self._directory = directory
        self._show = show
        self._offsets: dict[Path, int] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-follower", daemon=True)

    def start(self) -> None:
        """Begin at the present end of each file: earlier runs are no news."""
        self._offsets = {path: path.stat().st_size for path in self._directory.glob("*.log")}
        self._thread.start()

    def stop(self) -> None:
        """Stop following; harmless if it was never started."""
        self._done.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def _run(self) -> None:
        while not self._done.wait(POLL_SECONDS):
            for path in sorted(self._directory.glob("*.log")):
                self._read(path)

    def _read(self, path: Path) -> None:
        offset = self._offsets.get(path, 0)
        size = path.stat().st_size
        if size > offset:
            with path.open("rb") as log:
                log.seek(offset)
                whole, _, _ = log.read(1024 * 1024).rpartition(b"\n")  # the last line may still be growing
            if whole:
                offset += len(whole) + 1
                for line in whole.decode(errors="replace").splitlines():
                    if alarm := alarming(line):
                        self._show(path.stem, alarm)
        if size > MAX_BYTES and offset >= size:
            # Copy and truncate: the processes append to the open file and carry on at its new end.
            shutil.copyfile(path, path.with_suffix(".log.1"))
            os.truncate(path, 0)
            offset = 0
        self._offsets[path] = offset


def alarming(line: str) -> str | None:
    """The line as a person should see it if it is a warning or worse; else None."""
    if line.startswith("{"):
        try:
            event = json.loads(line)
        except ValueError:
            return None
        if str(event.get("level", "")).lower() not in _JSON_ALARMS:
            return None
        last_words = str(event.get("exception", "")).strip().rpartition("\n")[2]
        shown = f"{event['level']}: {event.get('event', '')}" + (f" ({last_words})" if last_words else "")
        return shown[:MAX_LINE_CHARS]
    return line[:MAX_LINE_CHARS] if _ALARMS.search(line) else None
