"""Two embedding spaces of one store compared: the same queries, made of its own memories, asked of both."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from app.container import Container
from app.evaluation.compare import Retrieve, judge, run
from app.evaluation.configurations import Configuration, served
from app.evaluation.queries import Query, queries_of
from app.memory.errors import Conflict, InvalidRequest
from app.memory.lifecycle import scope_filter
from app.memory.models import Memory, Scope

FIRST = 10
# Memories read for each query that is asked: scopes differ in size, and each query belongs to one.
SAMPLE_FACTOR = 10
TIMED_EMBEDDINGS = 20


@dataclass(frozen=True, slots=True)
class SpaceReport:
    """What a change of the embedding model does to searches: old and new are models, figures are means."""

    old: str
    new: str
    queries: int
    overlap: float
    same_first: float
    figures: tuple[dict[str, float], dict[str, float]]
    verdict: str

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "old": self.old,
            "new": self.new,
            "queries": self.queries,
            f"overlap@{FIRST}": self.overlap,
            "same_first": self.same_first,
            "figures": list(self.figures),
            "verdict": self.verdict,
        }

    def as_text(self) -> str:
        """For people."""
        names = ("ndcg@10", "rec@10", "mrr", "p50_ms", "p95_ms", "embed_ms")
        lines = [f"{self.queries} queries made of stored memories, each asked in its own scope with both models",
                 f"the same among the first {FIRST}: {self.overlap:.1%}, the same first: {self.same_first:.1%}",
                 " " * 5 + "".join(f"{name:>10s}" for name in names)]  # fmt: skip
        for label, figures in zip(("old", "new"), self.figures, strict=True):
            lines.append(f"{label:5s}" + "".join(f"{figures[name]:10.3f}" for name in names))
        return "\n".join([*lines, f"old: {self.old}", f"new: {self.new}", self.verdict])


def compare_spaces(engine: Container, *, queries: int) -> SpaceReport:
    """Ask the same queries of both spaces. Raises Conflict when there are not two that are complete."""
    spaces = engine.space_repository.load()
    if spaces.other is None or spaces.stage == "filling":
        raise Conflict("there is no second model that is ready: `agent-memory embeddings migrate` first")
    old, new = (spaces, spaces.swapped("ready")) if spaces.stage == "ready" else (spaces.swapped("ready"), spaces)
    asked = _queries(engine.with_spaces(spaces), queries)
    if not asked:
        raise InvalidRequest("there are no memories to make queries of")
    found: list[dict[str, list[str]]] = [{}, {}]
    outcomes = []
    figures = []
    for seen, (name, view) in zip(found, (("old", old), ("new", new)), strict=True):
        side = engine.with_spaces(view)
        outcome = run(name, _asker(side, asked, seen), [query for _scope, query in asked])
        outcomes.append(outcome)
        figures.append(outcome.summary() | {"embed_ms": _embed_ms(side, asked)})
    shares = [
        len(set(found[0][key][:FIRST]) & set(found[1][key][:FIRST])) / max(1, len(found[0][key][:FIRST]))
        for key in found[0]
    ]
    firsts = [found[0][key][:1] == found[1][key][:1] for key in found[0]]
    report = SpaceReport(
        old.serving.label, new.serving.label, len(asked), float(np.mean(shares)), float(np.mean(firsts)),
        (figures[0], figures[1]), judge(*outcomes).sentence(),
    )  # fmt: skip
    engine.space_repository.keep_report(report.as_json())
    return report


def _queries(engine: Container, count: int) -> list[tuple[Scope, Query]]:
    """Queries with the scope that they are asked in, from memories all over the store."""
    memories = _sample(engine, count * SAMPLE_FACTOR)
    made: list[tuple[Scope, Query]] = []
    for scope, group in groupby(sorted(memories, key=_scope_key), key=lambda m: m.scope):
        own = list(group)
        share = max(1, round(count * len(own) / len(memories)))
        made += [(scope, query) for query in queries_of(own, share)]
    return made[:count]


def _sample(engine: Container, size: int) -> list[Memory]:
    cursor, found = 0, list[Memory]()
    while len(found) < size:
        cursor, page = engine.space_repository.scan(cursor)
        found += [m for m in engine.records.read(page) if m is not None and m.valid_to is None]
        if not cursor:
            break
    return found[:size]


def _scope_key(memory: Memory) -> tuple[str, str]:
    return memory.namespace or "", memory.user_id or ""


def _asker(engine: Container, asked: Sequence[tuple[Scope, Query]], seen: dict[str, list[str]]) -> Retrieve:
    """Ask each query in its own scope; what was found is noted by query, in `seen`."""
    configuration = Configuration(mode="semantic")
    scopes = {query.text: scope for scope, query in asked}

    def retrieve(text: str) -> list[str]:
        scope = scopes[text]
        ask = served(configuration, engine.search, scope_filter(scope.namespace or "", scope.user_id or ""))
        seen[text] = ask(text)
        return seen[text]

    return retrieve


def _embed_ms(engine: Container, asked: Sequence[tuple[Scope, Query]]) -> float:
    texts = [query.text for _scope, query in asked[:TIMED_EMBEDDINGS]]
    started = time.perf_counter()
    for text in texts:
        engine.embedder.embed([text])
    return (time.perf_counter() - started) * 1000.0 / len(texts)
