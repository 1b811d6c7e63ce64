"""What a fold is: the older messages of a session, replaced in the client's eyes by a summary of them. Pure.

The stored document stays as the client put it. What was folded is left out, and the summary shown as `context`, when
the session is read; so a client that puts its full old list again gets the summary back, not the old messages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from app.memory.models import Fold, Message, Session
from app.memory.windows import message_tokens
from app.store.folds import context_digest

# The window of a session whose client names none, and the share of it that stays (wire contract 2.5).
DEFAULT_WINDOW = 16_000
KEEP_SHARE = 0.4


def visible(session: Session) -> Session:
    """The session as its client sees it: folded messages left out, the summary in their place."""
    fold = session.fold
    if fold is None:
        return session
    return replace(
        session,
        messages=tuple(m for position, m in enumerate(session.messages) if position not in session.folded),
        folded=frozenset(),
        context=_context(session.context, fold),
        # A client that sends back what it was shown must not make the count grow.
        tokens=max(session.tokens, fold.tokens),
    )


def _context(given: str | None, fold: Fold) -> str:
    """The summary; with what the client says beyond it, unless that went into the summary."""
    said = (given or "").strip()
    if not said or context_digest(said) in fold.absorbed:
        return fold.summary
    if fold.summary.strip() in said:
        return given or ""
    return f"{given}\n\n{fold.summary}"


def absorbed_by(session: Session) -> frozenset[str]:
    """Digests of the contexts that a summary of this session rests on."""
    known = session.fold.absorbed if session.fold else frozenset()
    shown = visible(session).context
    return known | {context_digest(said) for said in (session.context, shown) if said and said.strip()}


def limit_of(window: int, threshold: float) -> int:
    """Tokens of messages over which a session is folded."""
    return math.floor(window * threshold)


def older_messages(messages: Sequence[Message], window: int, threshold: float) -> tuple[Message, ...]:
    """What is to be folded: nothing up to the threshold, else all but the newest that fill `KEEP_SHARE`.

    At least the last message stays. Source: wire contract 2.5.
    """
    sizes = [message_tokens(message) for message in messages]
    if sum(sizes) <= limit_of(window, threshold):
        return ()
    room = math.floor(window * KEEP_SHARE)
    kept = 0
    for size in reversed(sizes):
        room -= size
        if room < 0 and kept:
            break
        kept += 1
    return tuple(messages[: len(messages) - kept])
