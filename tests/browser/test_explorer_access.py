"""The explorer of a server that asks for tokens: what it says without one, and with one that may only read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.auth.tokens import describe, new_token
from app.config import Settings
from app.memory.permissions import Access, Limits
from app.store.client import connect
from app.store.tokens import TokenRepository
from tests.browser.explorer import Explorer
from tests.support.builders import a_memory
from tests.support.stack import Stack

pytest.importorskip("playwright.sync_api")
from playwright.sync_api import Browser, expect

NAMESPACE = "acme"


@pytest.fixture
def guarded(browser: Browser) -> Iterator[Stack]:
    """Redis and web with AUTH_MODE=token; no worker. The browser comes first: without one, nothing is started."""
    stack = Stack(AUTH_MODE="token")
    try:
        stack.start_redis()
        assert stack._spawn("migrate", "agent-memory", "migrate").wait(60) == 0, stack.tail("migrate")
        stack.start_web()
        yield stack
    finally:
        stack.stop()


def a_token(stack: Stack, access: Access) -> str:
    """A token for the namespace."""
    tokens = TokenRepository(connect(Settings(_env_file=None, redis_url=stack.environment["REDIS_URL"])))
    token = new_token()
    tokens.save(describe(token, "a test", expires_days=None, access=access, limits=Limits((NAMESPACE,))))
    return token


def test_without_a_token_nothing_is_shown_and_with_a_limited_one_what_it_may_see(
    guarded: Stack, browser: Browser
) -> None:
    writer = {"Authorization": f"Bearer {a_token(guarded, Access.ADMIN)}"}
    body = {"memories": [a_memory("Alice keeps bees", namespace=NAMESPACE)]}
    assert guarded.http.post("/v1/long-term-memory/", json=body, headers=writer).status_code == 200
    context = browser.new_context(locale="en-GB", timezone_id="UTC")
    explorer = Explorer(context.new_page(), guarded.base_url, NAMESPACE)
    page = explorer.open("search")
    expect(page.get_by_role("alert")).to_contain_text("A token is needed")
    expect(page.locator(".hit")).to_have_count(0)

    page.get_by_label("Token").fill(a_token(guarded, Access.READ))
    page.get_by_role("button", name="Apply").click()
    page.get_by_role("link", name="Alice keeps bees").click()
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Text").fill("Alice keeps wasps")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("This token may not do that")
    # What cannot be saved is not lost.
    expect(page.get_by_label("Text")).to_have_value("Alice keeps wasps")
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_role("region", name="Language models").get_by_role("alert")).to_contain_text("may not")
    expect(page.locator(".tile", has_text="Memories")).to_contain_text("1")
    assert explorer.errors == []
    context.close()
