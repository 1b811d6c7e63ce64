"""The chains, each written down once."""

from __future__ import annotations

from typing import Any

from celery import chain

from app.memory.models import BatchRef, SessionRef
from tasks.base import pack
from tasks.queues import Queue
from tasks.steps import acknowledge, deduplicate, embed, entities, extract, ground, index, refresh, topics


def promotion(session: SessionRef, run_id: str, *, with_llm: bool) -> Any:
    """Extract → ground → entities → topics → embed → deduplicate → index → acknowledge."""
    thinking = Queue.LLM.value if with_llm else Queue.ML.value
    return chain(
        extract.s(pack(session), run_id).set(queue=thinking),
        ground.s().set(queue=thinking),
        entities.s(),
        topics.s(),
        embed.s(),
        deduplicate.s(),
        index.s(),
        acknowledge.s(),
    )


def create(batch: BatchRef) -> Any:
    """A large direct create enters the same chain where enrichment begins."""
    return chain(entities.s(pack(batch)), topics.s(), embed.s(), deduplicate.s(), index.s(), acknowledge.s())


def enrich(batch: BatchRef) -> Any:
    """A small direct create is searchable already; what is left is its topics and entities."""
    return chain(entities.s(pack(batch)), topics.s(), refresh.s(), acknowledge.s())
