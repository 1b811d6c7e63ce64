"""The process that fits: what goes in and out of it, and what happens when it fails. BERTopic itself is not needed."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from app.memory.errors import BackendUnavailable, ModelFailure
from app.memory.topics.values import CorpusSample, FoundTopics
from app.providers import topic_process
from app.providers.topic_process import BertopicProcess, read_found, read_sample, write_found, write_sample

SAMPLE = CorpusSample(["one", "zwei €"], [None, "ns"], [0, 1], np.eye(2, 4, dtype=np.float32))


def fake_fit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str) -> None:
    """Let `python -m app.providers.topic_fit` be this code."""
    script = tmp_path / "python"
    script.write_text(f"#!{sys.executable}\nimport sys, time, os\n{code}\n")
    script.chmod(0o755)
    monkeypatch.setattr(topic_process.sys, "executable", str(script))


def test_a_sample_comes_back_as_it_was(tmp_path: Path) -> None:
    write_sample(tmp_path, SAMPLE)
    back = read_sample(tmp_path)
    assert (back.texts, back.tenants, back.tenant_of) == (SAMPLE.texts, SAMPLE.tenants, SAMPLE.tenant_of)
    np.testing.assert_array_equal(back.vectors, SAMPLE.vectors)


def test_what_was_found_comes_back_as_it_was(tmp_path: Path) -> None:
    found = FoundTopics(
        centroids=np.eye(2, 4, dtype=np.float32),
        floors=np.array([0.5, 0.6], np.float32),
        typical=np.array([0.7, 0.8], np.float32),
        projection=np.zeros((5, 2), np.float32),
        phrases={0: {1: ["a", "b"]}},
        sizes={0: {1: 7}},
        examples={0: {1: [3, 4]}},
        layout=np.zeros((2, 2), np.float32),
    )
    write_found(tmp_path, found)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "topics.json").write_bytes(b"{}")
    back = read_found(tmp_path)
    np.testing.assert_array_equal(back.centroids, found.centroids)
    assert (dict(back.phrases), dict(back.sizes)) == ({0: {1: ("a", "b")}}, {0: {1: 7}})
    assert (dict(back.examples), dict(back.files)) == ({0: {1: (3, 4)}}, {"topics.json": b"{}"})


def test_a_fit_that_fails_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_fit(monkeypatch, tmp_path, "print('first'); sys.exit('ValueError: no numbers')")
    with pytest.raises(ModelFailure, match="exit code 1: ValueError: no numbers"):
        BertopicProcess(timeout_seconds=30).fit(SAMPLE, lambda: None)


def test_a_fit_that_takes_too_long_is_killed_and_its_files_are_gone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    fake_fit(
        monkeypatch, tmp_path, f"open({str(said)!r}, 'w').write(f'{{os.getpid()}} {{sys.argv[3]}}'); time.sleep(60)"
    )
    monkeypatch.setattr(topic_process, "ALIVE_SECONDS", 0.2)
    beats: list[float] = []
    with pytest.raises(BackendUnavailable, match="longer than 2 s"):
        BertopicProcess(timeout_seconds=2).fit(SAMPLE, lambda: beats.append(time.monotonic()))
    assert len(beats) >= 3
    pid, directory = said.read_text().split()
    assert not Path(directory).exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


def test_without_bertopic_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_process.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(BackendUnavailable, match=r"local-models,topics"):
        BertopicProcess(timeout_seconds=2).fit(SAMPLE, lambda: None)
