"""The pipeline's steps: each calls one method of the engine and passes the reference on."""

from __future__ import annotations

from app.container import Container
from app.memory.models import BatchRef, FoldRef, SessionRef, ViewRunRef
from tasks.base import step
from tasks.queues import Queue


@step(queue=Queue.ML)
def extract(engine: Container, session: SessionRef, run_id: str) -> BatchRef | None:
    """Distil candidates from a session's pending messages."""
    return engine.promotion.extract(session, run_id)


@step(queue=Queue.ML)
def ground(engine: Container, batch: BatchRef) -> BatchRef | None:
    """Make the candidates stand on their own."""
    return engine.promotion.ground(batch)


@step(queue=Queue.ML)
def entities(engine: Container, batch: BatchRef) -> BatchRef | None:
    """Add named entities."""
    return engine.promotion.entities(batch)


@step(queue=Queue.ML)
def topics(engine: Container, batch: BatchRef) -> BatchRef | None:
    """Add topics."""
    return engine.promotion.topics(batch)


@step(queue=Queue.ML)
def embed(engine: Container, batch: BatchRef) -> BatchRef | None:
    """Fill in the vectors."""
    return engine.promotion.embed(batch)


@step(queue=Queue.STORE)
def deduplicate(engine: Container, batch: BatchRef) -> BatchRef | None:
    """Fold copies."""
    return engine.promotion.deduplicate(batch)


@step(queue=Queue.STORE)
def index(engine: Container, batch: BatchRef) -> BatchRef | None:
    """Make the memories searchable."""
    return engine.promotion.index(batch)


@step(queue=Queue.STORE)
def refresh(engine: Container, batch: BatchRef) -> BatchRef | None:
    """Add what enrichment found to memories that are searchable already."""
    return engine.promotion.refresh(batch)


@step(queue=Queue.STORE)
def acknowledge(engine: Container, batch: BatchRef) -> BatchRef | None:
    """Mark the sources as done."""
    return engine.promotion.acknowledge(batch)


@step(queue=Queue.ML)
def summarize(engine: Container, work: FoldRef) -> FoldRef | None:
    """Draft the summary of a session's older messages."""
    return engine.folding.summarize(work)


@step(queue=Queue.STORE)
def fold(engine: Container, work: FoldRef) -> None:
    """Let the summary take their place."""
    return engine.folding.fold(work)


@step(queue=Queue.LLM)
def refresh_view(engine: Container, work: ViewRunRef) -> None:
    """Summarize the partitions of a view that changed."""
    return engine.summary_views.run(work)
