"""How the search module looks for nearest neighbours behind a filter: one by one, or along the graph.

`ADHOC_BF` computes the distance of everything that matches; `BATCHES` walks the graph and drops what does not match.
For 150 neighbours the module (2.10) computes them one by one even where nearly all of the index matches: 16 ms among
50,000 instead of 1.3. Walking is best where most of it matches, and at its worst (all that matches is far from the
query) it visits everything else first: 48 ms for 20,000 of 50,000 instead of 8. So it is asked for only where even the
worst costs no more than the other way. Figures: docs/retrieval.md.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

WALK = "BATCHES"
# Visiting a neighbour in the graph costs about three times as much as computing a distance.
WALKED_SHARE = 0.75
SMALL = 5_000
SIZE_KNOWN_SECONDS = 300.0
FILTERS_REMEMBERED = 1_000


class KnnPolicy:
    """Chooses by how many matched the same filter last time; a filter that is new here is left to the module."""

    def __init__(self, index_size: Callable[[], int]) -> None:
        self._index_size = index_size
        self._matches: OrderedDict[str, int] = OrderedDict()
        self._size = 0
        self._measured_at = float("-inf")
        self._lock = threading.Lock()

    def of(self, query: str) -> str | None:
        """The policy to ask for; None: whatever the module chooses."""
        with self._lock:
            matches = self._matches.get(query, 0)
            return WALK if matches >= SMALL and matches >= WALKED_SHARE * self._size else None

    def note(self, query: str, matches: int) -> None:
        """Remember how many memories matched; small filters are not worth it."""
        if matches < SMALL:
            return
        now = time.monotonic()
        if now - self._measured_at > SIZE_KNOWN_SECONDS:
            self._size, self._measured_at = self._index_size(), now
        with self._lock:
            self._matches[query] = matches
            self._matches.move_to_end(query)
            while len(self._matches) > FILTERS_REMEMBERED:
                self._matches.popitem(last=False)
