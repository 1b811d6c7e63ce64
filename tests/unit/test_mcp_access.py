"""Authentication of MCP over HTTP: one hook, 401 with the way to authenticate, and a principal that binds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import pytest

from app.auth.errors import TooManyRequests, Unauthorized
from app.config import Settings
from app.mcp import http
from app.memory.errors import BackendUnavailable
from app.memory.permissions import Limits, Principal, Rate

HEADERS = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


class Room:
    """An engine room without an engine: no test here gets that far."""

    def warm(self) -> None:
        pass

    def engine(self) -> Any:
        return SimpleNamespace(settings=Settings(_env_file=None))


def authenticate(headers: Mapping[str, str]) -> Principal | None:
    match headers.get("authorization"):
        case "Bearer good":
            return Principal("somebody")
        case "Bearer tenant-a":
            return Principal("tenant a", limits=Limits(namespaces=("a",), users=("u",)))
        case "Bearer hasty":
            raise TooManyRequests(Rate(60, 0, 1.5, exceeded=True))
        case "Bearer store-away":
            raise BackendUnavailable("the store is not available")
        case None:
            return None
        case _:
            raise Unauthorized("Invalid token")


def send(
    path: str, token: str | None, tool: str | None = None, arguments: dict[str, Any] | None = None, method: str = "POST"
) -> httpx.Response:
    """One request to the application in this process."""
    application = http.build(
        Settings(_env_file=None), Room(), authenticate=authenticate, authorization_servers=["https://issuer.example"]
    )
    call: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    if tool:
        call |= {"method": "tools/call", "params": {"name": tool, "arguments": arguments or {}}}
    headers = HEADERS | ({"Authorization": f"Bearer {token}"} if token else {})

    async def run() -> httpx.Response:
        async with application.router.lifespan_context(application):
            transport = httpx.ASGITransport(app=application)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9000") as client:
                return await client.request(method, path, headers=headers, json=call if method == "POST" else None)

    return anyio.run(run)


def result(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    data = next(line for line in answer.text.splitlines() if line.startswith("data:"))
    return dict(json.loads(data.removeprefix("data:"))["result"])


@pytest.mark.parametrize(("token", "detail"), [(None, "Missing authorization header"), ("bad", "Invalid token")])
@pytest.mark.parametrize(("method", "path"), [("POST", "/mcp"), ("POST", "/a/mcp"), ("GET", "/sse"), ("GET", "/a/sse")])
def test_without_good_credentials_401_says_where_to_learn_how(token, detail, method, path):
    answer = send(path, token, method=method)
    assert answer.status_code == 401
    assert answer.json() == {"detail": detail}
    where = f"http://127.0.0.1:9000/.well-known/oauth-protected-resource{path}"
    assert answer.headers["WWW-Authenticate"] == f'Bearer resource_metadata="{where}"'


def test_messages_of_the_older_transport_are_guarded_too():
    assert send("/messages/?session_id=0", None).status_code == 401
    assert send("/a/messages/?session_id=0", "bad").status_code == 401


@pytest.mark.parametrize("resource", ["mcp", "a/mcp"])
def test_the_metadata_is_public_and_names_the_authorization_server(resource):
    answer = send(f"/.well-known/oauth-protected-resource/{resource}", None, method="GET")
    assert answer.json()["resource"] == f"http://127.0.0.1:9000/{resource}"
    assert answer.json()["authorization_servers"] == ["https://issuer.example"]


def test_good_credentials_pass():
    assert len(result(send("/mcp", "good"))["tools"]) == 10


def test_a_token_store_that_is_away_is_503():
    answer = send("/mcp", "store-away")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]


def test_who_asks_too_often_is_told_to_wait():
    answer = send("/mcp", "hasty")
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "2"
    assert "60 a minute" in answer.json()["detail"]


def test_a_token_of_one_tenant_is_refused_at_the_url_of_another():
    assert send("/b/mcp", "tenant-a").status_code == 403
    assert send("/a/mcp", "tenant-a").status_code == 200


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("search_long_term_memory", {"text": "x", "namespace": {"eq": "b"}}),
        ("search_long_term_memory", {"text": None, "user_id": {"ne": "u"}}),
        ("memory_prompt", {"query": "x", "namespace": {"any": ["b", "c"]}}),
        ("memory_prompt", {"query": "x", "session_id": "s", "user_id": {"eq": "v"}, "include_long_term_search": False}),
        ("create_long_term_memories", {"memories": [{"text": "x", "namespace": "b"}]}),
        ("set_working_memory", {"session_id": "s", "namespace": "b"}),
        ("get_working_memory", {"session_id": "s", "user_id": "v"}),
        ("edit_long_term_memory", {"memory_id": "m", "namespace": "b"}),
        ("compact_long_term_memories", {"namespace": "b"}),
    ],
)
def test_what_a_token_binds_holds_for_every_tool(tool, arguments):
    told = result(send("/mcp", "tenant-a", tool, arguments))
    assert told["isError"] is True
    assert "This connection only works with" in told["content"][0]["text"]
