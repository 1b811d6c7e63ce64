"""What is indexed of a memory: more than its bare text where that text is one turn of a conversation.

A turn ("Nate: Yes, twice!") says little without who said it, when, and in answer to what, so all three go into its
vector and its words. A fact stands on its own and is indexed as it is; so is a turn so long that it does, and a piece
of a transcript, in which several people speak: it is nobody's turn, and brings its context along.
The answer of a search always shows the bare memory. Figures for each part: docs/retrieval.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from app.memory.models import Memory, MemoryType

LONG_TURN_CHARS = 500
PREVIOUS_CHARS = 300
_NAME = r"[^\W_][\w.'\u2019-]*(?: [\w.'\u2019-]+){0,3}"
_SPEAKER = re.compile(rf"\A({_NAME}): (?=\S)")
# Who speaks where: at the start of a line, or, with a name of one word, behind the end of a sentence.
_SPEAKERS = re.compile(rf"^({_NAME}): (?=\S)|(?<=[.!?\u2026)\]\"'\u201d\u2019] )([^\W\d_a-z]\w*): (?=\S)", re.MULTILINE)


def speaker_of(memory: Memory) -> str | None:
    """Who says it, when the text begins with the name of its speaker."""
    match = _SPEAKER.match(memory.text)
    return match.group(1) if match and len(match.group(1)) <= 60 else None


def is_turn(memory: Memory) -> bool:
    """Whether the memory is something said in a conversation rather than a fact distilled from it."""
    if memory.extraction_strategy == "summary":
        return False
    if memory.memory_type is MemoryType.MESSAGE:
        return True
    return memory.memory_type is MemoryType.EPISODIC and not memory.extracted_from and speaker_of(memory) is not None


def said_at(memory: Memory) -> datetime:
    """When it happened: the event's date, else when it was created."""
    return memory.event_date or memory.created_at


def needs_context(memory: Memory) -> bool:
    """Whether the memory is a turn too short to stand on its own."""
    return len(memory.text) <= LONG_TURN_CHARS and is_turn(memory) and not _is_transcript(memory.text)


def _is_transcript(text: str) -> bool:
    return len({line_start or inside for line_start, inside in _SPEAKERS.findall(text)}) > 1


def wants_previous(memory: Memory) -> bool:
    """Whether what was said before belongs to the context of this memory."""
    return memory.session_id is not None and needs_context(memory)


def as_previous(text: str) -> str:
    """A turn as context of the next one: its end, where the question is."""
    if len(text) <= PREVIOUS_CHARS:
        return text
    return text[-PREVIOUS_CHARS:].partition(" ")[2] or text[-PREVIOUS_CHARS:]


def embedded_texts(memory: Memory) -> list[str]:
    """The texts whose vectors' mean stands for the memory: itself, and for a short turn itself in its context.

    Speaker first, then the date: the other way round measured 7 points less.
    """
    if not needs_context(memory):
        return [memory.text]
    date = _date(said_at(memory))
    speaker = speaker_of(memory)
    dated = f"{speaker} ({date}){memory.text[len(speaker) :]}" if speaker else f"({date}) {memory.text}"
    return [dated, f"{memory.previous} {memory.text}"] if memory.previous else [dated]


def context_text(memory: Memory) -> str:
    """Whose words find a turn beside its own: the date, and what was said just before."""
    if not needs_context(memory):
        return ""
    before = _SPEAKER.sub("", memory.previous or "")
    return f"{_date(said_at(memory))} {before}"


def names_of(memory: Memory) -> Sequence[str]:
    """Whom or what the memory is about: a turn's speaker, a fact's entities and topics."""
    if needs_context(memory):
        speaker = speaker_of(memory)
        return (speaker,) if speaker else ()
    return (*memory.entities, *memory.topics)


def _date(moment: datetime) -> str:
    return f"{moment.day} {moment:%B %Y}"
