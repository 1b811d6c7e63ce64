"""Quality of entities on a labelled set of sentences: precision, recall and F1 by kind.

    .venv/bin/python tests/quality/entities.py [--details] [another gold file]

An entity counts as found when its name (in any case, titles dropped on both sides) and its kind are right; "any kind"
asks for the name only. Kinds that the set does not label (places that are no countries or cities, events, works) are
left out of the precision of the four.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from app.providers.entities import SpacyEntityRecognizer, clean_name

GOLD = Path(__file__).with_name("entities_gold.txt")
KINDS = ("PERSON", "ORG", "GPE", "PRODUCT")
_MARK = re.compile(r"\[([^|\]]+)\|([A-Z]+)\]")


def read_gold(path: Path = GOLD) -> list[tuple[str, list[tuple[str, str]]]]:
    """Sentences without their marks, and the marked entities as (folded name, kind)."""
    gold = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            marked = [(clean_name(name).casefold(), kind) for name, kind in _MARK.findall(line)]
            gold.append((_MARK.sub(r"\1", line), marked))
    return gold


def measure(path: Path = GOLD, *, details: bool = False) -> dict[str, tuple[float, float, float]]:
    """Precision, recall and F1 by kind, and over all ("all"), and by name only ("any kind")."""
    gold = read_gold(path)
    found = SpacyEntityRecognizer().recognize([text for text, _ in gold])
    hits, expected, given = Counter[str](), Counter[str](), Counter[str]()
    for (text, wanted), entities in zip(gold, found, strict=True):
        got = [(entity.name.casefold(), entity.kind) for entity in entities if entity.kind in KINDS]
        expected.update(kind for _, kind in wanted)
        given.update(kind for _, kind in got)
        hits.update(kind for name, kind in got if (name, kind) in wanted)
        hits["any kind"] += len({name for name, _ in got} & {name for name, _ in wanted})
        if details and set(got) != set(wanted):
            print(f"  {text}\n    missing {sorted(set(wanted) - set(got))}  wrong {sorted(set(got) - set(wanted))}")
    for counter in (expected, given):
        counter["all"] = counter["any kind"] = sum(counter[kind] for kind in KINDS)
    hits["all"] = sum(hits[kind] for kind in KINDS)
    return {kind: _scores(hits[kind], given[kind], expected[kind]) for kind in (*KINDS, "all", "any kind")}


def _scores(hits: int, given: int, expected: int) -> tuple[float, float, float]:
    precision, recall = hits / max(given, 1), hits / max(expected, 1)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-9)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("gold", nargs="?", type=Path, default=GOLD)
    parser.add_argument("--details", action="store_true")
    options = parser.parse_args(arguments)
    for kind, (precision, recall, f1) in measure(options.gold, details=options.details).items():
        print(f"{kind:9} precision {precision:.3f}  recall {recall:.3f}  F1 {f1:.3f}")


if __name__ == "__main__":
    main()
