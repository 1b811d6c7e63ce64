"""What of the processes' logs reaches the terminal."""

from __future__ import annotations

import time

import pytest

from app import log_follower
from app.log_follower import LogFollower, alarming


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('{"event": "started", "level": "info"}', None),
        ('{"event": "an error was avoided", "level": "info"}', None),
        ('{"event": "slow", "level": "warning"}', "warning: slow"),
        (
            '{"event": "boom", "level": "error", "exception": "Traceback\\n  File x\\nValueError: no"}',
            "error: boom (ValueError: no)",
        ),
        ("[2026-11-24 15:07:06 +0000] [1] [INFO] Booting worker", None),
        (
            "[2026-11-24 15:07:06 +0000] [1] [ERROR] Worker failed",
            "[2026-11-24 15:07:06 +0000] [1] [ERROR] Worker failed",
        ),
        ("ValueError: no", "ValueError: no"),
        ("  File x, line 3", None),
        ("{broken", None),
    ],
)
def test_only_warnings_and_worse_are_shown(line, shown):
    assert alarming(line) == shown


def wait_for(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_follows_from_the_present_end_and_waits_for_whole_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(log_follower, "POLL_SECONDS", 0.02)
    log = tmp_path / "web.log"
    log.write_text("ERROR of yesterday\n")
    seen: list[tuple[str, str]] = []
    follower = LogFollower(tmp_path, lambda name, line: seen.append((name, line)))
    follower.start()
    try:
        with log.open("a") as out:
            out.write("ERROR of to")
            out.flush()
            time.sleep(0.1)
            assert seen == []
            out.write("day\nall is well\n")
        wait_for(lambda: seen)
        assert seen == [("web", "ERROR of today")]
        (tmp_path / "worker.log").write_text("CRITICAL also new files\n")
        wait_for(lambda: len(seen) == 2)
    finally:
        follower.stop()


def test_a_large_log_is_set_aside_and_carries_on(tmp_path, monkeypatch):
    monkeypatch.setattr(log_follower, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(log_follower, "MAX_BYTES", 1000)
    log = tmp_path / "web.log"
    seen: list[str] = []
    follower = LogFollower(tmp_path, lambda name, line: seen.append(line))
    follower.start()
    try:
        with log.open("ab") as out:  # as the processes have it: open, appending
            out.write(b"all is well\n" * 200)
            out.flush()
            wait_for(lambda: (tmp_path / "web.log.1").exists() and log.stat().st_size == 0)
            out.write(b"ERROR afterwards\n")
            out.flush()
        wait_for(lambda: seen == ["ERROR afterwards"])
    finally:
        follower.stop()
