"""What several files of integration tests begin with; a file may have its own instead."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.container import Container
from app.memory.models import Scope
from tests.support.builders import unique
from tests.support.engine import running_engine


@pytest.fixture(scope="module")
def engine() -> Iterator[Container]:
    """The engine in the test's own process, on a store of its own."""
    with running_engine() as engine:
        yield engine


@pytest.fixture
def scope() -> Scope:
    """A user that nothing else has."""
    return Scope(unique("ns"), "u")
