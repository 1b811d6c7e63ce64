"""Rewritten queries: used when they are good and quick, never in the way."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.config import Settings
from app.memory.errors import BackendUnavailable
from app.memory.filters import MemoryFilter, TagFilter
from app.memory.query_optimization import QueryOptimizer, search_optimized
from app.memory.search import SearchRequest, SearchResults
from app.providers.llm import OpenAIGenerator
from tests.support.scripted_llm import ScriptedLLM, as_text, empty, error, slowly
from tests.unit.test_llm_client import Notes, OpenGate

ASKED = "hey, could you maybe tell me where my sister lives?"
BETTER = "city where User's sister lives"


class Remembered(dict[str, str]):
    """The shared cache as a dictionary."""

    def set(self, text: str, value: str) -> None:
        self[text] = value


@dataclass
class Searched:
    """A search that finds nothing, or one thing, and remembers what it was asked."""

    totals: list[int] = field(default_factory=lambda: [1])
    texts: list[str | None] = field(default_factory=list)

    def __call__(self, request: SearchRequest) -> SearchResults:
        self.texts.append(request.text)
        return SearchResults((), self.totals.pop(0) if len(self.totals) > 1 else self.totals[0], None)


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def optimizer(scripted_llm: ScriptedLLM, notes: Notes) -> QueryOptimizer:
    settings = Settings(openai_base_url=scripted_llm.base_url, fast_model="small", query_optimization_timeout_seconds=1)
    cache = Remembered()
    return QueryOptimizer(lambda: OpenAIGenerator(settings, gate=OpenGate(), ledger=notes), lambda: cache, settings)


def request(**more: Any) -> SearchRequest:
    return SearchRequest(text=ASKED, optimize_query=True, **more)


def test_the_fast_model_rewrites_the_query_once(optimizer, scripted_llm, notes):
    scripted_llm.reply(as_text(f'"{BETTER}"\n(That should help.)'))
    condition = MemoryFilter({"namespace": (TagFilter(eq="acme"),)}, {})
    for _ in range(2):
        search = Searched()
        search_optimized(request(condition=condition), optimizer, search)
        assert search.texts == [BETTER]
    assert len(scripted_llm.chats) == 1, "the second time it is remembered"
    assert scripted_llm.chats[0].body["model"] == "small"
    assert ASKED in scripted_llm.chats[0].text
    assert (notes.rows[0].purpose, notes.rows[0].namespace) == ("optimize_query", "acme")


@pytest.mark.parametrize(
    "reply", [error(500), error(400), empty(), as_text("x"), as_text("y" * 2000), slowly(3, as_text(BETTER))]
)
def test_a_model_that_fails_is_too_slow_or_babbles_leaves_the_query_as_it_is(optimizer, scripted_llm, reply):
    scripted_llm.reply_always(reply)
    search = Searched()
    started = time.monotonic()
    search_optimized(request(), optimizer, search)
    assert search.texts == [ASKED]
    assert time.monotonic() - started < 2.5


def test_without_a_model_or_with_the_cache_away_the_query_stays(scripted_llm):
    class Away(Remembered):
        def get(self, text, default=None):
            raise BackendUnavailable("the store is not available")

    settings = Settings(openai_base_url=scripted_llm.base_url)
    generator = OpenAIGenerator(settings, gate=OpenGate(), ledger=Notes())
    assert QueryOptimizer(lambda: None, Remembered, settings).rewrite(ASKED) == ASKED
    assert QueryOptimizer(lambda: generator, Away, settings).rewrite(ASKED) == ASKED


def test_only_semantic_searches_that_ask_for_it_are_rewritten(optimizer, scripted_llm):
    for plain in (SearchRequest(text=ASKED), request(mode="keyword"), request(mode="hybrid")):
        search = Searched()
        search_optimized(plain, optimizer, search)
        assert search.texts == [ASKED]
    assert scripted_llm.chats == []


def test_a_rewritten_query_that_finds_nothing_near_enough_falls_back_to_the_original(optimizer, scripted_llm):
    scripted_llm.reply_always(as_text(BETTER))
    search = Searched(totals=[0, 3])
    assert search_optimized(request(distance_threshold=0.4), optimizer, search).total == 3
    assert search.texts == [BETTER, ASKED]
    without_threshold = Searched(totals=[0])
    search_optimized(request(), optimizer, without_threshold)
    assert without_threshold.texts == [BETTER]
