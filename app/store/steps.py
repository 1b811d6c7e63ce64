"""How far a run of the pipeline is: which step began when, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping

from app.memory.models import StepNote
from app.store import codec, keys
from app.store.batches import TASK_TTL_SECONDS
from app.store.client import RedisClient, store_errors


@store_errors
class StepRepository:
    """One hash per run (step → JSON), kept as long as the task records that show it."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    def note(self, run: str, notes: Mapping[str, StepNote]) -> None:
        """Note the state of steps. One round trip."""
        key = keys.steps(run)
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.hset(key, mapping={n: codec.dumps([s.state, s.started, s.seconds]) for n, s in notes.items()})
            pipeline.expire(key, TASK_TTL_SECONDS)
            pipeline.execute()

    def of(self, run: str) -> dict[str, StepNote]:
        """The steps that have begun."""
        return {
            name.decode(): StepNote(*codec.loads(raw)) for name, raw in self._client.hgetall(keys.steps(run)).items()
        }
