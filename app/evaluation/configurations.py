"""Configurations of retrieval: the server's own search with other options, or a shadow with another embedding model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

import numpy as np

from app.evaluation.compare import DEPTH, Retrieve
from app.memory.context import SessionContext
from app.memory.errors import InvalidRequest
from app.memory.filters import MemoryFilter
from app.memory.models import Memory
from app.memory.query_cues import cues_of
from app.memory.ranking import NO_BOOSTS, Boosts, Ranking, RecencyWeights, SearchMode, rank
from app.memory.search import BLOCK_EDGES, MemorySearch, SearchRequest
from app.providers.interfaces import Embedder
from app.store import keys
from app.store.candidates import Candidates, Hit
from app.store.records import RecordRepository

MODES: tuple[SearchMode, ...] = ("semantic", "keyword", "hybrid")


@dataclass(frozen=True, slots=True)
class Configuration:
    """Options of a search; `embedding_model` None means the vectors that are stored."""

    mode: SearchMode = "hybrid"
    alpha: float = 0.7
    recency: bool = False
    boosts: bool = True
    embedding_model: str | None = None
    embedding_backend: str = "sentence-transformers"


def parse_configuration(text: str) -> Configuration:
    """Read `mode=hybrid,alpha=0.5,boosts=false`. Raises InvalidRequest."""
    values: dict[str, object] = {}
    known = {f.name for f in fields(Configuration)}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, separator, value = part.partition("=")
        if not separator or name not in known:
            raise InvalidRequest(f"{part!r}: expected name=value with one of {', '.join(sorted(known))}")
        if name == "alpha":
            try:
                values[name] = float(value)
            except ValueError as error:
                raise InvalidRequest(f"alpha should be a number, not {value!r}") from error
        elif name in ("recency", "boosts"):
            if value not in ("true", "false"):
                raise InvalidRequest(f"{name} should be true or false, not {value!r}")
            values[name] = value == "true"
        else:
            values[name] = value
    configuration = Configuration(**values)  # type: ignore[arg-type]
    if configuration.mode not in MODES:
        raise InvalidRequest(f"mode should be one of {', '.join(MODES)}, not {configuration.mode!r}")
    if not 0 <= configuration.alpha <= 1:
        raise InvalidRequest(f"alpha should be between 0 and 1, not {configuration.alpha}")
    return configuration


def served(configuration: Configuration, search: MemorySearch, condition: MemoryFilter) -> Retrieve:
    """The engine's own search. Nothing counts as an access: evaluating must not change what is evaluated."""

    def retrieve(text: str) -> list[str]:
        request = SearchRequest(
            text,
            configuration.mode,
            configuration.alpha,
            condition=condition,
            limit=DEPTH,
            recency_boost=configuration.recency,
            boosts=configuration.boosts,
            track_access=False,
        )
        return [found.memory.id for found in search.search(request).memories]

    return retrieve


def shadow(
    configuration: Configuration,
    records: RecordRepository,
    embedder: Embedder,
    memories: Sequence[Memory],
    context: SessionContext,
    condition: MemoryFilter,
) -> Retrieve:
    """The same ranking over vectors of another model, computed here and compared exactly; the store stays as it is.

    `context` embeds with the other model. Its latency is that of numpy, not of the index.
    """
    vectors = context.embed(memories)
    record_keys = [keys.record(m.scope, m.id).encode() for m in memories]
    ids = dict(zip(record_keys, (m.id for m in memories), strict=True))
    depth = BLOCK_EDGES[configuration.mode][0]

    def retrieve(text: str) -> list[str]:
        told, _total = records.candidates(condition, vector=None, text=text, k=depth)
        found: dict[bytes, dict[str, Any]] = {
            key: {"bm25": float(score), "text_place": int(place)}
            for key, score, place in zip(told.keys, told.bm25, told.text_place, strict=True)
            if key in ids
        }
        if configuration.mode != "keyword":
            distances = 1.0 - vectors @ embedder.embed([text])[0]
            for place, row in enumerate(np.argsort(distances, kind="stable")[:depth].tolist()):
                near = {"distance": float(distances[row]), "vector_place": place}
                found[record_keys[row]] = found.get(record_keys[row], {}) | near
        known = zip(records.hits(list(found)), found.values(), strict=True)
        hits = [hit._replace(**figures) for hit, figures in known if hit is not None]
        return [ids[key] for key in _ranked(configuration, hits, text).keys[:DEPTH]]

    return retrieve


def _ranked(configuration: Configuration, hits: list[Hit], text: str) -> Ranking:
    now = time.time()
    return rank(
        Candidates.of(hits),
        configuration.mode,
        alpha=configuration.alpha,
        now=now,
        weights=RecencyWeights() if configuration.recency else None,
        cues=cues_of(text, datetime.fromtimestamp(now, UTC)),
        boosts=Boosts() if configuration.boosts else NO_BOOSTS,
        block_edges=BLOCK_EDGES[configuration.mode],
    )
