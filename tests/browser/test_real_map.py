"""The topic map of a real fit, in a real browser: a minute, not part of `make test`.

.venv/bin/python -m pytest tests/browser/test_real_map.py -m quality
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.browser.explorer import Explorer
from tests.quality.topics_gold import FIRST, generate
from tests.support.api import Api
from tests.support.builders import a_memory, ago, unique
from tests.support.stack import private_stack

pytest.importorskip("playwright.sync_api")
from playwright.sync_api import BrowserContext, expect

pytestmark = [pytest.mark.quality, pytest.mark.timeout(400)]


def test_three_hundred_memories_are_fitted_from_the_page_and_shown(tab: BrowserContext) -> None:
    pairs = generate({name: FIRST[name] for name in list(FIRST)[:6]}, per_theme=50)
    settings = {"TASK_TIME_LIMIT_SECONDS": "180", "BROKER_VISIBILITY_TIMEOUT_SECONDS": "200"}
    with private_stack(TOPIC_MIN_MEMORIES="200", **settings) as stack:
        api = Api(stack.http, unique("map"))
        memories = [a_memory(text, created_at=ago(days=len(pairs) - n)) for n, (text, _theme) in enumerate(pairs)]
        assert (
            api.wait_for_task(api.create(*memories, deduplicate=False, user_id="maya")["task_id"], 200)["status"]
            == "success"
        )
        explorer = Explorer(tab.new_page(), stack.base_url, api.namespace)
        page = explorer.open("map")
        page.get_by_role("button", name="Fit topics now").click()
        # The page follows the fit and shows the map when it is there.
        expect(page.locator("circle").first).to_be_visible(timeout=200_000)
        expect(page.locator("circle")).to_have_count(len(pairs))
        topics = page.get_by_role("list", name="Topics").get_by_role("button")
        sizes = sorted((int(re.findall(r"\d+", one)[-1]) for one in topics.all_inner_texts()), reverse=True)
        assert sum(sizes[:6]) > 0.8 * len(pairs), "the six themes are most of the map"
        inside: Any = page.evaluate(
            "() => { const box = document.querySelector('svg.map').getBoundingClientRect();"
            "return [...document.querySelectorAll('circle')].every((c) => { const r = c.getBoundingClientRect();"
            "return r.left >= box.left && r.right <= box.right && r.top >= box.top && r.bottom <= box.bottom; }); }"
        )
        assert inside
        page.locator("circle").nth(7).hover(force=True)
        explorer.screenshot("real-map")
        page.get_by_role("slider").fill("100")
        expect(page.locator("circle:visible")).to_have_count(100)
        topics.first.click()
        page.get_by_role("button", name="Zoom in").click()
        explorer.screenshot("real-map-zoomed")
        page.emulate_media(color_scheme="dark")
        page.get_by_role("button", name="Whole map").click()
        topics.first.click()
        page.get_by_role("slider").fill(str(len(pairs)))
        explorer.screenshot("real-map-dark")
        page.set_viewport_size({"width": 360, "height": 740})
        assert not explorer.wider_than_the_window()
        explorer.screenshot("real-map-phone")
        page.set_viewport_size({"width": 1180, "height": 860})
        page.locator("circle").first.dispatch_event("click")
        expect(page).to_have_url(re.compile("#/memory/"))
        expect(page.locator(".card").first).to_be_visible()
        assert explorer.errors == []
