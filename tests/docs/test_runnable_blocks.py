"""Every code block in the documentation that is marked as runnable runs, and prints what the page says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.builders import unique
from tests.support.docs import PAGES, Surroundings, blocks, run_page
from tests.support.scripted_llm import LlmRequest, Reply, ScriptedLLM, as_text
from tests.support.stack import Server

# For each page the languages of its blocks, in the order in which a reader meets them.
PROGRAMS = {
    page.name: languages
    for page in sorted(PAGES.glob("*.md"))
    if (languages := list(dict.fromkeys(block.language for block in blocks(page))))
}


def _answer(request: LlmRequest) -> Reply:
    """What a model would say: it knows of an allergy only if the prompt tells it."""
    return as_text("Better not: you are allergic to peanuts." if "allergic to peanuts" in request.text else "Enjoy it.")


@pytest.fixture
def model(scripted_llm: ScriptedLLM) -> ScriptedLLM:
    """The model that the programs talk to."""
    scripted_llm.reply_always(_answer)
    return scripted_llm


@pytest.mark.parametrize("page", PROGRAMS)
def test_a_page_does_what_it_says(
    page: str, stack: Server, model: ScriptedLLM, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    within = Surroundings(
        url=stack.base_url,
        directory=tmp_path,
        environment={"OPENAI_BASE_URL": model.base_url, "OPENAI_API_KEY": "test"},
        run_id=unique("run"),
        javascript=lambda: request.getfixturevalue("javascript"),
        java=lambda: request.getfixturevalue("java"),
    )
    for language in PROGRAMS[page]:
        run_page(PAGES / page, language, within)


def test_the_pages_that_promise_runnable_code_have_it() -> None:
    assert {"quickstart.md", "recipes.md", "frameworks.md", "python.md", "javascript.md", "java.md"} <= set(PROGRAMS)
