"""The SDKs, built once for all tests that need them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.sdk import build_javascript
from tests.support.stack import Server


@pytest.fixture(scope="session")
def javascript(stack: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built JavaScript package."""
    return build_javascript(stack, tmp_path_factory.mktemp("javascript"))
