"""What a person does with the explorer, for its tests."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tests.support.stack import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

BUILD = ROOT / "build" / "explorer"


class Explorer:
    """The page, and what its console complained about."""

    def __init__(self, page: Page, base_url: str, namespace: str) -> None:
        self.page = page
        self.base_url = base_url.rstrip("/")
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda said: self._said(said.type, said.text))
        kept = f"sessionStorage.setItem('explorer.namespace', {json.dumps(namespace)})"
        page.add_init_script(
            f"if (location.protocol === 'http:' && sessionStorage.getItem('explorer.namespace') === null) {kept}"
        )

    def _said(self, kind: str, text: str) -> None:
        # The browser itself reports every answer of 4xx and 5xx; what the page makes of them is tested.
        if kind in ("error", "warning") and "Failed to load resource" not in text:
            self.errors.append(text)

    def open(self, view: str, **query: str) -> Page:
        """Go to a view, as a bookmark would."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.base_url}/explorer#/{view}" + (f"?{urlencode(query)}" if query else ""))
        self.page.locator("h2").wait_for()
        return self.page

    def main(self) -> Locator:
        """The part of the page that changes."""
        return self.page.locator("main")

    def screenshot(self, name: str) -> Path:
        """Keep how it looks under `build/explorer`."""
        path = BUILD / f"{name}.png"
        self.page.screenshot(path=path)
        return path

    def accessibility_problems(self, *rules: str) -> list[dict[str, Any]]:
        """What axe-core finds wrong with the page as it is now, by all of its rules or only some."""
        from axe_playwright_python.sync_playwright import Axe

        options = {"runOnly": list(rules)} if rules else {}
        found = Axe().run(self.page, options=options).response["violations"]
        return [
            {"id": one["id"], "help": one["help"], "where": [node["html"][:120] for node in one["nodes"][:3]]}
            for one in found
        ]

    def words_of_nothing(self) -> list[str]:
        """What a missing value looks like when it is put in as text."""
        return re.findall(r"\b(?:null|undefined|NaN|\[object \w+\])", self.main().inner_text())

    def wider_than_the_window(self) -> bool:
        """Whether one would have to scroll sideways."""
        script = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        return bool(self.page.evaluate(script))
