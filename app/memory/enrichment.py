"""What small creates leave for the background: topics and entities of memories that are searchable already.

Each create stores what it leaves; the dispatcher gathers what came from a tenant meanwhile into few batches. Many
small creates then cost a worker hardly more than one large one, and the request that creates has no task to send.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import structlog

from app.config import Settings
from app.memory.identity import new_id
from app.memory.models import Batch, BatchRef, Memory, Work
from app.store.batches import BatchRepository
from app.store.outbox import Outbox

log = structlog.get_logger(__name__)
KIND = "enrich"
# How long the first of many waits for others.
GATHER_SECONDS = 0.3
MOST_MEMORIES = 256


class Enrichments:
    """Leaves memories for enrichment, and gathers what was left."""

    def __init__(self, batches: BatchRepository, outbox: Outbox, settings: Settings, space: str) -> None:
        """`space` names the embeddings that memories are left with (see `app.store.vectors`)."""
        self._space = space
        self._batches = batches
        self._outbox = outbox
        self._settings = settings

    def leave(self, memories: Sequence[Memory], vectors: npt.NDArray[np.float32]) -> None:
        """Have stored memories enriched in the background; vectors of shape (n, dim). One round trip."""
        wanted = self._settings.enable_topic_extraction or self._settings.enable_ner
        if not memories or not wanted:
            return
        ref = BatchRef(memories[0].namespace, f"{KIND}-{new_id()}")
        batch = Batch(ref, records=tuple(memories), vectors=vectors.tobytes(), space=self._space)
        due = time.time() + GATHER_SECONDS
        self._batches.save(batch, also=lambda pipeline: self._outbox.add_to(pipeline, ref, due))

    def gathered(self, claimed: Sequence[Work]) -> list[Work]:
        """The same work of one tenant, with what awaits enrichment in few batches instead of many.

        A batch that a worker began with goes alone: should it be what makes an enrichment fail, it spoils no others.
        """
        waiting = [work for work in claimed if isinstance(work, BatchRef) and work.kind == KIND]
        if len(waiting) < 2:
            return list(claimed)
        fresh = [ref for ref, tries in zip(waiting, self._outbox.tries_of(waiting), strict=True) if not tries]
        batches = [batch for batch in self._batches.load_many(fresh) if batch is not None]
        taken = {batch.ref for batch in batches}
        work: list[Work] = [one for one in claimed if one not in taken]
        for group in _groups(batches):
            work.append(self._merge(group) if len(group) > 1 else group[0].ref)
        return work

    def _merge(self, group: Sequence[Batch]) -> BatchRef:
        ref = BatchRef(group[0].ref.namespace, f"{KIND}-{new_id()}")
        merged = Batch(
            ref,
            records=tuple(record for batch in group for record in batch.records),
            vectors=b"".join(batch.vectors for batch in group),
            space=group[0].space,
        )
        refs = [batch.ref for batch in group]
        lease_ends = time.time() + self._settings.promotion_lease_seconds

        def move(pipeline: object) -> None:
            self._outbox.exchange(pipeline, refs, ref, lease_ends)
            self._batches.delete_in(pipeline, refs)

        # One transaction: what waits is either the many or the one.
        self._batches.save(merged, also=move, atomic=True)
        log.info("enrichments gathered", batch=ref.batch_id, of=[one.batch_id for one in refs])
        return ref


def _groups(batches: Sequence[Batch]) -> Iterator[list[Batch]]:
    """Batches that may become one: not too many memories, and vectors of one model."""
    group: list[Batch] = []
    size = 0
    for batch in batches:
        if group and (size + len(batch.records) > MOST_MEMORIES or batch.space != group[0].space):
            yield group
            group, size = [], 0
        group.append(batch)
        size += len(batch.records)
    if group:
        yield group
