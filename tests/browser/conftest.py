"""A real Chromium for the explorer, headless; the tests are skipped where there is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.browser.explorer import BUILD, Explorer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The browser: `CHROMIUM`, or the first known name on the PATH."""
    playwright = pytest.importorskip("playwright.sync_api")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        pytest.skip("no Chromium: install it (Debian: apt-get install chromium) or name it in CHROMIUM")
    # Closed with this folder's tests: while it lives its event loop runs, and no other test could run one.
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=path, headless=True, args=_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def tab(browser: Browser) -> Iterator[BrowserContext]:
    """Where tests open their tabs: they share the cache of files; what the page stores belongs to one tab only."""
    BUILD.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(viewport={"width": 1180, "height": 860}, locale="en-GB", timezone_id="UTC")
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def explorer(tab: BrowserContext, http: httpx.Client, namespace: str) -> Iterator[Explorer]:
    """The explorer in a fresh tab, looking at the test's namespace; errors in the page's console fail the test."""
    explorer = Explorer(tab.new_page(), str(http.base_url), namespace)
    yield explorer
    explorer.page.close()
    assert explorer.errors == []
