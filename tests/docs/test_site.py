"""The documentation site: built strictly, offline, with references that are complete."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from tests.support.sdk import run
from tests.support.stack import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. A proxy that nobody serves stands in for having no network."""
    directory = tmp_path_factory.mktemp("site")
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    command = (sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", directory)
    run(*command, cwd=ROOT, **nowhere, NO_MKDOCS_2_WARNING="true")
    return directory


def test_every_page_is_built_and_can_be_reached(site: Path) -> None:
    pages = [*(ROOT / "docs").rglob("*.md"), Path("reference/rest.md"), Path("reference/mcp.md")]
    names = [p.relative_to(ROOT / "docs") if p.is_absolute() else p for p in pages]
    home = (site / "index.html").read_text(encoding="utf-8")
    for name in names:
        built = name.with_suffix(".html").as_posix()
        assert (site / built).is_file(), built
        assert built == "index.html" or f'href="{built}"' in home, f"{built} is not in the navigation"


def test_the_rest_reference_has_every_operation_and_schema(site: Path) -> None:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        import docs_site
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    document = docs_site.openapi_document()
    page = (site / "reference" / "rest.html").read_text(encoding="utf-8")
    operations = [o for methods in document["paths"].values() for m, o in methods.items() if m != "parameters"]
    assert len(operations) > 20
    for operation in operations:
        assert f'id="{operation["operationId"]}"' in page, operation["operationId"]
    for schema in document["components"]["schemas"]:
        assert f'id="schema-{schema.lower()}"' in page, schema
    targets = set(re.findall(r'href="#(schema-[^"]+)"', page))
    assert targets
    assert all(f'id="{target}"' in page for target in targets)


def test_the_mcp_reference_has_every_tool(site: Path) -> None:
    catalogue = json.loads((ROOT / "app" / "mcp" / "tools.json").read_text(encoding="utf-8"))
    page = (site / "reference" / "mcp.html").read_text(encoding="utf-8")
    for tool in catalogue:
        assert f'id="{tool["name"]}"' in page, tool["name"]
