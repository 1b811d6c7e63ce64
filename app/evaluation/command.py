"""`agent-memory eval`: query sets, two configurations, a report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.container import Container
from app.evaluation.compare import Outcome, Retrieve, Verdict, joined, judge, run
from app.evaluation.configurations import Configuration, parse_configuration, served, shadow
from app.evaluation.datasets import load_conversations
from app.evaluation.haystack import memories_of, questions_of, stored
from app.evaluation.metrics import KEYS
from app.evaluation.queries import Query, queries_of
from app.memory.context import SessionContext
from app.memory.errors import InvalidRequest
from app.memory.filters import MemoryFilter
from app.memory.lifecycle import scope_filter
from app.memory.models import Memory
from app.providers.embeddings import create_embedder
from app.providers.interfaces import Embedder
from app.store.tenants import TenantKeys
from app.store.turns import TurnRepository


@dataclass(frozen=True, slots=True)
class Report:
    """What two configurations found, by kind of query, and which is better."""

    kinds: tuple[str, ...]
    outcomes: tuple[Outcome, Outcome]
    verdict: Verdict

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "queries": len(self.kinds),
            "configurations": [
                {"name": outcome.name, "all": outcome.summary(), "kinds": self._by_kind(outcome)}
                for outcome in self.outcomes
            ],
            "better": self.verdict.better,
            "difference": self.verdict.difference,
            "interval": [self.verdict.low, self.verdict.high],
        }

    def _by_kind(self, outcome: Outcome) -> dict[str, dict[str, float]]:
        return {kind: _only(outcome, self.kinds, kind).summary() for kind in sorted(set(self.kinds))}

    def as_text(self) -> str:
        """For people: a table in percent, latencies in milliseconds, and the verdict."""
        columns = (*KEYS, "p50_ms", "p95_ms")
        width = max(len(outcome.name) for outcome in self.outcomes)
        lines = []
        for kind in ("all", *sorted(set(self.kinds))):
            count = len(self.kinds) if kind == "all" else self.kinds.count(kind)
            lines.append(f"{kind} ({count} queries)")
            lines.append(" " * (width + 2) + "".join(f"{column:>9s}" for column in columns))
            for outcome in self.outcomes:
                means = outcome.summary() if kind == "all" else _only(outcome, self.kinds, kind).summary()
                cells = (means[c] if c.endswith("ms") else 100 * means[c] for c in columns)
                lines.append(f"  {outcome.name:{width}s}" + "".join(f"{cell:9.1f}" for cell in cells))
        return "\n".join([*lines, self.verdict.sentence()])


def compare(
    engine: Container,
    *,
    namespace: str | None,
    user_id: str | None,
    dataset: Path | None,
    queries: int,
    conversations: int,
    configurations: Sequence[str],
    say: Callable[[str], None] = lambda _line: None,
) -> Report:
    """Run both configurations over the same queries. Raises InvalidRequest when there is nothing to ask."""
    chosen = [parse_configuration(text) for text in configurations]
    parts: tuple[list[Outcome], list[Outcome]] = ([], [])
    kinds: list[str] = []

    def measure(condition: MemoryFilter, memories: list[Memory], asked: Sequence[Query]) -> None:
        kinds.extend(query.kind for query in asked)
        for text, configuration, found in zip(configurations, chosen, parts, strict=True):
            found.append(run(text, _retrieve(engine, configuration, condition, memories), asked))

    if dataset is not None:
        haystacks = load_conversations(dataset)
        for conversation in haystacks[: conversations or None]:
            asked = questions_of(conversation)
            say(f"{conversation.id}: {len(conversation.turns)} memories, {len(asked)} questions")
            with stored(conversation, engine.consolidation, TenantKeys(engine.redis), engine.context) as (scope, turns):
                measure(scope, turns, asked)
    else:
        condition = scope_filter(namespace, user_id)
        memories = memories_of(engine.records, condition)
        measure(condition, memories, queries_of(memories, queries))
    if not kinds:
        raise InvalidRequest("there are no memories to make queries of")
    outcomes = (joined(configurations[0], parts[0]), joined(configurations[1], parts[1]))
    return Report(tuple(kinds), outcomes, judge(*outcomes))


def _retrieve(
    engine: Container, configuration: Configuration, condition: MemoryFilter, memories: Sequence[Memory]
) -> Retrieve:
    if configuration.embedding_model is None:
        return served(configuration, engine.search, condition)
    embedder = _embedder(engine, configuration)
    context = SessionContext(engine.records, engine.changes, TurnRepository(engine.redis), lambda: embedder)
    return shadow(configuration, engine.records, embedder, memories, context, condition)


def _embedder(engine: Container, configuration: Configuration) -> Embedder:
    """The other model; its dimensions need not be those of the index."""
    settings = engine.settings.model_copy(
        update={"embedding_model": configuration.embedding_model, "embedding_backend": configuration.embedding_backend}
    )
    return create_embedder(settings, any_dimensions=True)


def _only(outcome: Outcome, kinds: Sequence[str], kind: str) -> Outcome:
    rows = [row for row, found in enumerate(kinds) if found == kind]
    return Outcome(
        outcome.name,
        tuple(outcome.figures[row] for row in rows),
        tuple(outcome.milliseconds[row] for row in rows),
    )
