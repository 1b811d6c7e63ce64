"""A fit of BERTopic in a process of its own.

Importing BERTopic costs half a minute and a gigabyte (numba, UMAP, torch), which a worker would keep for good. So the
worker writes the sample to a directory, runs `python -m app.providers.topic_fit` there, and reads what it found; the
memory goes back with the process. This module imports none of it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from app.child_process import kill_group, spawn
from app.memory.errors import BackendUnavailable, ModelFailure
from app.memory.topics.values import CorpusSample, FoundTopics

SAMPLE, FOUND, ARRAYS, MODEL = "sample.json", "found.json", "found.npz", "model"
_TAIL_CHARS = 2000
ALIVE_SECONDS = 20.0


class BertopicProcess:
    """Runs fits one at a time in child processes of low priority; they die with this process."""

    def __init__(self, *, timeout_seconds: float, environment: Mapping[str, str] | None = None) -> None:
        """`environment` names the embedding model, which need not be that of the settings."""
        self._timeout_seconds = timeout_seconds
        self._environment = environment or {}

    def fit(self, sample: CorpusSample, alive: Callable[[], object]) -> FoundTopics:
        """Find the topics of a sample; `alive` is called every few seconds meanwhile.

        Raises BackendUnavailable when BERTopic is not installed or the fit takes too long, ModelFailure when it fails.
        """
        if importlib.util.find_spec("bertopic") is None:
            raise BackendUnavailable(
                "BERTopic is not installed; run: pip install 'agent-memory-platform[local-models,topics]', "
                "or set TOPIC_MODEL_SOURCE=keywords"
            )
        with tempfile.TemporaryDirectory(prefix="agent-memory-topics-") as name:
            directory = Path(name)
            write_sample(directory, sample)
            self._run(directory, alive)
            return read_found(directory)

    def _run(self, directory: Path, alive: Callable[[], object]) -> None:
        environment = {**os.environ, **self._environment, "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
        log = directory / "log"
        with log.open("wb") as output:
            process = spawn(
                [sys.executable, "-m", "app.providers.topic_fit", str(directory)],
                env=environment,
                stdout=output,
                stderr=output,
            )
            try:
                code = self._wait(process, alive)
            finally:
                kill_group(process)
        if code != 0:
            tail = log.read_text(errors="replace")[-_TAIL_CHARS:].strip()
            raise ModelFailure(f"the fit ended with exit code {code}: {tail.splitlines()[-1] if tail else 'no output'}")

    def _wait(self, process: subprocess.Popen[bytes], alive: Callable[[], object]) -> int:
        deadline = time.monotonic() + self._timeout_seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                return process.wait(min(left, ALIVE_SECONDS))
            except subprocess.TimeoutExpired:
                alive()
        raise BackendUnavailable(f"the fit took longer than {self._timeout_seconds:.0f} s")


def write_sample(directory: Path, sample: CorpusSample) -> None:
    """Write what a fit works on."""
    np.save(directory / "vectors.npy", sample.vectors)
    stored = {"texts": sample.texts, "tenants": sample.tenants, "tenant_of": sample.tenant_of}
    (directory / SAMPLE).write_text(json.dumps(stored))


def read_sample(directory: Path) -> CorpusSample:
    """The inverse of `write_sample`."""
    stored = json.loads((directory / SAMPLE).read_text())
    return CorpusSample(vectors=np.load(directory / "vectors.npy"), **stored)


def write_found(directory: Path, found: FoundTopics) -> None:
    """Write what a fit found; the model's own files are in `MODEL` already."""
    np.savez(
        directory / ARRAYS,
        centroids=found.centroids,
        floors=found.floors,
        typical=found.typical,
        projection=found.projection,
        layout=found.layout,
    )
    named = {"phrases": found.phrases, "sizes": found.sizes, "examples": found.examples}
    (directory / FOUND).write_text(json.dumps(named))


def read_found(directory: Path) -> FoundTopics:
    """The inverse of `write_found`, with the model's files."""
    with np.load(directory / ARRAYS) as stored:
        arrays = {name: stored[name] for name in stored.files}
    named: dict[str, Any] = json.loads((directory / FOUND).read_text())
    files = {path.name: path.read_bytes() for path in sorted((directory / MODEL).iterdir())}
    return FoundTopics(**arrays, **{name: _numbered(value) for name, value in named.items()}, files=files)


def _numbered(stored: Mapping[str, Mapping[str, Any]]) -> dict[int, dict[int, Any]]:
    return {int(tenant): {int(k): _value(v) for k, v in topics.items()} for tenant, topics in stored.items()}


def _value(value: Any) -> Any:
    return tuple(value) if isinstance(value, Sequence) else value
