"""One running summary per thread, kept up to date (wire contract 6.2)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.memory.extraction.base import Extractor, PlainStrategy
from app.memory.models import Candidate, ExtractionWindow, Memory, MemoryType, Message, SessionRef

MAX_WORDS = 500
VERSION = "thread-summary-v1"
TOPIC = "thread-summary"


def thread_summary_id(session: SessionRef) -> str:
    """The one id of a thread's summary."""
    named = "|".join((session.scope.namespace or "", session.scope.user_id or "", session.session_id))
    return f"thread_summary_{hashlib.sha256(named.encode('utf-8', 'surrogatepass')).hexdigest()[:24]}"


def thread_fingerprint(messages: Sequence[Message]) -> str:
    """SHA-256 over what was said by whom and when."""
    said = "\x1e".join("\x1f".join((m.id, m.created_at.isoformat(), m.role, m.content)) for m in messages)
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()


def _version(config: Mapping[str, Any]) -> str:
    return str(config.get("summary_version") or VERSION)


class ThreadSummary(PlainStrategy):
    """The previous summary and the new messages become the next summary, so the cost grows with what is new."""

    name = "summary"
    version = VERSION

    def problems(self, config: Mapping[str, Any], *, with_model: bool) -> list[str]:
        """A length that is no positive number, topics that are no texts."""
        found = []
        words = config.get("max_summary_length", MAX_WORDS)
        if not isinstance(words, int) or isinstance(words, bool) or words < 1:
            found.append("max_summary_length must be a positive number of words")
        topics = config.get("topics") or []
        if not isinstance(topics, list) or not all(isinstance(t, str) and "," not in t for t in topics):
            found.append("topics must be a list of texts without commas")
        return found

    def distil(self, window: ExtractionWindow, extractor: Extractor) -> list[Candidate]:
        """One candidate: the summary; none when nothing changed since the last one."""
        config, previous = window.strategy.config, window.previous
        thread = window.thread or window.new
        metadata = _provenance(window, thread)
        known = previous.metadata if previous is not None else {}
        same = ("source_message_fingerprint", "summary_version")
        if previous is not None and all(known.get(name) == metadata[name] for name in same):
            return []
        text = extractor.summarize(window, max_words=int(config.get("max_summary_length", MAX_WORDS))).strip()
        if not text:
            return []
        topics = {*(config.get("topics") or ()), TOPIC}
        return [
            Candidate(
                text=text,
                extracted_from=tuple(metadata["source_message_ids"]),
                memory_type=MemoryType.SEMANTIC,
                topics=tuple(sorted(topics)),
                created_at=previous.created_at if previous else None,
                metadata=metadata,
            )
        ]

    def finish(self, memory: Memory, window: ExtractionWindow) -> Memory:
        """The fixed id."""
        return replace(memory, id=thread_summary_id(window.session))


def _provenance(window: ExtractionWindow, thread: Sequence[Message]) -> dict[str, Any]:
    """Which messages the summary rests on; those of earlier runs that have left the session count as well."""
    known = window.previous.metadata if window.previous is not None else {}
    ids = list(dict.fromkeys((*known.get("source_message_ids", ()), *(m.id for m in thread))))
    times = [m.created_at.isoformat() for m in thread]
    times += [known[n] for n in ("source_created_at_min", "source_created_at_max") if known.get(n)]
    return {
        "source_session_id": window.session.session_id,
        "message_count": len(ids),
        "source_message_ids": ids,
        "source_created_at_min": min(times),
        "source_created_at_max": max(times),
        "source_message_fingerprint": thread_fingerprint(thread),
        "summary_version": _version(window.strategy.config),
    }
