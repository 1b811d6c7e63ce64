"""Why a search answers what it does: parts of scores, and the place of any memory (additive to the contract)."""

from __future__ import annotations

import pytest

from tests.support.api import Api
from tests.support.builders import a_memory, ago, unique
from tests.support.shapes import problems

PARTS = ("semantic", "keyword", "boosts", "freshness", "novelty", "exact_match")


@pytest.mark.parametrize("mode", ["semantic", "keyword", "hybrid"])
def test_the_parts_add_up_to_what_orders_the_hits(api: Api, mode: str) -> None:
    api.create("User likes green tea", "User drinks tea with Anna", "User repairs bicycles", user_id="u")
    hits = api.memories("tea with Anna", search_mode=mode, explain=True)
    finals = [hit["explanation"]["final"] for hit in hits]
    assert finals == sorted(finals, reverse=True)
    for hit in hits:
        assert sum(hit["explanation"][part] for part in PARTS) == pytest.approx(hit["explanation"]["final"])
    plain = api.memories("tea with Anna", search_mode=mode)
    assert [hit["id"] for hit in plain] == [hit["id"] for hit in hits]
    assert all("explanation" not in hit for hit in plain)


def test_to_look_is_not_to_use(api: Api) -> None:
    api.create(a_memory("User likes green tea", last_accessed=ago(days=9)))
    (looked,) = api.memories("tea", explain=True)
    (again,) = api.memories("tea", explain=True)
    assert again["last_accessed"] == looked["last_accessed"]
    assert again["access_count"] == 0


def test_why_tells_the_rank_behind_the_page(api: Api) -> None:
    api.create(*(f"User owns bicycle number {n}" for n in range(5)), deduplicate=False)
    api.create(a_memory("User is allergic to peanuts", id=(last := unique("last"))))
    answer = api.search("which bicycle", limit=1, why=last)
    assert len(answer["memories"]) == 1
    assert (answer["why"]["memory_id"], answer["why"]["rank"]) == (last, 6)
    assert (
        answer["why"]["explanation"]["final"] < api.memories("which bicycle", explain=True)[0]["explanation"]["final"]
    )
    assert "why" not in api.search("which bicycle")


def test_why_tells_what_keeps_a_memory_out(api: Api) -> None:
    api.create(a_memory("User likes green tea", id=(tea := unique("tea")), topics=["drinks"]), user_id="u")

    def reason(text: str | None = "bicycle", **body: object) -> str:
        why = api.search(text, why=tea, **body)["why"]
        assert why["rank"] is None
        assert why["explanation"] is None
        return str(why["reason"])

    assert "filter" in reason(topics={"eq": "sports"})
    assert "words" in reason(search_mode="keyword")
    assert "distance" in reason(distance_threshold=0.01)
    assert "listed" in reason(None)
    # Of other users' memories nothing is told, not even that they exist.
    nobody = api.search("bicycle", why=unique("none"), user_id={"eq": "other"})["why"]
    assert reason(user_id={"eq": "other"}) == nobody["reason"]
    api.http.delete("/v1/long-term-memory", params={"memory_ids": tea, "namespace": api.namespace})
    assert reason() == nobody["reason"]


def test_a_why_that_is_too_long_is_refused(api: Api) -> None:
    body = {"text": "x", "why": "w" * 256}
    assert problems(api.http.post("/v1/long-term-memory/search", json=body))[0]["loc"] == ["body", "why"]
