"""What a process remembers of filters that match many memories, so that searches behind them stay fast.

*How many match.* Counting 50,000 takes the search module 4 ms, finding the nearest 100 of them 1.2. A count holds as
long as the scope has not changed, which its version tells (`stamp`): one GET instead.

*How to look for neighbours.* `ADHOC_BF` computes the distance of everything that matches; `BATCHES` walks the graph and
drops what does not match. For 100 neighbours the module (2.10) computes them one by one even where nearly all of the
index matches: 16 ms among 50,000 instead of 1.3. Walking is best where most of it matches, and at its worst (all that
matches is far from the query) it visits everything else first: 48 ms for 20,000 of 50,000 instead of 8. So it is asked
for only where even the worst costs no more than the other way. Figures: docs/retrieval.md.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

WALK = "BATCHES"
# Visiting a neighbour in the graph costs about three times as much as computing a distance.
WALKED_SHARE = 0.75
LARGE = 5_000
# Whatever happens to the version (an import, another program that writes): no count is older than this.
COUNT_HOLDS_SECONDS = 60.0
SIZE_HOLDS_SECONDS = 300.0
FILTERS_REMEMBERED = 1_000

# Changes whenever the memories of a scope do.
Stamp = tuple[bytes | None, ...]


class _Known(NamedTuple):
    matches: int
    stamp: Stamp | None
    at: float


class LargeFilters:
    """Filters by their query text; one that is new here, or matches little, is unknown. Thread-safe."""

    def __init__(self, index_size: Callable[[], int]) -> None:
        self._index_size = index_size
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._size, self._size_at = 0, float("-inf")
        self._lock = threading.Lock()

    def policy(self, query: str) -> str | None:
        """The HYBRID_POLICY to ask for; None: whatever the module chooses."""
        known = self._known.get(query)
        return WALK if known is not None and known.matches >= WALKED_SHARE * self._size else None

    def knows(self, query: str) -> bool:
        """Whether it is worth asking for the scope's stamp."""
        return query in self._known

    def counted(self, query: str) -> bool:
        """Whether there is a count that the stamp may confirm."""
        known = self._known.get(query)
        return known is not None and known.stamp is not None and time.monotonic() - known.at < COUNT_HOLDS_SECONDS

    def matches(self, query: str, stamp: Stamp) -> int | None:
        """How many memories match, if the scope is what it was."""
        known = self._known.get(query)
        return known.matches if known is not None and known.stamp == stamp else None

    def note(self, query: str, matches: int, stamp: Stamp | None) -> None:
        """Remember a fresh count. The stamp must have been read before it; None: not read, or more than one scope."""
        now = time.monotonic()
        if matches >= LARGE and now - self._size_at > SIZE_HOLDS_SECONDS:
            self._size, self._size_at = self._index_size(), now
        with self._lock:
            if matches < LARGE:
                self._known.pop(query, None)
                return
            self._known[query] = _Known(matches, stamp, now)
            self._known.move_to_end(query)
            while len(self._known) > FILTERS_REMEMBERED:
                self._known.popitem(last=False)
