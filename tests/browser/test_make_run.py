"""The explorer over what `make run` starts, with the demo's data: every view, light, dark and on a phone.

.venv/bin/python -m pytest tests/browser/test_make_run.py -m load      # screenshots: build/explorer/run-*.png
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.child_process import kill_group, spawn
from tests.browser.explorer import Explorer
from tests.support.stack import BIN, free_port
from tests.support.waiting import wait_until

pytest.importorskip("playwright.sync_api")
from playwright.sync_api import Browser, BrowserContext, expect

pytestmark = [pytest.mark.load, pytest.mark.timeout(400)]


@pytest.fixture
def running(browser: Browser, tmp_path: Path) -> Iterator[str]:
    """Base URL of `agent-memory up`, which is what `make run` starts."""
    names = ("PORT", "FLOWER_PORT", "MCP_PORT", "WORKER_METRICS_PORT")
    ports = {name: str(free_port()) for name in names}
    environment = {
        **os.environ, **ports, "DATA_DIR": str(tmp_path), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    environment.pop("REDIS_URL", None)
    url = f"http://127.0.0.1:{ports['PORT']}"
    with (tmp_path / "up.txt").open("wb") as said:
        up = spawn([str(BIN / "agent-memory"), "up"], env=environment, stdout=said, stderr=said)
        try:
            wait_until(lambda: _ready(url), 180, "make run is ready")
            played = subprocess.run(
                [BIN / "agent-memory", "demo", "--url", url],
                env={**environment, "COLUMNS": "200"}, capture_output=True, text=True, timeout=200,
            )  # fmt: skip
            assert played.returncode == 0, played.stdout + played.stderr
            found = re.search(r"namespace (demo-\w+), user (\w+)", played.stdout)
            assert found, played.stdout
            yield f"{url} {found[1]} {found[2]}"
        finally:
            up.terminate()
            up.wait(60)
            kill_group(up)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def test_every_view_of_the_demo(running: str, tab: BrowserContext) -> None:
    url, namespace, user = running.split()
    explorer = Explorer(tab.new_page(), url, namespace)
    page = explorer.open("search", text="What should I not cook for Anna and Maya?")
    expect(page.locator(".hit").first).to_be_visible()
    explorer.screenshot("run-search")
    page.locator(".hit a").first.click()
    expect(page.get_by_role("region", name="Where it comes from").get_by_role("link").first).to_be_visible()
    page.get_by_role("button", name="Edit").click()
    text = page.get_by_label("Text").input_value()
    page.get_by_label("Text").fill(text.replace("walnuts", "all nuts") + " (checked)")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("region", name="History").locator("ins").first).to_be_visible()
    explorer.screenshot("run-memory")
    memory = page.url.partition("#/")[2]
    page.get_by_role("region", name="Where it comes from").get_by_role("link").first.click()
    expect(page.get_by_role("list", name="Memories from this message").first).to_be_visible()
    expect(page.get_by_role("list", name="Steps").get_by_role("listitem")).to_have_count(8)
    explorer.screenshot("run-session")
    session = page.url.partition("#/")[2]
    explorer.open("map")
    explorer.screenshot("run-map")
    explorer.open("overview")
    expect(page.locator("[aria-busy]")).to_have_count(0)
    page.screenshot(path=explorer.screenshot("run-overview"), full_page=True)

    for theme, size in (("dark", (1180, 860)), ("light", (390, 800)), ("dark", (390, 800))):
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": size[0], "height": size[1]})
        for name, view in (("search", "search"), ("memory", memory), ("session", session), ("map", "map"),
                           ("overview", "overview")):  # fmt: skip
            page.goto("about:blank")
            page.goto(f"{url}/explorer#/{view}")
            page.locator("h2").wait_for()
            expect(page.locator("[aria-busy]")).to_have_count(0)
            page.wait_for_load_state("networkidle")
            assert explorer.accessibility_problems("color-contrast") == [], (view, theme)
            assert not explorer.wider_than_the_window(), view
            assert explorer.words_of_nothing() == [], view
            page.screenshot(path=explorer.screenshot(f"run-{name}-{theme}-{size[0]}"), full_page=True)

    page.set_viewport_size({"width": 1180, "height": 860})
    explorer.open(memory)
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("This memory is deleted")).to_be_visible()
    explorer.open("overview")
    page.get_by_label("User").fill(user)
    page.get_by_role("button", name="Apply").click()
    page.get_by_role("button", name=f"Erase user {user}").click()
    page.get_by_role("dialog").get_by_role("button", name="Erase").click()
    expect(page.get_by_text("Erased, and verified.")).to_be_visible()
    explorer.open("search")
    expect(page.get_by_text("Nothing found")).to_be_visible()
    assert explorer.errors == []
