"""Changing the embedding model of a store while it serves.

1. Every process is told of the new space and writes both vectors from then on (`filling`).
2. All memories get their second vector; what was written without it meanwhile is found and completed.
3. An index with both fields is built beside the old one and takes its place (`ready`). Nothing has changed for searches
   yet: each names the field of its own process' model.
4. `switch`: processes take the other model for their searches, one by one within a second or two (`switched`). A query
   is always compared with vectors of the model that made it. `rollback` is the same in the other direction.
5. `settle`: the space that is not searched goes, with its index and its vectors.

Each function can be killed and called again; what is done is not done twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from app.container import Container
from app.memory.errors import BackendUnavailable, Conflict, InvalidRequest, ModelFailure
from app.store import index
from app.store.vectors import Spaces, VectorSpace
from migrations import reindex
from migrations.lock import exclusive

Say = Callable[[str], None]

AGREE_SECONDS = 300.0
POLL_SECONDS = 0.2
SAY_EVERY_SECONDS = 5.0
LOCK_WAIT_SECONDS = 3.0


def plan(engine: Container, target: VectorSpace, say: Say) -> None:
    """Say what a change to another model would do and cost; nothing is changed.

    Raises InvalidRequest or ModelFailure when it would be refused.
    """
    spaces = engine.space_repository.load()
    _check(spaces, target)
    started = time.monotonic()
    _probe(engine, target)
    seconds = time.monotonic() - started
    info = index.describe(engine.redis, index.MEMORIES)
    count = info.documents if info else 0
    # A vector in the record, and in the graph once more with its links (24 neighbours on the lowest level).
    needed = count * (2 * target.element_bytes * target.dimensions + 400)
    say(f"from {spaces.serving.label}")
    say(f"to   {target.label}, which answers ({seconds * 1000:.0f} ms for the first texts)")
    say(f"{count:,} memories to embed; about {needed / 2**30:.1f} GB more memory in Redis until the change is settled,")
    say("and as much as the present index again while the new one is built")


def migrate(engine: Container, target: VectorSpace, say: Say, *, concurrency: int = 4) -> None:
    """Bring a store to `ready`: all memories have vectors of both models, and one index has both.

    Raises Conflict when another change is under way, ModelFailure when a process cannot use the new model.
    """
    with exclusive(engine.redis, wait_seconds=LOCK_WAIT_SECONDS):
        repository = engine.space_repository
        spaces = repository.load()
        _check(spaces, target)
        if spaces.other is None:
            _probe(engine, target)
            spaces = spaces.with_new(target)
            repository.save(spaces)
            say(f"from {spaces.serving.label}")
            say(f"to   {spaces.all[-1].label}")
            try:
                _agree(engine, spaces, say)
            except (ModelFailure, BackendUnavailable):
                repository.save(spaces.alone())
                raise
        else:
            say(f"going on with {spaces.other.label}")
            _agree(engine, spaces, say)
        if spaces.stage == "filling":
            _fill(engine.with_spaces(spaces), say, concurrency)
            reindex.rebuild_memories(engine.redis, spaces.all, say)
            _close_gaps(engine.with_spaces(spaces), say)
            spaces = spaces.at("ready")
            repository.save(spaces)
        say("ready: `agent-memory embeddings compare`, then `agent-memory embeddings switch`")


def switch(engine: Container, say: Say) -> None:
    """Let searches use the new model. Raises Conflict when it is not ready."""
    with exclusive(engine.redis, wait_seconds=LOCK_WAIT_SECONDS):
        spaces = engine.space_repository.load()
        if spaces.stage == "switched":
            say(f"searches use {spaces.serving.label} already")
            return
        if spaces.stage != "ready":
            raise Conflict("there is no other model that is ready: `agent-memory embeddings migrate` first")
        _close_gaps(engine.with_spaces(spaces), say)
        _serve(engine, spaces.swapped("switched"), say)


def rollback(engine: Container, say: Say) -> None:
    """Let searches use the old model again, at once. Raises Conflict when it is gone."""
    with exclusive(engine.redis, wait_seconds=LOCK_WAIT_SECONDS):
        spaces = engine.space_repository.load()
        if spaces.stage != "switched":
            raise Conflict("no model was switched to that is not settled yet")
        _serve(engine, spaces.swapped("ready"), say)


def settle(engine: Container, say: Say) -> None:
    """Keep the space that is searched and let the other one go, with its vectors.

    After a switch that ends the change; before one it gives it up.
    """
    with exclusive(engine.redis, wait_seconds=LOCK_WAIT_SECONDS):
        spaces = engine.space_repository.load()
        if spaces.other is not None:
            gone, spaces = spaces.other, spaces.alone()
            engine.space_repository.save(spaces)
            say(f"letting {gone.label} go")
        _agree(engine, spaces, say)
        info = index.describe(engine.redis, index.MEMORIES)
        if info is not None and set(info.dimensions) != {spaces.serving.field}:
            reindex.rebuild_memories(engine.redis, spaces.all, say)
        said = time.monotonic()
        seen = taken = 0
        for seen, taken in engine.with_spaces(spaces).reembedding.strip():
            if time.monotonic() - said > SAY_EVERY_SECONDS:
                said = time.monotonic()
                say(f"{seen:,} memories looked at, {taken:,} old vectors taken out")
        say(f"settled: {spaces.serving.label}; {taken:,} old vectors taken out of {seen:,} memories")


def _check(spaces: Spaces, target: VectorSpace) -> None:
    if spaces.stage == "switched":
        raise Conflict("the last change is not settled: `agent-memory embeddings settle` (or `rollback`) first")
    if spaces.other is None and target.same_model(spaces.serving) and target.precision == spaces.serving.precision:
        raise InvalidRequest(f"the store has vectors of {spaces.serving.label} already")
    if spaces.other is not None and not target.same_model(spaces.other):
        raise Conflict(
            f"a change to {spaces.other.label} is under way: go on with it, or give it up with "
            "`agent-memory embeddings settle`"
        )


def _probe(engine: Container, target: VectorSpace) -> None:
    """Raise ModelFailure unless the model works here and has these dimensions."""
    engine.embedder_of(target).embed(["Does the model answer?", "And has it so many dimensions?"])


def _serve(engine: Container, spaces: Spaces, say: Say) -> None:
    engine.space_repository.save(spaces)
    _agree(engine, spaces, say)
    _close_gaps(engine.with_spaces(spaces), say)
    say(f"searches use {spaces.serving.label}; the way back: `agent-memory embeddings "
        f"{'rollback' if spaces.stage == 'switched' else 'switch'}`")  # fmt: skip


def _agree(engine: Container, spaces: Spaces, say: Say) -> None:
    """Wait until all live processes use these spaces."""
    deadline = time.monotonic() + AGREE_SECONDS
    said = time.monotonic()
    while True:
        followers = engine.space_repository.followers()
        behind = [f for f in followers if f.version < spaces.version]
        if failed := [f for f in behind if f.error]:
            raise ModelFailure("; ".join(f"{f.name}: {f.error}" for f in failed))
        if not behind:
            say(f"{len(followers)} processes know of it")
            return
        names = ", ".join(f.name for f in behind)
        if time.monotonic() > deadline:
            raise BackendUnavailable(f"these processes do not follow: {names}")
        if time.monotonic() - said > SAY_EVERY_SECONDS:
            said = time.monotonic()
            say(f"waiting for {names}")
        time.sleep(POLL_SECONDS)


def _fill(engine: Container, say: Say, concurrency: int) -> None:
    info = index.describe(engine.redis, index.MEMORIES)
    total = info.documents if info else 0
    begun, started = engine.space_repository.now(), time.monotonic()
    said, seen, made = started, 0, 0
    for seen, made in engine.reembedding.everything(concurrency=concurrency):
        if time.monotonic() - said > SAY_EVERY_SECONDS:
            said = time.monotonic()
            left = (said - started) / seen * max(0, total - seen)
            say(
                f"{seen:,} of {max(total, seen):,} memories, {made / (said - started):.0f} vectors/s, {left:.0f} s left"
            )
    say(f"{made:,} vectors made for {seen:,} memories in {time.monotonic() - started:.1f} s")
    _close_gaps(engine, say, since=begun)


def _close_gaps(engine: Container, say: Say, *, since: float | None = None) -> None:
    made = engine.reembedding.close_gaps(since)
    if made:
        say(f"{made:,} vectors added that other processes had left out")
