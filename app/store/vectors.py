"""Vector spaces: which model's vectors a memory has, in which field of its record, and which of them are searched.

A deployment has one space, and a second one while it changes its embedding model. Fields are never used twice
(`vec`, `vec2`, `vec3`, …), so that a query always names the vectors that it can be compared with: a process that has
not heard of a change yet still gets right answers. What the spaces are is kept in Redis, for all processes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from app.config import Settings
from app.store import codec
from app.store.client import RedisClient, store_errors
from app.store.keys import RECORD_PREFIX
from app.store.scripts import script

Vector = npt.NDArray[np.float32]
Precision = Literal["float32", "float16"]
Stage = Literal["settled", "filling", "ready", "switched"]

# The alias of the index of memories; `index` builds on this module.
MEMORIES = "ltm"
STATE = "embedding-spaces"
REPORT = "embedding-comparison"
PROCESSES = "embedding-processes"
LOOKED = "embedding-looked"
FIELD_PREFIX = "vec"
# A process that has said nothing for so long is gone; loading a model may take longer than that.
SILENT_SECONDS = 15.0
LOADING_SECONDS = 600.0
_FORGET_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class VectorSpace:
    """What makes vectors comparable (model and dimensions), and where and how a record has them.

    `precision` is of the stored elements, in record and index; vectors outside are always float32. Where it was not
    written down, a store is from before there was a choice.
    """

    field: str = "vec"
    backend: str = "onnx"
    model: str = "all-MiniLM-L6-v2"
    dimensions: int = 384
    base_url: str | None = None
    precision: Precision = "float32"

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.model} ({self.backend}, {self.dimensions} dimensions, {self.precision}, field {self.field})"

    def same_model(self, other: VectorSpace) -> bool:
        """Whether vectors of the two can be compared; the two local backends give the same ones."""
        local = {self.backend, other.backend} <= {"onnx", "sentence-transformers"}
        return (
            self.model.rpartition("/")[2] == other.model.rpartition("/")[2]
            and self.dimensions == other.dimensions
            and (local or self.backend == other.backend)
        )

    def reached_as(self, other: VectorSpace) -> VectorSpace:
        """The same space, its model reached in the other's way if that is the same model."""
        if not self.same_model(other):
            return self
        return replace(self, backend=other.backend, model=other.model, base_url=other.base_url)

    @property
    def element_bytes(self) -> int:
        """Bytes of one stored element."""
        return np.dtype(self.precision).itemsize

    def to_bytes(self, vector: Vector) -> bytes:
        """A vector as a record's field holds it."""
        return np.asarray(vector, dtype=self.precision).tobytes()

    def from_bytes(self, raw: bytes | None) -> Vector:
        """A record's vector, shape (dim,); (0,) where it has none yet."""
        return np.frombuffer(raw or b"", self.precision).astype(np.float32)


# That of a new store with default settings.
DEFAULT = VectorSpace(precision="float16")


@dataclass(frozen=True, slots=True)
class Spaces:
    """The spaces of a deployment. Searches use `serving`; `other`, if there is one, is written as well.

    `settled`: one space. `filling`: `other` is new and not complete. `ready`: it is, and indexed. `switched`: `other`
    is the old one, kept complete for the way back. `version` grows with every step.
    """

    serving: VectorSpace
    other: VectorSpace | None = None
    stage: Stage = "settled"
    version: int = 0

    @property
    def all(self) -> tuple[VectorSpace, ...]:
        """The spaces that every write fills."""
        return (self.serving,) if self.other is None else (self.serving, self.other)

    def swapped(self, stage: Stage) -> Spaces:
        """The other space serves."""
        assert self.other is not None
        return Spaces(self.other, self.serving, stage, self.version + 1)

    def at(self, stage: Stage) -> Spaces:
        """The same spaces, one step further."""
        return replace(self, stage=stage, version=self.version + 1)

    def alone(self) -> Spaces:
        """Without the other space."""
        return Spaces(self.serving, None, "settled", self.version + 1)

    def with_new(self, space: VectorSpace) -> Spaces:
        """With a space that is to be filled, in a field that was never used."""
        return Spaces(self.serving, replace(space, field=f"{FIELD_PREFIX}{self.version + 2}"), "filling",
                      self.version + 1)  # fmt: skip


def configured(settings: Settings) -> VectorSpace:
    """The space that the settings describe: that of a deployment which never changed its model."""
    remote = settings.embedding_backend == "openai"
    return VectorSpace(
        backend=settings.embedding_backend,
        model=settings.embedding_model,
        dimensions=settings.embedding_dimensions,
        base_url=(settings.embedding_base_url or settings.llm_base_url) if remote else None,
        precision=settings.embedding_precision,
    )


@dataclass(frozen=True, slots=True)
class Follower:
    """A process that uses the spaces: the version that it works with, and what keeps it from a newer one."""

    name: str
    version: int
    loading: bool = False
    error: str | None = None
    at: float = 0.0


@store_errors
class SpaceRepository:
    """The spaces, who uses them, and the vectors that are missing; one round trip per call."""

    def __init__(self, client: RedisClient, settings: VectorSpace) -> None:
        """`settings` is the space that the settings describe; how a model of theirs is reached is theirs to say."""
        self._client = client
        self._settings = settings
        self._embed = script(client, "record_embed")

    def load(self) -> Spaces:
        """The spaces; that of the settings where none was written down."""
        return self._spaces(self._client.get(STATE))

    def note(self, precision: Precision) -> None:
        """Write down the space of the settings with this precision, unless there is one already."""
        self._client.set(STATE, codec.dumps(asdict(Spaces(replace(self._settings, precision=precision)))), nx=True)

    def save(self, spaces: Spaces) -> None:
        """Make these the spaces. Only whoever holds the lock of migrations may."""
        self._client.set(STATE, codec.dumps(asdict(spaces)))

    def _spaces(self, raw: bytes | None) -> Spaces:
        if raw is None:
            return Spaces(self._settings)
        stored = codec.loads(raw)
        serving, other = (
            VectorSpace(**given).reached_as(self._settings) if given else None
            for given in (stored["serving"], stored["other"])
        )
        assert serving is not None
        return Spaces(serving, other, stored["stage"], stored["version"])

    # -- processes ---------------------------------------------------------------------------------------------------

    def report(self, follower: Follower) -> Spaces:
        """Say which version a process works with; the spaces as they are now. Two round trips."""
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.get(STATE)
            pipeline.time()
            raw, (seconds, micros) = pipeline.execute()
        told = asdict(replace(follower, at=seconds + micros / 1e6))
        self._client.hset(PROCESSES, follower.name, codec.dumps(told))
        return self._spaces(raw)

    def leave(self, name: str) -> None:
        """A process ends."""
        self._client.hdel(PROCESSES, name)

    def followers(self) -> list[Follower]:
        """The processes that were alive lately."""
        now = self.now()
        found = [Follower(**codec.loads(raw)) for raw in self._client.hvals(PROCESSES)]
        old = [f.name for f in found if now - f.at > _FORGET_SECONDS]
        if old:
            self._client.hdel(PROCESSES, *old)
        return [f for f in found if now - f.at <= (LOADING_SECONDS if f.loading else SILENT_SECONDS)]

    def now(self) -> float:
        """The time by Redis' clock, in Unix seconds."""
        seconds, micros = self._client.time()
        return float(seconds + micros / 1e6)

    def looked_until(self, moment: float | None = None) -> float:
        """Up to when written records were looked through for missing vectors; with a moment, remember that."""
        if moment is not None:
            self._client.set(LOOKED, repr(moment))
            return moment
        return float(self._client.get(LOOKED) or 0.0)

    # -- vectors -----------------------------------------------------------------------------------------------------

    def scan(self, cursor: int) -> tuple[int, list[bytes]]:
        """A page of the keys of all memories, and the cursor of the next one (0: that was the last)."""
        reached, found = self._client.scan(cursor, match=f"{RECORD_PREFIX}*", count=1_000)
        return int(reached), list(found)

    def written_since(self, since: float) -> list[bytes]:
        """Keys of the memories written at or after a time (Unix seconds)."""
        found: dict[bytes, None] = {}
        reply, cursor = self._client.execute_command(
            "FT.AGGREGATE", MEMORIES, f"@put:[{since!r} +inf]", "LOAD", "1", "@__key",
            "WITHCURSOR", "COUNT", "2000", "MAXIDLE", "60000", "DIALECT", "2",
        )  # fmt: skip
        while True:
            found.update((row[1], None) for row in reply[1:])
            if not cursor:
                return list(found)
            reply, cursor = self._client.execute_command("FT.CURSOR", "READ", MEMORIES, cursor, "COUNT", "2000")

    def lacking(self, record_keys: Sequence[bytes], spaces: Sequence[VectorSpace]) -> list[tuple[bytes, VectorSpace]]:
        """Which of the records have no vector in which space."""
        if not record_keys:
            return []
        with self._client.pipeline(transaction=False) as pipeline:
            for key in record_keys:
                pipeline.hexists(key, "rev")
                for space in spaces:
                    pipeline.hstrlen(key, space.field)
            replies = iter(pipeline.execute())
        found = []
        for key in record_keys:
            exists = next(replies)
            for space in spaces:
                if not next(replies) and exists:
                    found.append((key, space))
        return found

    def put(self, space: VectorSpace, rows: Sequence[tuple[bytes, int, Vector]]) -> int:
        """Give records, as (key, revision, vector), their vectors unless they changed meanwhile; how many got one."""
        with self._client.pipeline(transaction=False) as pipeline:
            for key, revision, vector in rows:
                self._embed(keys=[key], args=[revision, space.field, space.to_bytes(vector)], client=pipeline)
            return sum(pipeline.execute())

    def strip(self, record_keys: Sequence[bytes], kept: Sequence[VectorSpace]) -> int:
        """Take the vectors of all other spaces out of the records; how many there were. Two round trips."""
        wanted = {space.field for space in kept}
        with self._client.pipeline(transaction=False) as pipeline:
            for key in record_keys:
                pipeline.hkeys(key)
            names = pipeline.execute()
        gone = 0
        with self._client.pipeline(transaction=False) as pipeline:
            for key, fields in zip(record_keys, names, strict=True):
                foreign = [name for raw in fields if is_vector_field(name := raw.decode()) and name not in wanted]
                gone += len(foreign)
                if foreign:
                    pipeline.hdel(key, *foreign)
            pipeline.execute()
        return gone

    # -- comparison --------------------------------------------------------------------------------------------------

    def keep_report(self, report: Mapping[str, Any]) -> None:
        """Remember the last comparison of two spaces."""
        self._client.set(REPORT, codec.dumps(report))

    def last_report(self) -> dict[str, Any] | None:
        """The last comparison, if there was one."""
        raw = self._client.get(REPORT)
        return dict(codec.loads(raw)) if raw else None


def is_vector_field(name: str) -> bool:
    """Whether a field of a record holds a vector."""
    return name.startswith(FIELD_PREFIX) and (name == FIELD_PREFIX or name[len(FIELD_PREFIX) :].isdigit())
