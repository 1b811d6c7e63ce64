"""Distances differ between embedding models: a thirty-pair ruler carries the thresholds from one to another."""

from __future__ import annotations

from statistics import median

from app.memory.dedup.judge import Radii
from app.providers.interfaces import Embedder

# The model whose distances the thresholds are written in, and the median distance of the ruler's pairs under it.
REFERENCE_MODEL = "all-MiniLM-L6-v2"
REFERENCE_MEDIAN = 0.1286
RULER = (
    ("User lives in Madrid", "User resides in Madrid"),
    ("User is allergic to cats", "User has a cat allergy"),
    ("User enjoys long walks on the beach", "User likes to walk along the beach"),
    ("The meeting starts at nine", "The meeting begins at nine o'clock"),
    ("User works as a lawyer", "User is a lawyer"),
    ("User has three children", "User is the parent of three kids"),
    ("User dislikes horror films", "User does not like scary movies"),
    ("User drives to work", "User commutes by car"),
    ("User studied chemistry", "User has a degree in chemistry"),
    ("User bought a camera last week", "Last week User purchased a camera"),
    ("The report is due on Friday", "Friday is the deadline of the report"),
    ("User wants to learn to sail", "User would like to take up sailing"),
    ("User's brother is a cook", "User has a brother who works as a chef"),
    ("User sleeps badly", "User has trouble sleeping"),
    ("User prefers tea to coffee", "User would rather drink tea than coffee"),
    ("User grew up in a small village", "User spent childhood in a little village"),
)


def radii_for(embedder: Embedder, outer: float) -> Radii:
    """The radii for an embedding model; `outer` is the setting, in distances of the reference model."""
    if embedder.model_id not in _scales:
        _scales[embedder.model_id] = 1.0 if REFERENCE_MODEL in embedder.model_id else _scale(embedder)
    return Radii(outer=outer, scale=_scales[embedder.model_id])


_scales: dict[str, float] = {}


def _scale(embedder: Embedder) -> float:
    first = embedder.embed([pair[0] for pair in RULER])
    second = embedder.embed([pair[1] for pair in RULER])
    return float(median(1.0 - (first * second).sum(axis=1))) / REFERENCE_MEDIAN
