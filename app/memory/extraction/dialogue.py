"""A window of conversation, read: who speaks, when, and each passage parsed once."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from app.memory.extraction.plain_text import Passage, passages
from app.memory.models import ExtractionWindow, Message
from app.providers.entities import given_names
from app.word_sets import word_set

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

ASSISTANT_ROLES = frozenset({"assistant", "ai", "bot", "model"})
SYSTEM_ROLES = frozenset({"system", "developer", "tool", "function"})
APPLICATION_USER = "User"
"""What the user of the application is called in a memory, whatever their given name is (wire contract 6.3)."""

_SPEAKER_PREFIX = re.compile(
    r"^\s*(?:\[[^\]\n]{1,40}\]\s*)?\**([A-Z][\w'’.-]*(?: [A-Z][\w'’.-]*){0,2})\**:\**\s+(?=\S)"
)
_LABELS = word_set(
    """
    note question answer update edit ps correction example todo fyi warning error context task problem goal
    summary input output title subject reminder plan result translate fact background idea
    """
)
_USER_NAMES = frozenset({"user", "me", "human", "i"})


@dataclass(frozen=True, slots=True)
class Turn:
    """One message, read. `docs[i]` is the parse of `passages[i]`; both are empty for system and tool messages."""

    message: Message
    speaker: str
    """How memories call the speaker: "User", or a name."""
    said_at: datetime
    """The message's `created_at` in the time zone of the window."""
    new: bool
    passages: tuple[Passage, ...]
    docs: tuple[Doc, ...]
    human: bool
    """Whether a person speaks (and not the assistant or a machine), or one whom the strategy wants heard."""


def heard(message: Message, window: ExtractionWindow) -> bool:
    """Whether memories may rest on a message: people's always; the assistant's, a tool's or a system prompt's only
    if the session's strategy names their role in `include_roles`.
    """
    role = message.role.lower()
    if role not in ASSISTANT_ROLES | SYSTEM_ROLES:
        return True
    wanted = window.strategy.config.get("include_roles")
    return isinstance(wanted, (list, tuple)) and role in {str(name).lower() for name in wanted}


def speaker_of(message: Message) -> str:
    """Who speaks, as far as the message itself says."""
    role = message.role.lower()
    if role in ASSISTANT_ROLES:
        return "assistant"
    if message.name and message.name.strip():
        return _called(message.name.strip())
    return APPLICATION_USER if role in ("user", "human") else _called(message.role)


def read_dialogue(window: ExtractionWindow, nlp: Language) -> tuple[Turn, ...]:
    """Parse the window's messages, the context first."""
    tz = time_zone(window.timezone)
    messages = [*window.context, *window.new]
    prefixes = _speaker_prefixes(messages)
    read: list[tuple[Message, str, list[Passage]]] = []
    for message in messages:
        speaker, start = _speaker(message, prefixes)
        unheard = message.role.lower() in SYSTEM_ROLES and not heard(message, window)
        prose = [] if unheard else passages(message.content, start)
        read.append((message, speaker, prose))
    docs = iter(nlp.pipe([passage.text for _, _, prose in read for passage in prose]))
    return tuple(
        Turn(
            message=message,
            speaker=speaker,
            said_at=message.created_at.astimezone(tz),
            new=index >= len(window.context),
            passages=tuple(prose),
            docs=tuple(next(docs) for _ in prose),
            human=heard(message, window),
        )
        for index, (message, speaker, prose) in enumerate(read)
    )


def time_zone(name: str) -> ZoneInfo:
    """The IANA time zone, or UTC when there is none of that name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def _speaker_prefixes(messages: list[Message]) -> frozenset[str]:
    """The "Name:" prefixes of this conversation that are speakers: a known given name, or used more than once."""
    counts: Counter[str] = Counter()
    for message in messages:
        match = _SPEAKER_PREFIX.match(message.content)
        if match and message.role.lower() not in ASSISTANT_ROLES | SYSTEM_ROLES:
            counts[match[1]] += 1
    return frozenset(
        name
        for name, count in counts.items()
        if name.lower() not in _LABELS and (count > 1 or name.split()[0].lower() in given_names() | {"user": "u"})
    )


def _speaker(message: Message, prefixes: frozenset[str]) -> tuple[str, int]:
    """The speaker of a message, and where their words begin."""
    role = message.role.lower()
    if role in ASSISTANT_ROLES | SYSTEM_ROLES:
        return "the assistant", 0
    match = _SPEAKER_PREFIX.match(message.content)
    if match and match[1] in prefixes:
        return _called(match[1]), match.end()
    if message.name and message.name.strip():
        return _called(message.name.strip()), 0
    return (APPLICATION_USER if role in ("user", "human") else _called(message.role)), 0


def _called(name: str) -> str:
    return APPLICATION_USER if name.lower() in _USER_NAMES else " ".join(name.replace(",", " ").split())
