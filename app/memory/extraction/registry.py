"""The strategies of a deployment by name."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence

from app.memory.extraction.base import ExtractionStrategy
from app.memory.extraction.custom import Custom
from app.memory.extraction.discrete import Discrete
from app.memory.extraction.preferences import Preferences
from app.memory.extraction.summary import ThreadSummary

BUILT_IN: tuple[type[ExtractionStrategy], ...] = (Discrete, ThreadSummary, Preferences, Custom)


def load_strategies(paths: Sequence[str] = ()) -> Mapping[str, ExtractionStrategy]:
    """The built-in strategies, and those at dotted paths like `package.module:Class`; a later name wins.

    Raises ValueError for a path that names no strategy: a deployment must not start without one it asks for.
    """
    found: dict[str, ExtractionStrategy] = {kind.name: kind() for kind in BUILT_IN}
    for path in paths:
        module, _, name = path.partition(":")
        try:
            strategy: ExtractionStrategy = getattr(importlib.import_module(module), name)()
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"EXTRACTION_STRATEGIES: {path!r} cannot be loaded: {error}") from error
        if not all(hasattr(strategy, part) for part in ("name", "version", "problems", "distil", "finish")):
            raise ValueError(f"EXTRACTION_STRATEGIES: {path!r} is no extraction strategy (see app/memory/extraction)")
        found[strategy.name] = strategy
    return found
