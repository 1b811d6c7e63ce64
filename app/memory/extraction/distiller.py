"""Extraction and grounding as the pipeline sees them: strategy, backend, support check, repair, verification."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from app.memory.extraction.base import ExtractionStrategy, Extractor
from app.memory.extraction.summary import ThreadSummary
from app.memory.extraction.support import screen, screen_passage
from app.memory.grounding.dates import single_date
from app.memory.grounding.verify import verify, verify_passage
from app.memory.models import Candidate, ExtractionWindow, Memory, MemoryType

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Distilled:
    """Candidates, and how many were left out for which reason."""

    candidates: tuple[Candidate, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)


class Distiller:
    """The two first steps of promotion, without the storing: the same for every backend and strategy."""

    def __init__(
        self, extractor: Extractor, strategies: Mapping[str, ExtractionStrategy], *, keep_ungrounded: bool = False
    ) -> None:
        self._extractor = extractor
        self._strategies = strategies
        self._keep_ungrounded = keep_ungrounded

    def extract(self, window: ExtractionWindow) -> Distilled:
        """What the window's strategy wants from it and the conversation supports.

        Raises BackendUnavailable and ModelFailure: messages that could not be read are never taken for done.
        """
        strategy = self._strategy(window)
        found = strategy.distil(window, self._extractor)
        held_back: Counter[str] = Counter()
        if _is_summary(strategy):
            passages = [(c, *screen_passage(window, c.text)) for c in found]
            found = [replace(c, text=text) for c, text, _ in passages if text]
            held_back = sum((held for *_, held in passages), Counter())
        else:
            screened = screen(window, found)
            found, held_back = screened.candidates, screened.held_back
        if held_back:
            log.info("candidates held back", session=window.session.session_id, **held_back)
        proof = {"model": self._extractor.model_id, "prompt_version": strategy.version}
        return Distilled(
            tuple(replace(c, metadata={**c.metadata, **proof}) for c in found),
            {f"held back: {reason}": count for reason, count in held_back.items()},
        )

    def ground(self, window: ExtractionWindow, candidates: Sequence[Candidate]) -> Distilled:
        """The candidates that stand on their own, repaired where needed.

        What still points outside itself is dropped, or kept with `grounded: false` where the deployment wants that.
        """
        strategy = self._strategy(window)
        summary = _is_summary(strategy)
        repaired = list(candidates) if summary else self._extractor.repair(window, candidates)
        kept: list[Candidate] = []
        left_out: Counter[str] = Counter()
        # A repair may bring names in, but only those of the conversation.
        changed = [c for c, before in zip(repaired, candidates, strict=True) if c.text != before.text]
        unproven = {c.text for c in changed} - {c.text for c in screen(window, changed).candidates}
        for candidate in repaired:
            problems = verify_passage(candidate.text) if summary else verify(candidate.text)
            if candidate.text in unproven:
                left_out["unsupported after repair"] += 1
            elif any(candidate.text == other.text for other in kept):
                left_out["repeated"] += 1
            elif not problems:
                kept.append(candidate if summary else _with_event_date(candidate))
            elif self._keep_ungrounded or summary:
                kept.append(replace(candidate, metadata={**candidate.metadata, "grounded": False}))
            else:
                left_out["ungrounded"] += 1
                log.info("candidate not grounded", session=window.session.session_id, problems=problems[:3])
        return Distilled(tuple(kept), left_out)

    def finish(self, memory: Memory, window: ExtractionWindow) -> Memory:
        """The strategy's last word on a record."""
        return self._strategy(window).finish(memory, window)

    def _strategy(self, window: ExtractionWindow) -> ExtractionStrategy:
        """The window's strategy; the default one for a name that this deployment no longer knows."""
        known = self._strategies.get(window.strategy.name)
        if known is None:
            log.warning("unknown strategy", name=window.strategy.name, session=window.session.session_id)
        return known or self._strategies["discrete"]


def _is_summary(strategy: ExtractionStrategy) -> bool:
    return isinstance(strategy, ThreadSummary)


def _with_event_date(candidate: Candidate) -> Candidate:
    """A one-off event that names one day happened on that day."""
    if candidate.event_date is None and candidate.memory_type is MemoryType.EPISODIC:
        return replace(candidate, event_date=single_date(candidate.text))
    return candidate
