"""Candidates of a search: enough of each to rank it, not to show it; the commands that find them and their replies.

A search has hundreds of candidates and shows ten, so they are kept in columns: ranking them is arithmetic on arrays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from app.store import index
from app.store.document import CUE_SEPARATOR
from app.store.query import WORDS_WEIGHT, any_clause, compile_text
from app.store.vectors import VectorSpace

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]
CUES = 5
# Where the graph is walked, it is with more care than the index's own EF_RUNTIME. Figures: docs/retrieval.md.
WALK_BREADTH = 220
# A record that was never shown since it was created has no `accessed`: that comes last, so that it moves no other.
_RETURNED = ("cues", "accessed")


class Hit(NamedTuple):
    """One candidate. Times in Unix seconds.

    `distance` is the cosine distance (0 to 2) if the vector leg found it, `bm25` the raw score if the text leg did;
    the places are where in its leg it came, from 0. `said` is when a turn was said or a fact's event was (None: a
    fact without one), `conversation` tells the conversations of turns apart ("" for a fact), `names` are lower-case
    and separated by commas, `digest` is that of the text.
    """

    key: bytes
    created: float
    accessed: float
    distance: float | None = None
    bm25: float | None = None
    vector_place: int = 0
    text_place: int = 0
    said: float | None = None
    conversation: str = ""
    names: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Hits as columns; NaN stands for None."""

    keys: list[bytes]
    created: Floats
    accessed: Floats
    distance: Floats
    bm25: Floats
    vector_place: Places
    text_place: Places
    said: Floats
    conversations: list[str]
    names: list[str]
    digests: list[str]

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def of(cls, hits: Sequence[Hit]) -> Candidates:
        """From single hits."""
        columns = list(zip(*hits, strict=True)) or [()] * len(Hit._fields)
        keys, created, accessed, distance, bm25, vector_place, text_place, said, conversations, names, digests = columns
        return cls(
            list(keys),
            _floats(created),
            _floats(accessed),
            _floats(distance),
            _floats(bm25),
            np.array(vector_place, dtype=np.intp),
            np.array(text_place, dtype=np.intp),
            _floats(said),
            list(conversations),
            list(names),
            list(digests),
        )

    def take(self, rows: Places) -> Candidates:
        """Only these rows, in this order."""
        chosen = rows.tolist()
        return Candidates(
            [self.keys[row] for row in chosen],
            self.created[rows],
            self.accessed[rows],
            self.distance[rows],
            self.bm25[rows],
            self.vector_place[rows],
            self.text_place[rows],
            self.said[rows],
            [self.conversations[row] for row in chosen],
            [self.names[row] for row in chosen],
            [self.digests[row] for row in chosen],
        )

    def nearer(self, distance: float) -> Candidates:
        """Those at most so far away."""
        return self.take(np.flatnonzero(self.distance <= distance))


def _floats(values: Sequence[float | None]) -> Floats:
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def search_commands(
    query: str,
    space: VectorSpace,
    *,
    vector: npt.NDArray[np.float32] | None,
    text: str | None,
    k: int,
    scorer: str = "BM25STD",
    policy: str | None = None,
) -> tuple[list[Any] | None, list[Any] | None]:
    """The commands of the vector leg and of the text leg; None where a leg is not asked for or has no words."""
    clauses = compile_text(text) if text is not None else []
    return (
        _vector_command(query, space, vector, k, policy) if vector is not None else None,
        _text_command(query, clauses, k, scorer) if clauses else None,
    )


def _vector_command(
    query: str, space: VectorSpace, vector: npt.NDArray[np.float32], k: int, policy: str | None
) -> list[Any]:
    blob = space.to_bytes(vector)
    attributes = f" HYBRID_POLICY {policy} EF_RUNTIME {WALK_BREADTH}" if policy else ""
    text = f"({query})=>[KNN $k @{space.field} $vector{attributes} AS dist]"
    return ["FT.SEARCH", index.MEMORIES, text, "PARAMS", "4", "k", str(k), "vector", blob, "SORTBY", "dist", "ASC",
            "RETURN", "3", "dist", *_RETURNED, "LIMIT", "0", str(k), "DIALECT", "2"]  # fmt: skip


def _text_command(query: str, clauses: list[str], k: int, scorer: str) -> list[Any]:
    return ["FT.SEARCH", index.MEMORIES, any_clause(query, clauses), "WITHSCORES", "SCORER", scorer, "VERBATIM",
            "RETURN", "2", *_RETURNED, "LIMIT", "0", str(k), "DIALECT", "2"]  # fmt: skip


def count_command(query: str) -> list[Any]:
    """How many memories match a filter."""
    return ["FT.SEARCH", index.MEMORIES, query, "LIMIT", "0", "0", "DIALECT", "2"]


def from_replies(vector_reply: list[Any] | None, text_reply: list[Any] | None) -> Candidates:
    """What the two commands answered, each candidate once."""
    near, told = _columns(vector_reply), _columns(text_reply, scored=True)
    place_of = {key: place for place, key in enumerate(near.keys)}
    fresh = [place for place, key in enumerate(told.keys) if key not in place_of]
    keys = near.keys + [told.keys[place] for place in fresh]
    accessed = near.accessed + [told.accessed[place] for place in fresh]
    cues = near.cues + [told.cues[place] for place in fresh]
    place_of |= {key: place for place, key in enumerate(keys)}
    rows = [place_of[key] for key in told.keys]
    distance, bm25 = np.full(len(keys), math.nan), np.full(len(keys), math.nan)
    vector_place, text_place = np.zeros(len(keys), dtype=np.intp), np.zeros(len(keys), dtype=np.intp)
    distance[: len(near.keys)] = _numbers(near.scores)
    vector_place[: len(near.keys)] = range(len(near.keys))
    bm25[rows] = _numbers(told.scores) / WORDS_WEIGHT
    text_place[rows] = range(len(rows))
    created, said, conversations, names, digests = cue_columns(cues)
    shown = _numbers(accessed)
    return Candidates(
        keys,
        created,
        np.where(np.isnan(shown), created, shown),
        distance,
        bm25,
        vector_place,
        text_place,
        said,
        conversations,
        names,
        digests,
    )


def cue_columns(cues: Sequence[bytes]) -> tuple[Floats, Floats, list[str], list[str], list[str]]:
    """The columns that are stored in one field: created, said, conversation, names, digest."""
    parts = CUE_SEPARATOR.encode().join(cues).decode().split(CUE_SEPARATOR) if cues else []
    created, said, conversations, names, digests = (parts[column::CUES] for column in range(CUES))
    return _numbers(created), _numbers([value or "nan" for value in said]), conversations, names, digests


class _Columns(NamedTuple):
    keys: list[bytes]
    scores: list[bytes]
    accessed: list[bytes]
    cues: list[bytes]


def _columns(reply: list[Any] | None, *, scored: bool = False) -> _Columns:
    """A reply's rows, without documents that vanished meanwhile; the score is that of WITHSCORES or the first field.

    Rows name their fields in the order of the command.
    """
    if not reply:
        return _Columns([], [], [], [])
    width = 3 if scored else 2
    keys, fields = reply[1::width], reply[width::width]
    scores: list[bytes] = reply[2::width] if scored else []
    least = 2 if scored else 4
    if None in fields or min(map(len, fields), default=least) < least:
        kept = [place for place, row in enumerate(fields) if row is not None and len(row) >= least]
        keys, fields = [keys[place] for place in kept], [fields[place] for place in kept]
        scores = [scores[place] for place in kept] if scores else []
    return _Columns(
        keys,
        scores if scored else [row[1] for row in fields],
        # nan: not shown since it was created
        [row[least + 1] if len(row) > least else b"nan" for row in fields],
        [row[least - 1] for row in fields],
    )


def _numbers(values: Sequence[bytes | str]) -> Floats:
    return np.array([float(value) for value in values], dtype=np.float64)
