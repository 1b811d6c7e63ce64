"""What the HTTP door answers when the engine is broken or switched off; needs no Redis."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from flask.testing import FlaskClient

from app.api import long_term_memory, prompt, working_memory
from app.api.application import build
from app.config import Settings


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    return build(Settings(_env_file=None)).test_client()


def test_row_10_an_unexpected_fault_is_500_as_json_and_tells_nothing_of_its_cause(client, monkeypatch):
    def broken() -> None:
        raise RuntimeError("the password is swordfish")

    monkeypatch.setattr(working_memory, "engine", broken)
    answer = client.get("/v1/working-memory/x")
    assert answer.status_code == 500
    assert answer.content_type == "application/json"
    assert answer.get_json() == {"detail": "Internal Server Error"}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/v1/working-memory/x", {"messages": [{"role": "user", "content": "x" * 100_001}]}),
        ("POST", "/v1/working-memory/x/messages", {"messages": [{"role": "user", "content": "x" * 100_001}]}),
        ("PUT", "/v1/working-memory/x", {"memories": [{"id": "a", "text": "x" * 100_001}]}),
        ("POST", "/v1/long-term-memory/", {"memories": [{"id": "a", "text": "x" * 100_001}]}),
        ("PATCH", "/v1/long-term-memory/a", {"text": "x" * 100_001}),
    ],
)
def test_a_text_that_is_too_long_is_422(client, monkeypatch, method, path, body):
    monkeypatch.setattr(long_term_memory, "engine", lambda: SimpleNamespace(settings=Settings(_env_file=None)))
    answer = client.open(path, method=method, json=body)
    assert answer.status_code == 422
    assert "MAX_TEXT_CHARS" in answer.get_json()["detail"][0]["msg"]


LONG_TERM_ROUTES = [
    ("POST", "/v1/long-term-memory/", {"memories": []}),
    ("DELETE", "/v1/long-term-memory?memory_ids=a", None),
    ("POST", "/v1/long-term-memory/search", {}),
    ("POST", "/v1/long-term-memory/forget?dry_run=false", {"policy": {"budget": 0}}),
    ("POST", "/v1/long-term-memory/compact", None),
    ("GET", "/v1/long-term-memory/a", None),
    ("PATCH", "/v1/long-term-memory/a", {"pinned": True}),
    ("POST", "/v1/memory/prompt", {"query": "q", "long_term_search": True}),
]


@pytest.mark.parametrize(("method", "path", "body"), LONG_TERM_ROUTES, ids=[f"{m} {p}" for m, p, _ in LONG_TERM_ROUTES])
def test_row_35_without_long_term_memory_every_route_of_it_is_400(client, monkeypatch, method, path, body):
    switched_off = SimpleNamespace(settings=Settings(_env_file=None, long_term_memory=False))
    for module in (long_term_memory, prompt):
        monkeypatch.setattr(module, "engine", lambda: switched_off)
    answer = client.open(path, method=method, json=body)
    assert answer.status_code == 400
    assert answer.get_json() == {"detail": "Long-term memory is disabled"}
