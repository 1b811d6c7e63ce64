"""Quality of deduplication verdicts on labelled pairs, without a language model.

    HF_HUB_OFFLINE=1 .venv/bin/python -m tests.quality.dedup_pairs [--details] [path of another set]

A set is a text file of `verdict | stored | incoming` lines. `dedup_dev.txt` is what the rules were written against.
The two others were written before anything was measured on them; precision and recall of merging on their first run,
before their errors were looked at: `dedup_heldout.txt` 0.956 / 0.782, `dedup_unseen.txt` 0.925 / 0.860. Those figures,
not today's, say what to expect of unseen texts.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from app.config import Settings
from app.memory.dedup.claim import read
from app.memory.dedup.judge import Judgement, Radii, Verdict, compare
from app.providers.embeddings import create_embedder

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Pair:
    """One labelled pair."""

    verdict: Verdict
    stored: str
    incoming: str


def load(path: Path) -> list[Pair]:
    """The pairs of a file."""
    rows = (line.split(" | ") for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    return [Pair(Verdict(verdict), stored, incoming) for verdict, stored, incoming in rows]


def judged(pairs: list[Pair], radii: Radii | None = None) -> list[tuple[Pair, float, Judgement]]:
    """Each pair with the distance of its texts and what the rules say."""
    embedder = create_embedder(Settings())
    first, second = (embedder.embed([getattr(p, side) for p in pairs]) for side in ("stored", "incoming"))
    distances = 1.0 - (first * second).sum(axis=1)
    chosen = radii or Radii()
    return [
        (pair, float(d), compare(read(pair.stored), read(pair.incoming), float(d), chosen))
        for pair, d in zip(pairs, distances, strict=True)
    ]


def rates(results: Iterable[tuple[Pair, float, Judgement]], of: set[Verdict]) -> tuple[float, float, int]:
    """Precision, recall and number of the pairs whose verdict is one of `of`."""
    counts: Counter[tuple[bool, bool]] = Counter((p.verdict in of, j.verdict in of) for p, _d, j in results)
    hit, missed, false = counts[True, True], counts[True, False], counts[False, True]
    return hit / max(1, hit + false), hit / max(1, hit + missed), hit + missed


def report(path: Path, *, details: bool = False) -> dict[str, tuple[float, float, int]]:
    """Print precision and recall per verdict; them, with "merge" for same and refines together."""
    results = judged(load(path))
    groups = {str(v): {v} for v in Verdict} | {"merge": {Verdict.SAME, Verdict.REFINES}}
    found = {name: rates(results, group) for name, group in groups.items()}
    print(f"{path.stem}: {len(results)} pairs")
    for name, (precision, recall, count) in found.items():
        print(f"  {name:9} precision {precision:.3f}  recall {recall:.3f}  ({count})")
    if details:
        for pair, distance, judgement in results:
            if pair.verdict is not judgement.verdict:
                judged_as = f"{pair.verdict:8} → {judgement.verdict:8} {distance:.2f}"
                print(f"  {judged_as}  {pair.stored} | {pair.incoming}  [{judgement.reason}]")
    return found


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", type=Path, default=sorted(FOLDER.glob("dedup_*.txt")))
    parser.add_argument("--details", action="store_true")
    arguments = parser.parse_args()
    for path in arguments.sets:
        report(path, details=arguments.details)
    return 0


if __name__ == "__main__":
    sys.exit(main())
