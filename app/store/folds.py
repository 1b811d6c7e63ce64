"""Folds: summaries that stand for a session's older messages, kept beside the document that the client put."""

from __future__ import annotations

import hashlib
import time
from datetime import datetime
from typing import Any

from app.memory.models import Fold, FoldDraft, Message, Session, SessionRef
from app.store import codec, keys
from app.store.client import RedisClient, store_errors
from app.store.events import EventRepository
from app.store.scripts import script
from app.store.sessions import message_digest

DRAFT_TTL_SECONDS = 86_400


def context_digest(context: str) -> str:
    """16 hex digits for a context, whatever white space surrounds it."""
    return hashlib.blake2b(context.strip().encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def message_key(message: Message) -> str:
    """How a fold names a message: by id and words, so that an edited message is a new one."""
    return f"m:{message_digest(message)}{message.id}"


@store_errors
class FoldRepository:
    """Writes folds; `SessionRepository` reads them together with the document."""

    def __init__(self, client: RedisClient, events: EventRepository | None = None) -> None:
        self._client = client
        self._events = events or EventRepository(client, 0)
        self._commit = script(client, "session_fold")
        self._save_draft = script(client, "session_draft")

    def draft(self, ref: SessionRef) -> FoldDraft | None:
        """The summary in the making, if any."""
        raw = self._client.get(keys.session_draft(ref))
        if raw is None:
            return None
        stored = codec.loads(raw)
        fold = Fold(**{**stored["fold"], "absorbed": frozenset(stored["fold"]["absorbed"])})
        return FoldDraft(stored["born"], stored["base"], fold, tuple(stored["keys"]))

    def save_draft(self, ref: SessionRef, draft: FoldDraft) -> None:
        """Keep a summary in the making, unless its session is gone."""
        fold = {name: getattr(draft.fold, name) for name in Fold.__slots__}
        fold["absorbed"] = sorted(draft.fold.absorbed)
        stored = {"born": draft.born, "base": draft.base, "fold": fold, "keys": draft.keys}
        self._save_draft(
            keys=[keys.session(ref), keys.session_draft(ref)], args=[codec.dumps(stored), DRAFT_TTL_SECONDS]
        )

    def commit(
        self, read: Session, draft: FoldDraft | None, *, left_tokens: int, left_messages: int, at: datetime
    ) -> bool:
        """Let a draft's summary stand for its messages, in one atomic step, and end the work; whether it does now.

        `read` is the session that the draft was made from, `left_…` what is shown of it afterwards. Nothing changes
        if it was deleted, emptied or folded meanwhile; if the client has put something since, or one of these
        happened, the session is looked at again. Without a draft only the work is ended.
        """
        ref = read.ref
        now = at.timestamp()
        base = draft.base if draft else read.fold.revision if read.fold else 0
        born = draft.born if draft else read.born
        args: list[Any] = [
            keys.fold_member(ref), f"{now:.3f}", born, read.revision, base, left_tokens, left_messages,
            self._events.kept, ref.session_id,
        ]  # fmt: skip
        if draft is not None:
            absorbed = "".join(sorted(draft.fold.absorbed))
            args += [draft.fold.summary, draft.fold.count, draft.fold.tokens, absorbed, *draft.keys]
        with self._client.pipeline(transaction=False) as pipeline:
            self._commit(
                keys=[
                    keys.session(ref),
                    keys.session_fold(ref),
                    keys.session_draft(ref),
                    keys.outbox(ref.scope.namespace),
                    keys.outbox_state(ref.scope.namespace),
                    keys.dead_letters(ref.scope.namespace),
                    keys.events(ref.scope),
                ],
                args=args,
                client=pipeline,
            )
            pipeline.zadd(keys.DUE_TENANTS, {keys.encode(ref.scope.namespace): now}, lt=True)
            if draft is not None:
                self._events.make_due(pipeline, ref.scope, int(time.time() * 1000))
            return bool(pipeline.execute()[0] == b"folded")
