"""All tests in this folder speak only HTTP, so that they can be pointed at any running server."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them all."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.conformance)
