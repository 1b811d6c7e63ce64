"""The explorer in a real Chromium over the real stack: every view, changes, hostile texts, errors, accessibility."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

import pytest

from tests.browser.explorer import Explorer
from tests.support.api import Api
from tests.support.builders import a_memory, a_message, a_session, ago, unique
from tests.support.stack import ROOT

pytest.importorskip("playwright.sync_api")
from playwright.sync_api import expect

HOSTILE = (
    "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'> \u202eevil\u202c مرحبا " + "w" * 400
)
POINTS = [
    {
        "id": f"p{n}",
        "user_id": None,
        "text": f"Memory number {n}",
        "x": (n % 5) / 3 - 0.7,
        "y": (n // 5) / 3 - 0.7,
        "topic": ["tea", "bicycles", None][n % 3],
        "topic_id": None,
        "source": "fit",
        "created_at": ago(days=30 - n),
    }
    for n in range(20)
]


def seeded(api: Api) -> None:
    """A few memories of one user."""
    api.create(
        a_memory("User drinks green tea with Anna in Lisbon", topics=["tea"], entities=["Anna", "Lisbon"]),
        a_memory("User owns a red bicycle", topics=["bicycles"]),
        a_memory("User is allergic to peanuts", topics=["allergy"], event_date="2026-05-01T00:00:00Z"),
        user_id="maya",
    )


def test_a_search_shows_hits_with_the_parts_of_their_scores(api: Api, explorer: Explorer) -> None:
    seeded(api)
    page = explorer.open("search")
    page.get_by_label("Query").fill("tea with Anna")
    page.get_by_role("button", name="Search").click()
    first = page.locator(".hit").first
    expect(first.get_by_role("link")).to_have_text("User drinks green tea with Anna in Lisbon")
    expect(first.locator(".tag")).to_contain_text(["tea", "Anna", "Lisbon"])
    shown = first.get_by_role("list", name="Parts of the score").inner_text()
    hit = api.memories("tea with Anna", search_mode="hybrid", explain=True)[0]
    assert f"score {hit['explanation']['final']:.2f}" in shown
    assert f"meaning {hit['explanation']['semantic']:.2f}" in shown
    widths = first.locator(".part").evaluate_all("all => all.map(one => one.getBoundingClientRect().width)")
    bar = first.locator(".bar").bounding_box()
    assert bar is not None
    assert sum(widths) == pytest.approx(min(1.0, hit["explanation"]["final"]) * bar["width"], rel=0.03)
    # The address holds the search: it survives a reload.
    page.reload()
    expect(page.get_by_label("Query")).to_have_value("tea with Anna")
    expect(page.locator(".hit")).to_have_count(3)


def test_filters_and_why_not(api: Api, explorer: Explorer) -> None:
    seeded(api)
    bicycle = api.ids(topics={"eq": "bicycles"})[0]
    page = explorer.open("search", text="tea", topics="tea, cocoa", why=bicycle)
    expect(page.locator(".hit")).to_have_count(1)
    expect(page.get_by_label("Why not", exact=True)).to_contain_text("A filter of the search leaves it out")
    page.get_by_label("Topics").fill("")
    page.get_by_label("Query").press("Enter")
    expect(page.get_by_label("Why not", exact=True)).to_contain_text(re.compile(r"It is number [23] of 3"))
    page.get_by_label("Topics").fill("no such topic")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("Nothing found")).to_be_visible()


def test_a_memory_is_edited_pinned_undone_deleted_and_restored(api: Api, explorer: Explorer) -> None:
    seeded(api)
    memory_id = api.ids(topics={"eq": "bicycles"})[0]
    page = explorer.open("search", text="bicycle")
    page.get_by_role("link", name="User owns a red bicycle").click()
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Text").fill("User owns a blue bicycle")
    page.get_by_role("button", name="Save").click()
    history = page.get_by_role("region", name="History")
    expect(history.locator("del")).to_have_text("red")
    expect(history.locator("ins")).to_have_text("blue")
    assert api.texts(topics={"eq": "bicycles"}) == ["User owns a blue bicycle"]
    page.get_by_role("button", name="Pin").click()
    expect(page.get_by_role("button", name="Unpin")).to_be_visible()
    assert api.memories(topics={"eq": "bicycles"})[0]["pinned"] is True
    explorer.screenshot("memory")

    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert memory_id in api.ids()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("This memory is deleted")).to_be_visible()
    assert memory_id not in api.ids()
    page.get_by_role("button", name="Restore").click()
    page.get_by_role("dialog").get_by_role("button", name="Restore").click()
    expect(page.get_by_role("button", name="Unpin")).to_be_visible()
    assert api.texts(topics={"eq": "bicycles"}) == ["User owns a blue bicycle"]


def test_the_demo_session_shows_what_became_of_its_messages(api: Api, explorer: Explorer) -> None:
    demo = json.loads((ROOT / "app/demo/conversation.json").read_text("utf-8"))["sessions"][0]
    session = a_session(unique("settling-in")).of(api.namespace, "maya")
    session = session.with_messages(*({"id": unique("msg"), **said} for said in demo["messages"]))
    session.having(context="Maya came back after a long break.").put(api.http)
    page = explorer.open("session")
    page.get_by_role("link", name=session.session_id).click()
    # The view follows the pipeline by itself, without a reload.
    expect(page.locator(".message .done")).to_have_count(len(demo["messages"]), timeout=30_000)
    expect(page.get_by_text("Maya came back after a long break.")).to_be_visible()
    sister = next(said for said in session.body["messages"] if "My sister Anna" in said["content"])
    came = page.locator(".message", has_text="My sister Anna").get_by_role("list", name="Memories from this message")
    expect(came.get_by_role("link").first).to_be_visible()
    assert set(came.get_by_role("link").all_inner_texts()) == {
        m["text"] for m in api.memories() if sister["id"] in m["extracted_from"]
    }
    came.scroll_into_view_if_needed()
    explorer.screenshot("session")
    came.get_by_role("link").first.click()
    comes_from = page.get_by_role("region", name="Where it comes from")
    expect(comes_from).to_contain_text("My sister Anna lives in Delft")
    comes_from.get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="Session")).to_be_visible()
    explorer.open("search", text="What should I not cook for Anna and Maya?")
    expect(page.locator(".hit").first).to_be_visible()
    explorer.screenshot("search")


def test_the_overview_counts(api: Api, explorer: Explorer) -> None:
    seeded(api)
    page = explorer.open("overview")
    expect(page.locator(".tile", has_text=re.compile("^Memories"))).to_contain_text("3")
    expect(page.locator(".tile", has_text=re.compile("^Server"))).to_contain_text("ready")
    expect(page.get_by_role("region", name="Topic, Memories")).to_contain_text("bicycles")
    expect(page.get_by_role("region", name="Entity, Kind, Memories")).to_contain_text("Lisbon")
    expect(page.locator(".tile", has_text="Model calls")).to_contain_text("0")
    page.get_by_text("As a table").click()
    expect(page.locator("tr", has_text=re.compile(r"^\d{4}-\d\d-\d\d")).last).to_contain_text("3")
    explorer.screenshot("overview")


def test_a_user_is_erased_only_after_a_yes(api: Api, explorer: Explorer) -> None:
    seeded(api)
    api.create("Ben likes coffee", user_id="ben")
    page = explorer.open("overview")
    expect(page.get_by_role("button", name="Erase user")).to_have_count(0)
    page.get_by_label("User").fill("maya")
    page.get_by_role("button", name="Apply").click()
    page.get_by_role("button", name="Erase user maya").click()
    page.get_by_role("dialog").press("Escape")
    assert len(api.ids()) == 4
    page.get_by_role("button", name="Erase user maya").click()
    page.get_by_role("dialog").get_by_role("button", name="Erase").click()
    expect(page.get_by_text("Erased, and verified.")).to_be_visible()
    assert api.texts() == ["Ben likes coffee"]


def test_a_hostile_memory_is_only_text_in_every_view(api: Api, explorer: Explorer) -> None:
    odd = unique("<b>odd</b>/?#&")
    encoded = quote(odd, safe="")
    api.create(
        a_memory(HOSTILE, id=odd, topics=[f"<i>{'t' * 120}"], entities=["<u>e</u>"], session_id=odd), user_id="<x>"
    )
    message = a_message(HOSTILE, id=odd)
    a_session(encoded).of(api.namespace, "<x>").with_messages(message).put(api.http)
    api.http.patch(f"/v1/long-term-memory/{encoded}", json={"text": f"{HOSTILE} again"})
    page = explorer.page
    page.set_viewport_size({"width": 390, "height": 800})
    point = {**POINTS[0], "text": HOSTILE, "topic": HOSTILE}
    page.route("**/v1/topics/map?*", lambda route: route.fulfill(json={"points": [point], "total": 1, "model": None}))
    for view in ("search", f"memory/{encoded}", f"session/{encoded}", "map", "overview"):
        explorer.open(view)
        if view == "map":
            page.locator("svg.map").focus()
            page.keyboard.press("ArrowRight")
        where = page.locator(".hit, .card, .legend, .message").filter(has_text="<")
        if view == "overview":
            where = page.locator("td", has_text="<u>e</u>")
        expect(where.first).to_be_visible()
        assert page.evaluate("window.hacked") is None
        assert page.locator("main script, main img, main i, main b, main u").count() == 0
        assert not explorer.wider_than_the_window(), view
        explorer.screenshot(f"hostile-{view.partition('/')[0]}")


def test_the_token_is_sent_as_bearer_and_stays_in_the_tab(api: Api, explorer: Explorer) -> None:
    page = explorer.open("search")
    seen: list[str | None] = []
    page.on(
        "request", lambda request: seen.append(request.headers.get("authorization")) if "/v1/" in request.url else None
    )
    page.get_by_label("Token").fill("secret-token")
    with page.expect_response("**/v1/long-term-memory/search"):
        page.get_by_role("button", name="Apply").click()
    assert seen == ["Bearer secret-token"]
    assert "secret-token" not in page.url
    assert json.dumps(page.context.storage_state()).find("secret-token") == -1


def test_an_address_that_is_no_proper_encoding_is_taken_as_it_stands(explorer: Explorer) -> None:
    page = explorer.open("memory/100%")
    expect(page.get_by_label("Memory id")).to_have_value("100%")


def test_a_server_that_is_away_and_an_unknown_memory(explorer: Explorer) -> None:
    page = explorer.open("memory/no-such-memory")
    expect(page.get_by_role("alert")).to_contain_text("no-such-memory")
    expect(page.get_by_role("alert")).to_contain_text("Check the id")
    page.route("**/v1/**", lambda route: route.abort())
    page = explorer.open("search")
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")


def test_every_view_passes_axe_light_and_dark_and_fits_a_phone(api: Api, explorer: Explorer) -> None:
    pytest.importorskip("axe_playwright_python")
    seeded(api)
    memory_id = api.ids(topics={"eq": "bicycles"})[0]
    api.http.patch(f"/v1/long-term-memory/{memory_id}", json={"text": "User owns a blue bicycle"})
    session = a_session().of(api.namespace, "maya").with_messages("I moved to Lisbon.")
    session.put(api.http)
    api.wait_until_promoted(session.session_id, **session.scope)
    page = explorer.page
    answer = {"points": POINTS, "total": 25, "model": None}
    page.route("**/v1/topics/map?*", lambda route: route.fulfill(json=answer))
    views = {
        "search": ".hit", f"memory/{memory_id}": ".timeline", f"session/{session.session_id}": ".step",
        "map": "circle", "overview": ".chart",
    }  # fmt: skip
    for view, content in views.items():
        explorer.open(view, **({"text": "bicycle"} if view == "search" else {}))
        page.locator(content).first.wait_for()
        expect(page.locator("[aria-busy]")).to_have_count(0)
        assert explorer.accessibility_problems() == [], view
        assert explorer.words_of_nothing() == [], view
        page.emulate_media(color_scheme="dark")
        assert explorer.accessibility_problems() == [], view
        page.set_viewport_size({"width": 360, "height": 740})
        assert not explorer.wider_than_the_window(), view
        explorer.screenshot(f"phone-{view.partition('/')[0]}")
        page.set_viewport_size({"width": 1180, "height": 860})
        explorer.screenshot(f"dark-{view.partition('/')[0]}")
        page.emulate_media(color_scheme="light")


def test_the_keyboard_reaches_everything_from_the_top(explorer: Explorer) -> None:
    page = explorer.open("search")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Query")).to_be_focused()


def test_the_page_is_all_its_own_and_lets_nothing_inline_run(api: Api, explorer: Explorer) -> None:
    asked: list[str] = []
    explorer.page.on("request", lambda request: asked.append(request.url))
    explorer.open("search")
    assert asked
    assert all(url.startswith((explorer.base_url, "about:")) for url in asked)
    page = api.http.get("/explorer")
    assert "script-src 'self';" in page.headers["content-security-policy"]
    assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", page.text)
