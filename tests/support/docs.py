"""Runs the documentation: code blocks that are marked, in the order of their page, and what they print is compared.

    <!-- run -->                    the code block that follows is run
    <!-- run: needs langgraph -->   … if that Python package is installed
    <!-- prints -->                 the block that follows is what the code block before it prints
    <!-- setup … -->                a code block that readers do not see; it is run in its place

All blocks of a page in one language are one program, so they share their variables. `http://localhost:8000` becomes
the server under test, and a namespace `docs-…` one that nothing else uses. Python may `await` at the top level, as in a
notebook; Java blocks are statements and imports.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.sdk import need
from tests.support.stack import ROOT

PAGES = ROOT / "docs"
ADDRESS = "http://localhost:8000"
_NAMESPACE = re.compile(r"\bdocs-[a-z0-9]+")
MARK = "-- end of block --"
_BLOCK = re.compile(
    r"<!-- (?P<kind>run|setup|prints)(?:: needs (?P<needs>[\w ]+?))?(?: -->)?\n"
    r"```(?P<language>\w+)\n(?P<code>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_LANGUAGES = {"sh": "sh", "bash": "sh", "python": "python", "js": "js", "java": "java"}
# One event loop and one set of names for all blocks of a page.
_PYTHON = """
import ast, asyncio, inspect, json, sys
blocks, names = json.load(open(sys.argv[1])), {"__name__": "__main__"}
async def main():
    for code, title in blocks:
        program = eval(compile(code, title, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
        if inspect.iscoroutine(program):
            await program
        print(sys.argv[2], flush=True)
if any("asyncio.run(" in code for code, _ in blocks):  # programs that have a loop of their own
    for code, title in blocks:
        exec(compile(code, title, "exec"), names)
        print(sys.argv[2], flush=True)
else:
    asyncio.run(main())
"""


@dataclass(frozen=True)
class Block:
    """A code block that is run."""

    language: str
    code: str
    needs: tuple[str, ...]
    line: int
    prints: str | None = None


def blocks(page: Path) -> list[Block]:
    """The blocks of a page that are run."""
    text = page.read_text(encoding="utf-8")
    found: list[Block] = []
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        if match["kind"] == "prints":
            last = found.pop()
            found.append(Block(last.language, last.code, last.needs, last.line, match["code"].strip()))
            continue
        language = _LANGUAGES.get(match["language"])
        assert language is not None, f"{page}:{line}: cannot run {match['language']}"
        found.append(Block(language, match["code"], tuple((match["needs"] or "").split()), line))
    marks = len(re.findall(r"^<!-- (?:run|setup|prints)", text, re.MULTILINE))
    assert marks == len(list(_BLOCK.finditer(text))), f"{page}: a mark without a code block"
    return found


@dataclass(frozen=True)
class Surroundings:
    """What the programs of a page run in."""

    url: str
    directory: Path
    environment: Mapping[str, str]
    run_id: str
    """Added to the namespaces of the page."""
    javascript: Callable[[], Path]
    """Gives the folder of the built JavaScript client."""
    java: Callable[[], str]
    """Gives the class path of the built Java client."""


def run_page(page: Path, language: str, within: Surroundings) -> None:
    """Run the page's blocks in a language; AssertionError with the place of the first that does not do as it says."""
    chosen = [b for b in blocks(page) if b.language == language]
    missing = {name for b in chosen for name in b.needs if importlib.util.find_spec(name) is None}
    chosen = [b for b in chosen if not missing & set(b.needs)]
    if not chosen:
        pytest.skip(f"not installed: {', '.join(sorted(missing))}")
    programs = [_NAMESPACE.sub(rf"\g<0>-{within.run_id}", b.code.replace(ADDRESS, within.url)) for b in chosen]
    titles = [f"{page.name}:{b.line}" for b in chosen]
    done = subprocess.run(
        _COMMANDS[language](programs, titles, within),
        cwd=within.directory,
        env={**os.environ, **within.environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    said = f"{done.stdout}\n{done.stderr}"
    printed = [text.replace(f"-{within.run_id}", "").strip() for text in done.stdout.split(f"{MARK}\n")]
    for block, title, shown in zip(chosen, titles, printed, strict=False):
        assert block.prints in (None, shown), f"{title} prints otherwise:\n{said}"
    ended = len(printed) - 1
    assert done.returncode == 0, f"{titles[min(ended, len(titles) - 1)]} ({language}) fails:\n{said}"
    assert ended == len(chosen), f"{page.name} ({language}) ends after {ended} blocks:\n{said}"


def _python(programs: list[str], titles: list[str], within: Surroundings) -> list[str]:
    titled = list(zip(programs, titles, strict=True))
    (within.directory / "blocks.json").write_text(json.dumps(titled), encoding="utf-8")
    return [sys.executable, "-c", _PYTHON, "blocks.json", MARK]


def _shell(programs: list[str], titles: list[str], within: Surroundings) -> list[str]:
    need("bash", "curl")
    program = "".join(f"# {title}\n{code}\necho '{MARK}'\n" for code, title in zip(programs, titles, strict=True))
    (within.directory / "page.sh").write_text(program, encoding="utf-8")
    return ["bash", "-euo", "pipefail", "page.sh"]


def _javascript(programs: list[str], titles: list[str], within: Surroundings) -> list[str]:
    scope = within.directory / "node_modules" / "@agent-memory-platform"
    scope.mkdir(parents=True)
    (scope / "client").symlink_to(within.javascript())
    program = "".join(
        f"// {title}\n{code}\nconsole.log('{MARK}');\n" for code, title in zip(programs, titles, strict=True)
    )
    (within.directory / "page.mjs").write_text(program, encoding="utf-8")
    return ["node", "page.mjs"]


def _java(programs: list[str], titles: list[str], within: Surroundings) -> list[str]:
    """The blocks are the statements of one `main`, but for imports."""
    lines = "".join(f'{code}\nSystem.out.println("{MARK}");\n' for code in programs).splitlines()
    imports = [line for line in lines if line.startswith("import ")]
    body = [line for line in lines if not line.startswith("import ")]
    program = [*imports, "class Page {", "public static void main(String[] args) throws Exception {", *body, "}}"]
    (within.directory / "Page.java").write_text("\n".join(program), encoding="utf-8")
    return ["java", "-cp", within.java(), "Page.java"]


_COMMANDS = {"python": _python, "sh": _shell, "js": _javascript, "java": _java}
