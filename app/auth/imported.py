"""Tokens of a Redis Agent Memory Server, of which only salted bcrypt hashes came over.

A salted hash cannot be looked up, only compared, a quarter of a second each. So it is done once for each token: the
first time that its holder sends it, it becomes a token of ours, which is found by its SHA-256 like any other. Known
tokens never get here; what unknown ones may cost is limited (docs/security.md).
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import bcrypt
import structlog

from app.auth.errors import TooManyComparisons
from app.auth.tokens import MIN_LENGTH, PREFIX
from app.memory.errors import BackendUnavailable
from app.store.tokens import ImportedToken, ImportedTokenRepository

log = structlog.get_logger(__name__)
# Of all processes together: a quarter of one core at the cost of 12 that the other server uses.
COMPARISONS_PER_MINUTE = 60
# Of one request; what is left is done when the client comes again.
MAX_SECONDS = 5.0
# Twice as slow with each step; 14 is a second. It also bounds what a doctored import may cost.
MAX_COST = 14
# bcrypt reads no further. The other server cut tokens there, too.
MAX_BYTES = 72
_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")


def comparable(hashed: str) -> bool:
    """Whether this is a bcrypt hash that can be compared in a second or less."""
    found = _BCRYPT.fullmatch(hashed)
    return found is not None and 4 <= int(found[1]) <= MAX_COST


def matches(credential: str, hashed: str) -> bool:
    """Whether the hash was made of this token."""
    return bcrypt.checkpw(credential.encode("utf-8", "surrogatepass")[:MAX_BYTES], hashed.encode())


class ImportedTokens:
    """Lets the holders of imported tokens claim them. One comparison at a time in a process."""

    def __init__(
        self,
        tokens: ImportedTokenRepository,
        *,
        per_minute: int = COMPARISONS_PER_MINUTE,
        max_seconds: float = MAX_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tokens = tokens
        self._per_minute = per_minute
        self._max_seconds = max_seconds
        self._clock = clock
        self._comparing = threading.Lock()

    def claim(self, credential: str, token_hash: str) -> bool:
        """Make this unknown token an ordinary one if it is one of them. True: look it up again.

        Raises TooManyComparisons; BackendUnavailable while another one is compared, or when it takes too long: the
        next try goes on where this one stopped.
        """
        if len(credential) < MIN_LENGTH or credential.startswith(PREFIX):
            return False  # we keep no such token under a plain hash; or it looks like one of ours
        if not self._comparing.acquire(blocking=False):
            # Whoever waited here would hold a thread that others need.
            raise BackendUnavailable("another unknown token is being compared with the imported ones; try again")
        try:
            self._compare(credential, token_hash)
        finally:
            self._comparing.release()
        return True  # whoever compared it: another request or process may just have claimed it

    def _compare(self, credential: str, token_hash: str) -> None:
        stop_at = self._clock() + self._max_seconds
        last = known = self._tokens.compared_up_to(token_hash)
        try:
            while page := self._tokens.after(last):
                for imported in page:
                    if self._claimed(credential, token_hash, imported, stop_at):
                        return
                    last = imported.number
        finally:
            if last != known:
                self._tokens.note_compared(token_hash, last)

    def _claimed(self, credential: str, token_hash: str, imported: ImportedToken, stop_at: float) -> bool:
        if _expired(imported):
            self._tokens.delete(imported)
            return False
        if self._clock() >= stop_at:
            raise BackendUnavailable("this token is still being compared with the imported ones; try again")
        rate = self._tokens.count_comparison(per_minute=self._per_minute)
        if rate.exceeded:
            log.warning("too many unknown tokens to compare all with the imported ones")
            raise TooManyComparisons(rate)
        if not matches(credential, imported.bcrypt):
            return False
        if self._tokens.claim(imported, token_hash):
            log.info("imported token claimed", description=imported.token.description)
        return True


def _expired(imported: ImportedToken) -> bool:
    expires_at = imported.token.expires_at
    return expires_at is not None and expires_at <= datetime.now(UTC)
