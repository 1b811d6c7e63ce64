"""The chains, each written down once.

Neighbouring steps of one queue travel as one Celery task (`tasks.base.segment`): a hop through the broker costs more
than most steps do. Each step still stands alone: it can be repeated, and a retry begins at the step that failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any

from celery import chain

from app.memory.models import BatchRef, FoldRef, SessionRef, ViewRunRef
from app.memory.steps import STEPS
from tasks.base import BEGINS, Step, pack, segment, step_named
from tasks.queues import Queue
from tasks.steps import (
    acknowledge,
    deduplicate,
    entities,
    extract,
    fold,
    ground,
    index,
    refresh,
    refresh_view,
    summarize,
    topics,
)


def promotion(session: SessionRef, run_id: str, *, with_llm: bool, judged_by_llm: bool) -> Any:
    """From a session's messages to its memories; extracting and grounding may be the language model's.

    Indexing asks a language model about uncertain pairs, where there is one: no place in `ml` may wait for that.
    """
    queues = {extract: Queue.LLM, ground: Queue.LLM} if with_llm else {}
    if not judged_by_llm:
        queues |= dict.fromkeys((deduplicate, index, acknowledge), Queue.ML)
    return _chain(pack(session), *_in_order("promotion", queues), run_id=run_id)


def create(batch: BatchRef) -> Any:
    """A large direct create: searchable first, then enriched like a small one. Indexing embeds: it needs the model."""
    return _chain(pack(batch), *_in_order("create_memories", dict.fromkeys((deduplicate, index), Queue.ML)))


def enrich(batch: BatchRef) -> Any:
    """A small direct create is searchable already; what is left is its topics and entities."""
    return _chain(pack(batch), entities, topics, refresh, acknowledge)


def folding(work: FoldRef, *, with_llm: bool) -> Any:
    """Summarize → fold: a session's older messages give way to a summary."""
    return _chain(pack(work), replace(summarize, queue=Queue.LLM if with_llm else Queue.ML), fold)


def view_run(work: ViewRunRef) -> Any:
    """One step, which ends early and comes back where a run takes long."""
    return _chain(pack(work), refresh_view)


def _in_order(task_type: str, queues: Mapping[Step, Queue]) -> list[Step]:
    """The steps of a kind of task, those in `queues` in another queue than their own."""
    steps = [step_named(name) for name in STEPS[task_type]]
    return [replace(one, queue=queues.get(one, one.queue)) for one in steps]


def _chain(reference: list[Any], *steps: Step, run_id: str | None = None) -> Any:
    """One task per run of neighbouring steps with the same queue; the first gets the reference."""
    segments = []
    for queue, neighbours in groupby(steps, key=lambda one: one.queue):
        names = [one.name for one in neighbours]
        arguments = (names,) if segments else (reference, names, run_id)
        headers = {} if segments else {BEGINS: True}
        segments.append(segment.s(*arguments).set(queue=queue.value, shadow=" → ".join(names), headers=headers))
    return chain(*segments)
