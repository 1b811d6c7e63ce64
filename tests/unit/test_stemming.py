"""Stems are the same whoever asks meanwhile."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from app.stemming import stem_word

WORDS = [stem + ending for stem in ("generat", "organis", "commun", "relat", "nation", "hope", "control", "dependen")
         for ending in ("", "e", "ed", "ing", "ions", "ional", "ality", "fulness", "ically", "ments")] * 20  # fmt: skip


def test_many_threads_stem_as_one_does():
    stem_word.cache_clear()
    expected = [stem_word(word) for word in WORDS]
    assert "organis" in expected
    plain = stem_word.__wrapped__  # a cache would hide the race
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(lambda _: [plain(word) for word in WORDS], range(8)))
    finally:
        sys.setswitchinterval(before)
    assert all(result == expected for result in results)
