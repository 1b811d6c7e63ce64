"""The store's part of the composition root."""

from __future__ import annotations

from functools import cached_property

from app.auth.authenticator import Authenticator, create_authenticator
from app.config import Settings
from app.memory.embedding import OtherVectors
from app.memory.steps import TaskRecords
from app.store.batches import BatchRepository, TaskRepository
from app.store.changes import ChangeRepository, Limits
from app.store.client import RedisClient, connect
from app.store.events import EventRepository
from app.store.neighbours import NeighbourRepository
from app.store.outbox import Outbox
from app.store.presence import Presence
from app.store.records import RecordRepository
from app.store.sessions import SessionRepository
from app.store.steps import StepRepository
from app.store.tokens import ImportedTokenRepository, TokenRepository
from app.store.usage import UsageRepository
from app.store.vectors import SpaceRepository, Spaces, configured
from app.store.verdicts import VerdictRepository
from app.store.views import ViewRepository


class Stores:
    """Redis and the repositories on it, each built on first use."""

    settings: Settings

    @cached_property
    def redis(self) -> RedisClient:
        """The store's client."""
        return connect(self.settings)

    @cached_property
    def sessions(self) -> SessionRepository:
        """Sessions."""
        return SessionRepository(self.redis, max_messages=self.settings.max_session_messages)

    @cached_property
    def records(self) -> RecordRepository:
        """Memories."""
        return RecordRepository(self.redis, self.spaces.serving)

    @cached_property
    def space_repository(self) -> SpaceRepository:
        """The embedding spaces as they are stored."""
        return SpaceRepository(self.redis, configured(self.settings))

    @cached_property
    def spaces(self) -> Spaces:
        """The embedding spaces. Raises BackendUnavailable while they cannot be read."""
        return self.space_repository.load()

    @cached_property
    def changes(self) -> ChangeRepository:
        """Changes of memories, and their undoing."""
        settings = self.settings
        return ChangeRepository(
            self.redis,
            Limits(
                versions=settings.history_max_versions,
                log=settings.change_log_max_entries,
                deleted_seconds=int(settings.deleted_retention_days * 86_400),
            ),
            self.events,
            self.spaces,
            OtherVectors(lambda: self.embedder_of(self.spaces.all[-1])),
        )

    @cached_property
    def neighbours(self) -> NeighbourRepository:
        """What is near an incoming memory."""
        return NeighbourRepository(self.redis, self.spaces.serving)

    @cached_property
    def batches(self) -> BatchRepository:
        """Batches of the pipeline."""
        return BatchRepository(self.redis)

    @cached_property
    def tasks(self) -> TaskRepository:
        """Task records."""
        return TaskRepository(self.redis)

    @cached_property
    def task_records(self) -> TaskRecords:
        """Task records, for those who may see them."""
        return TaskRecords(self.tasks, self.steps)

    @cached_property
    def steps(self) -> StepRepository:
        """How far the runs of the pipeline are."""
        return StepRepository(self.redis)

    @cached_property
    def verdicts(self) -> VerdictRepository:
        """Counters of what became of memories."""
        return VerdictRepository(self.redis)

    @cached_property
    def views(self) -> ViewRepository:
        """Summary views as they are stored."""
        return ViewRepository(self.redis)

    @cached_property
    def tokens(self) -> TokenRepository:
        """Tokens, as hashes."""
        return TokenRepository(self.redis)

    @cached_property
    def imported_tokens(self) -> ImportedTokenRepository:
        """Tokens of another server that nobody has claimed."""
        return ImportedTokenRepository(self.redis)

    @cached_property
    def authenticator(self) -> Authenticator:
        """Lets callers in. Only where authentication is on."""
        authenticator = create_authenticator(self.settings, self.tokens, self.imported_tokens)
        assert authenticator is not None, "authentication is off"
        return authenticator

    @cached_property
    def outbox(self) -> Outbox:
        """Unfinished work."""
        return Outbox(self.redis, self.events)

    @cached_property
    def usage(self) -> UsageRepository:
        """Counters of model calls."""
        return UsageRepository(self.redis, keep_days=self.settings.llm_usage_days)

    @cached_property
    def events(self) -> EventRepository:
        """What happened to memories."""
        return EventRepository(self.redis, self.settings.events_kept, webhook=bool(self.settings.webhook_url))

    @cached_property
    def presence(self) -> Presence:
        """Which processes were alive lately."""
        return Presence(self.redis)

    def store_ready(self) -> None:
        """Raise BackendUnavailable unless Redis answers and both indexes exist."""
        self.outbox.ping()
