"""The examples: an agent in each language that remembers in one conversation what it was told in another."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.api import Api
from tests.support.scripted_llm import LlmRequest, Reply, ScriptedLLM, as_text
from tests.support.sdk import PACKAGE
from tests.support.stack import ROOT, Server

EXAMPLES = ROOT / "examples"
LINES = 80
Talk = Callable[[str], str]


def _answer(request: LlmRequest) -> Reply:
    """What a model would say: it knows of the allergy only if the prompt tells it."""
    asked = request.messages[-1]["content"]
    told = "\n".join(str(m["content"]) for m in request.messages[:-1])
    assert request.messages[0]["role"] == "system", "the agent's instructions come first"
    if "serve" not in asked:
        return as_text("I will remember that.")
    return as_text("No peanuts for Anna." if "peanut" in told and "Anna" in told else "Anything you like.")


@pytest.fixture
def model(scripted_llm: ScriptedLLM) -> ScriptedLLM:
    """The model that the programs talk to."""
    scripted_llm.reply_always(_answer)
    return scripted_llm


@pytest.fixture(params=["python", "javascript", "java"])
def talk(request: pytest.FixtureRequest, stack: Server, model: ScriptedLLM, namespace: str, tmp_path: Path) -> Talk:
    """Runs the example on lines of input; what it prints."""
    match request.param:
        case "python":
            command = [sys.executable, str(EXAMPLES / "python" / "chat.py")]
        case "javascript":
            (tmp_path / "node_modules" / PACKAGE).parent.mkdir(parents=True)
            (tmp_path / "node_modules" / PACKAGE).symlink_to(request.getfixturevalue("javascript"))
            shutil.copy(EXAMPLES / "javascript" / "chat.mjs", tmp_path)
            command = ["node", "chat.mjs"]
        case _:
            command = ["java", "-cp", request.getfixturevalue("java"), "Chat"]
    environment = {
        **os.environ,
        "MEMORY_URL": stack.base_url,
        "MEMORY_NAMESPACE": namespace,
        "OPENAI_BASE_URL": model.base_url,
        "OPENAI_API_KEY": "test",
    }

    def run(said: str) -> str:
        done = subprocess.run(
            [*command, "maya"], input=said, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_an_agent_remembers_in_another_conversation(talk: Talk, api: Api) -> None:
    assert talk("My sister Anna is allergic to peanuts.\nThank you!\n") == "I will remember that.\n" * 2
    api.wait_for_memories(1, user_id={"eq": "maya"})
    assert talk("What shall I serve Anna?\n") == "No peanuts for Anna.\n"


@pytest.mark.parametrize("example", ["python/chat.py", "javascript/chat.mjs", "java/Chat.java"])
def test_an_example_fits_on_a_page(example: str) -> None:
    assert len((EXAMPLES / example).read_text(encoding="utf-8").splitlines()) < LINES
