"""The `entities` step: memories get the names in them, one name per person within a conversation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from app.memory.entity_linking import linked
from app.memory.labels import union
from app.memory.models import Memory, SessionRef
from app.providers.interfaces import EntityRecognizer
from app.store.facets import FacetRepository

TYPES = "entity_types"


class EntityEnrichment:
    """Adds entities to whole batches; what a client gave stays."""

    def __init__(self, recognizer: EntityRecognizer, facets: FacetRepository) -> None:
        self._recognizer = recognizer
        self._facets = facets

    def assign(
        self, memories: Sequence[Memory], parts: Iterable[Sequence[str]], session: SessionRef | None
    ) -> list[Memory]:
        """The memories with their entities, and the entities' types in their metadata.

        `parts` are the memories' texts, cut into the calls that the model is to get. Names of the same user and
        session belong together; with `session`, so do those that the session's memories have already.
        """
        found = [entities for texts in parts for entities in self._recognizer.recognize(texts)]
        conversations: dict[tuple[str | None, str | None, str | None], list[int]] = {}
        for row, memory in enumerate(memories):
            conversations.setdefault((memory.namespace, memory.user_id, memory.session_id), []).append(row)
        known = self._facets.names_in(session) if session is not None else ()
        for rows in conversations.values():
            for row, entities in zip(rows, linked([found[row] for row in rows], known), strict=True):
                found[row] = entities
        return [
            replace(
                memory,
                entities=union(memory.entities, [entity.name for entity in entities]),
                metadata={**memory.metadata, TYPES: {entity.name: entity.kind for entity in entities}}
                if entities
                else memory.metadata,
            )
            for memory, entities in zip(memories, found, strict=True)
        ]
