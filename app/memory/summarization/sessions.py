"""Folding sessions in the background: first the summary is made, in passes; then it takes its place in one step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import structlog

from app.config import Settings
from app.memory.models import Fold, FoldDraft, FoldRef, Session, utc_now
from app.memory.summarization.folding import DEFAULT_WINDOW, absorbed_by, older_messages, visible
from app.memory.summarization.summarizers import Summarizer
from app.memory.windows import message_tokens
from app.store.folds import FoldRepository, message_key
from app.store.sessions import SessionRepository

log = structlog.get_logger(__name__)
# Of the window: with the messages that stay (KEEP_SHARE) and those that come until the next fold (the threshold),
# everything shown still fits into it.
SUMMARY_SHARE = 0.2
MIN_SUMMARY_TOKENS = 24
MAX_SUMMARY_TOKENS = 4096


class SessionFolding:
    """The steps of the chain `summarize | fold`; each can be repeated."""

    def __init__(
        self,
        sessions: SessionRepository,
        folds: FoldRepository,
        summarizer: Callable[[], Summarizer],
        settings: Settings,
    ) -> None:
        self._sessions = sessions
        self._folds = folds
        self._summarizer = summarizer
        self._settings = settings

    def summarize(self, ref: FoldRef) -> FoldRef | None:
        """Draft the summary of the older messages; every pass is kept, so that a retry goes on from there.

        Nothing that clients see changes here. Raises BackendUnavailable, ModelFailure.
        """
        stored = self._sessions.get(ref.session, exact=True)
        if stored is None:
            self._end(Session(ref.session))
            return None
        session = visible(stored)
        window = stored.window if stored.window and stored.window > 0 else DEFAULT_WINDOW
        older = older_messages(session.messages, window, self._settings.summarization_threshold)
        if not older:
            self._end(stored)
            return None
        summarizer = self._summarizer()
        budget = max(MIN_SUMMARY_TOKENS, min(MAX_SUMMARY_TOKENS, int(window * SUMMARY_SHARE)))
        budget = summarizer.summary_budget(budget)
        draft = self._draft(stored, session, {message_key(m) for m in older})
        left = [m for m in older if message_key(m) not in set(draft.keys)]
        passes = 0
        for portion in summarizer.portions(left, budget):
            fold = draft.fold
            summary, cost = summarizer.extend(
                fold.summary, fold.count, portion, budget=budget, namespace=ref.session.scope.namespace
            )
            extended = replace(
                fold, summary=summary, count=fold.count + len(portion.messages), tokens=fold.tokens + cost
            )
            draft = FoldDraft(draft.born, draft.base, extended, (*draft.keys, *map(message_key, portion.messages)))
            self._folds.save_draft(ref.session, draft)
            passes += 1
        log.info(
            "summary drafted",
            session=ref.session.session_id, by=summarizer.name, passes=passes, messages=len(draft.keys),
        )  # fmt: skip
        return ref

    def fold(self, ref: FoldRef) -> None:
        """Let the drafted summary stand for its messages, all at once."""
        stored = self._sessions.get(ref.session, exact=True)
        draft = self._folds.draft(ref.session)
        if stored is None:
            self._end(Session(ref.session))
            return
        if draft is None:
            return  # folded by an earlier delivery of this task; if not, the outbox brings the work back
        keys = set(draft.keys)
        left = [m for m in visible(stored).messages if message_key(m) not in keys]
        done = self._folds.commit(
            stored, draft, left_tokens=sum(map(message_tokens, left)), left_messages=len(left), at=utc_now()
        )
        log.info("session folded" if done else "session changed; not folded", session=ref.session.session_id)

    def _end(self, stored: Session) -> None:
        shown = visible(stored).messages
        self._folds.commit(
            stored, None, left_tokens=sum(map(message_tokens, shown)), left_messages=len(shown), at=utc_now()
        )

    def _draft(self, stored: Session, session: Session, older: set[str]) -> FoldDraft:
        """The draft that an earlier delivery has left, if it is of this session as it is now; else an empty one."""
        base = stored.fold.revision if stored.fold else 0
        known = self._folds.draft(stored.ref)
        if known is not None and (known.born, known.base) == (stored.born, base) and older.issuperset(known.keys):
            return known
        fold = Fold(
            session.context or "",
            count=stored.fold.count if stored.fold else 0,
            tokens=session.tokens,
            absorbed=absorbed_by(stored),
        )
        return FoldDraft(stored.born, base, fold)
