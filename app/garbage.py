"""The garbage collector of a process that has loaded what it works with."""

from __future__ import annotations

import gc


def settle() -> None:
    """Leave what exists now out of every later collection; for a process that is warm.

    Models and modules are a third of a million objects. A full collection waits until a quarter as many new ones have
    survived (CPython's `long_lived_total`), so that cyclic garbage piles up for minutes: spaCy's parser leaves cycles
    that hold arrays, and a worker's child grew by 250 MB. And it looks at all of them, a tenth of a second in which
    nothing else runs. The last collection is what makes the collector forget how many there were.
    """
    gc.collect()
    gc.freeze()
    gc.collect()
