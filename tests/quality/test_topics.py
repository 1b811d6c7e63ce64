"""Topics and entities against the labelled sets, with the real models: minutes, not part of `make test`.

HF_HUB_OFFLINE=1 .venv/bin/python -m pytest tests/quality/test_topics.py -m quality -s
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sklearn.metrics import normalized_mutual_info_score

from tests.quality import entities, topics
from tests.quality.topics_gold import FIRST, generate
from tests.support.api import Api
from tests.support.builders import unique
from tests.support.stack import Stack, private_stack
from tests.support.waiting import wait_until

pytestmark = pytest.mark.quality
BATCH = 110


@pytest.mark.parametrize("name", ["first", "second"])
def test_fitted_topics_agree_with_the_themes(name: str) -> None:
    quality = topics.measure(name)
    print("\n" + quality.line(name))
    assert quality.nmi >= 0.75
    assert quality.outliers <= 0.15
    assert quality.strangers_rejected >= 0.5
    assert quality.assign_ms < 5


def test_entities_are_found_and_told_apart() -> None:
    scores = entities.measure()
    for kind, (precision, recall, f1) in scores.items():
        print(f"\n{kind:9} precision {precision:.3f}  recall {recall:.3f}  F1 {f1:.3f}", end="")
    assert scores["all"][2] >= 0.85
    assert all(scores[kind][2] >= 0.75 for kind in entities.KINDS)


def test_a_refit_under_load_through_the_api() -> None:
    """660 memories in, a fit, a second fit; searches, filters and topics are there all the time."""
    pairs = generate(FIRST, per_theme=55)
    settings = {"TASK_TIME_LIMIT_SECONDS": "120", "BROKER_VISIBILITY_TIMEOUT_SECONDS": "150"}
    with private_stack(TOPIC_MIN_MEMORIES="200", **settings) as stack:
        api = Api(stack.http, unique("topics"))
        started = time.perf_counter()
        tasks = [
            api.create(*(text for text, _ in pairs[start : start + BATCH]), user_id="u", deduplicate=False)["task_id"]
            for start in range(0, len(pairs), BATCH)
        ]
        for task_id in tasks:
            assert api.wait_for_task(task_id, 300)["status"] == "success"
        print(f"\nimported {len(pairs)} memories in {time.perf_counter() - started:.1f} s")
        before = _memory_by_process(stack)
        peak = _refit(stack, api, len(pairs))
        after = _memory_by_process(stack)
        themes = dict(pairs)
        found = _all_memories(api)
        first = [m["topics"][0] for m in found]
        nmi = float(normalized_mutual_info_score([themes[m["text"]] for m in found], first))
        print(f"NMI of the first topics through the API: {nmi:.3f}, {len(set(first))} different ones")
        shown = stack.http.get("/v1/topics", params={"namespace": api.namespace, "limit": 20}).json()
        print(", ".join(f"{t['topic']} {t['count']}" for t in shown["topics"]))
        assert nmi >= 0.75
        points = stack.http.get("/v1/topics/map", params={"namespace": api.namespace}).json()["points"]
        assert len(points) == len(pairs)
        api.create("Ingrid planted tulip bulbs in the garden", user_id="u")
        print("a new memory:", wait_until(lambda: _topics_of(api, "Ingrid planted tulip bulbs"), 30, "it has topics"))
        peak = max(peak, _refit(stack, api, len(pairs) + 1))
        assert stack.http.get("/v1/topics", params={"namespace": api.namespace}).json()["model"]["version"] == 2
        print(f"PSS in MB before a fit {before}, after {after}; peak of the process that fits {peak:.0f}")
        for name in ("web", "beat"):
            assert not _maps(stack, name, "llvmlite"), f"{name} has loaded numba"
        assert not _maps(stack, "worker", "llvmlite"), "a worker kept numba"


def _topics_of(api: Api, text: str) -> Any:
    hit = api.memories(text, limit=1)[0]
    return hit["topics"] if hit["text"].startswith(text) else None


def _refit(stack: Stack, api: Api, count: int) -> float:
    """Refit while searching; the largest memory in MB of the process that fits."""
    answer = stack.http.post("/v1/topics/refit", json={"namespace": api.namespace})
    assert answer.status_code == 200, answer.text
    (task,) = answer.json()["tasks"]
    done = threading.Event()
    slowest, searches = 0.0, 0
    problems: list[str] = []

    def search() -> None:
        nonlocal slowest, searches
        while not done.is_set():
            started = time.perf_counter()
            page = api.search("something about the garden", limit=100, user_id={"eq": "u"})
            slowest, searches = max(slowest, time.perf_counter() - started), searches + 1
            problems.extend(m["id"] for m in page["memories"] if not m["topics"])
            if page["total"] != count:
                problems.append(f"total {page['total']}")

    worker = threading.Thread(target=search)
    worker.start()
    peak, started = 0.0, time.perf_counter()
    try:
        while (state := api.task(task["id"]))["status"] in ("pending", "running"):
            assert time.perf_counter() - started < 400, state
            peak = max(peak, _fitting_mb())
            time.sleep(0.2)
    finally:
        done.set()
        worker.join()
    assert state["status"] == "success", state
    assert not problems, problems[:5]
    took = time.perf_counter() - started
    print(
        f"refit in {took:.1f} s: {state['topics']} topics, {state['memories_changed']} memories changed; "
        f"{searches} searches meanwhile, the slowest {1000 * slowest:.0f} ms"
    )
    return peak


def _all_memories(api: Api) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    offset: int | None = 0
    while offset is not None:
        page = api.search(limit=100, offset=offset)
        found += page["memories"]
        offset = page["next_offset"]
    return found


def _tree(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(grandchild for child in children for grandchild in _tree(int(child)))]


def _pss_mb(pid: int) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(next(line.split()[1] for line in rollup.splitlines() if line.startswith("Pss:"))) / 1024


def _memory_by_process(stack: Stack) -> dict[str, list[int]]:
    """Proportional set size of each process of each type, the parent first."""
    return {
        name: [round(_pss_mb(pid)) for pid in _tree(process.pid)]
        for name, process in stack.processes.items()
        if process.poll() is None
    }


def _fitting_mb() -> float:
    sizes = [0.0]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"app.providers.topic_fit" in path.read_bytes():
                sizes.append(_pss_mb(int(path.parent.name)))
        except OSError:
            continue
    return max(sizes)


def _maps(stack: Stack, name: str, library: str) -> bool:
    return any(library in Path(f"/proc/{pid}/maps").read_text() for pid in _tree(stack.processes[name].pid))
