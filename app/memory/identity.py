"""Ids and hashes: what makes every step of the pipeline repeatable."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from datetime import datetime

from ulid import ULID

from app.memory.models import Memory, MemoryType, SessionRef


def new_id() -> str:
    """A fresh ULID: 26 characters, sortable by time."""
    return str(ULID())


def derived_id(moment: datetime, *parts: str) -> str:
    """A ULID that depends only on its arguments: the moment's milliseconds, then 80 bits of hash of the parts."""
    digest = hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).digest()[:10]
    milliseconds = max(0, int(moment.timestamp() * 1000))
    return str(ULID.from_bytes(milliseconds.to_bytes(6, "big") + digest))


def extracted_memory_id(session: SessionRef, sources: Sequence[str], text: str, moment: datetime) -> str:
    """The id of a memory distilled from messages: the same run repeated gives the same id."""
    scope = session.scope
    return derived_id(moment, scope.namespace or "", scope.user_id or "", session.session_id, *sorted(sources), text)


def normalised(text: str) -> str:
    """A text as compared for sameness: case, white space, Unicode form and end punctuation do not matter."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).rstrip(" .!,;")


def fingerprint(memory: Memory) -> str:
    """What says that two memories of one user are the same fact, whatever session it came from; "" for none.

    Messages have none: "yes" said twice is two messages. A differing event date makes a different fact.
    """
    if memory.memory_type is MemoryType.MESSAGE or memory.extraction_strategy == "summary":
        return ""
    date = memory.event_date.date().isoformat() if memory.event_date else ""
    said = f"{memory.memory_type}\x1f{date}\x1f{normalised(memory.text)}"
    return hashlib.blake2b(said.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def slot_mark(slot_key: str) -> str:
    """A single-valued attribute of a subject, as stored and looked up."""
    return hashlib.blake2b(slot_key.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
