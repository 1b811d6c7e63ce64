"""The explorer of a server that asks for tokens and has no worker: refusals, faults, a promotion step by step, a fit.

Nothing is stubbed: the tests stop Redis, and run the pipeline's steps themselves, so that each state holds long enough
to be seen.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from app.memory.models import Memory, Scope, SessionRef
from app.memory.permissions import Access
from app.memory.topics.assignment import with_labels
from app.memory.topics.values import Source
from tests.browser.explorer import Explorer
from tests.browser.own_server import OwnServer, own_server
from tests.support.builders import unique
from tests.support.engine import START, fact, promote_by_hand

pytest.importorskip("playwright.sync_api")
from playwright.sync_api import Browser, BrowserContext, Page, expect

VIEWS = ("search", "memory/m", "session", "map", "overview")


@pytest.fixture(scope="module")
def server(browser: Browser) -> Iterator[OwnServer]:
    """The browser comes first: without one, nothing is started."""
    with own_server() as server:
        yield server


@pytest.fixture
def explorer(tab: BrowserContext, server: OwnServer, namespace: str) -> Iterator[Explorer]:
    explorer = Explorer(tab.new_page(), server.base_url, namespace)
    yield explorer
    explorer.page.close()
    assert explorer.errors == []


def stored(server: OwnServer, *memories: Memory) -> None:
    """Store memories as a create does, in vectors that need no model."""
    vectors = np.eye(len(memories), 384, dtype=np.float32)
    server.engine.consolidation.store(list(memories), vectors, deduplicate=False, actor="client")


def use(page: Page, token: str, namespace: str | None = None) -> None:
    """Fill in the form at the top."""
    page.get_by_label("Token").fill(token)
    if namespace is not None:
        page.get_by_label("Namespace").fill(namespace)
    page.get_by_role("button", name="Apply").click()


def test_a_limited_token_sees_what_it_may_and_is_told_what_it_may_not(
    explorer: Explorer, server: OwnServer, namespace: str
) -> None:
    stored(server, replace(fact("bees", "Alice keeps bees"), namespace=namespace))
    for view in VIEWS:
        page = explorer.open(view)
        alert = page.get_by_role("alert").first
        expect(alert).to_contain_text("A token is needed")
        expect(alert).to_contain_text("Token field")
    expect(page.locator(".tile", has_text="Memories")).to_have_count(0)

    use(page, server.token(Access.READ, namespace))
    expect(page.locator(".tile", has_text=re.compile("^Memories"))).to_contain_text("1")
    expect(page.get_by_role("region", name="Verdict, Memories, Meaning")).to_contain_text("New")
    expect(page.get_by_role("region", name="Language models").get_by_role("alert")).to_contain_text("may not")
    page.get_by_role("link", name="Search").click()
    page.get_by_role("link", name="Alice keeps bees").click()
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Text").fill("Alice keeps wasps")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("This token may not do that")
    # What cannot be saved is not lost.
    expect(page.get_by_label("Text")).to_have_value("Alice keeps wasps")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("alert")).to_contain_text("This token may not do that")
    assert server.engine.records.find(["bees"], namespace=namespace, user_id="u")[0]

    use(page, server.token(Access.READ, namespace), unique("others"))
    for view in ("search", "session", "map", "overview"):
        page.goto(f"{explorer.base_url}/explorer#/{view}")
        alert = page.locator("main").get_by_role("alert").first
        expect(alert).to_contain_text("This token may not do that")
        expect(alert).to_contain_text("namespace, user and permissions")


def test_a_promotion_is_shown_step_by_step(explorer: Explorer, server: OwnServer, namespace: str) -> None:
    session = SessionRef(Scope(namespace, "maya"), unique("settling-in"))
    promotion = promote_by_hand(server.engine, session, "I work as a carpenter in Porto.", "My sister Anna has a dog.")
    page = explorer.open(f"session/{session.session_id}", namespace=namespace, user_id="maya")
    use(page, server.token(Access.WRITE, namespace))
    expect(explorer.main()).to_contain_text("2 of 2 wait for the pipeline")
    page.get_by_role("button", name="Promote now").click()
    steps = page.get_by_role("list", name="Steps").get_by_role("listitem")
    expect(steps).to_have_count(8)
    expect(page.get_by_role("region", name="Pipeline")).to_contain_text("pending")
    expect(steps.locator("text=waiting")).to_have_count(8)
    promotion("extract", "ground", "entities")
    expect(steps.locator("text=done")).to_have_count(3)
    expect(steps.first).to_contain_text(re.compile(r"extract\s+done\s+\d+\.\d\d s"))
    expect(page.get_by_role("region", name="Pipeline")).to_contain_text("running")
    assert explorer.words_of_nothing() == []
    explorer.screenshot("steps")
    promotion("embed", "topics", "deduplicate", "index", "acknowledge")
    expect(steps.locator("text=done")).to_have_count(8)
    expect(page.get_by_role("region", name="Pipeline")).to_contain_text("success")
    expect(explorer.main()).to_contain_text("all looked at")
    expect(page.get_by_role("list", name="Memories from this message").first).to_be_visible()
    expect(page.get_by_role("button", name="Promote now")).to_be_disabled()


def test_the_map_has_dots_a_legend_a_time_slider_and_keys(
    explorer: Explorer, server: OwnServer, namespace: str
) -> None:
    def placed(n: int) -> Memory:
        memory = replace(
            fact(f"p/{n}", f"Memory number {n}"),
            namespace=namespace, user_id="maya", created_at=START + timedelta(days=n),
            map_position=(math.cos(n) * 0.8, math.sin(n) * 0.8),
        )  # fmt: skip
        topic = ["tea", "bicycles", None][n % 3]
        return with_labels(memory, [topic] if topic else [], source=Source.BERTOPIC)

    unplaced = [replace(fact(f"q{n}", f"Later {n}"), namespace=namespace, user_id="maya") for n in range(5)]
    page = explorer.open("map")
    use(page, server.token(Access.READ, namespace))
    expect(page.get_by_text("Nothing to map")).to_be_visible()
    stored(server, *unplaced)
    explorer.open("map")
    expect(page.get_by_text("5 memories, none on the map yet")).to_be_visible()
    page.get_by_role("button", name="Fit topics now").click()
    expect(page.get_by_role("alert")).to_contain_text("may not")
    stored(server, *map(placed, range(20)))
    explorer.open("map")
    expect(page.locator("circle")).to_have_count(20)
    expect(page.get_by_text("20 of 25 memories have a place")).to_be_visible()
    page.locator("circle").first.hover()
    expect(page.locator(".about")).to_contain_text("Memory number 0")
    page.locator("svg.map").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".about")).to_contain_text("Memory number 1")
    explorer.screenshot("map")
    box = page.locator("svg.map").get_attribute("viewBox")
    page.get_by_role("button", name="Zoom in").click()
    assert page.locator("svg.map").get_attribute("viewBox") != box
    page.get_by_role("button", name="Whole map").click()
    assert page.locator("svg.map").get_attribute("viewBox") == box
    expect(page.get_by_role("slider")).to_have_value("20")
    page.get_by_role("slider").fill("5")
    expect(page.locator("circle:visible")).to_have_count(5)
    page.get_by_role("button", name="tea 7").click()
    assert page.locator("circle.faded").count() == 13
    page.locator("svg.map").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#/memory/p%2F1"))
    expect(page.locator(".card").first).to_contain_text("Memory number 1")


def test_a_part_of_the_server_that_is_away_is_told_with_what_to_do(
    explorer: Explorer, server: OwnServer, namespace: str
) -> None:
    page = explorer.open("search")
    use(page, server.token(Access.READ, namespace))
    expect(page.get_by_text("Nothing found")).to_be_visible()
    server.redis.stop()  # the last test of this module: it does not come back
    for view in VIEWS:
        alert = explorer.open(view).get_by_role("alert").first
        expect(alert).to_contain_text("A part of the server is away")
        expect(alert).to_contain_text("Try again")
