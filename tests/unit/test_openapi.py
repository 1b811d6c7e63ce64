"""The OpenAPI document and its explorer; the fuzz runs (tests/conformance/test_fuzz.py) check that it is true."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from openapi_spec_validator import validate

from app.api.application import build
from app.config import Settings

CONTRACT = {
    ("get", "/v1/health"),
    ("get", "/v1/working-memory/"),
    ("get", "/v1/working-memory/{session_id}"),
    ("put", "/v1/working-memory/{session_id}"),
    ("delete", "/v1/working-memory/{session_id}"),
    ("post", "/v1/long-term-memory/"),
    ("delete", "/v1/long-term-memory"),
    ("post", "/v1/long-term-memory/search"),
    ("post", "/v1/long-term-memory/forget"),
    ("post", "/v1/long-term-memory/compact"),
    ("get", "/v1/long-term-memory/{memory_id}"),
    ("patch", "/v1/long-term-memory/{memory_id}"),
    ("post", "/v1/memory/prompt"),
    ("get", "/v1/summary-views"),
    ("post", "/v1/summary-views"),
    ("get", "/v1/summary-views/{view_id}"),
    ("delete", "/v1/summary-views/{view_id}"),
    ("post", "/v1/summary-views/{view_id}/partitions/run"),
    ("get", "/v1/summary-views/{view_id}/partitions"),
    ("post", "/v1/summary-views/{view_id}/run"),
    ("get", "/v1/tasks/{task_id}"),
}


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    return build(Settings(_env_file=None)).test_client()


@pytest.fixture(scope="module")
def document(client) -> dict[str, Any]:
    answer = client.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.content_type == "application/json"
    found = answer.get_json()
    assert isinstance(found, dict)
    return found


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method, path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method != "parameters"
    }


def test_the_document_is_valid(document):
    validate(document)


def test_every_route_of_the_contract_is_documented_once(document):
    known = set(operations(document))
    assert known >= CONTRACT, CONTRACT - known
    forms = [path.rstrip("/") for method, path in known if method == "post"]
    assert len(forms) == len(set(forms)), "no path in both slash forms"


def test_every_operation_has_a_name_a_summary_and_the_errors_that_all_have(document):
    found = operations(document)
    names = [operation["operationId"] for operation in found.values()]
    assert len(names) == len(set(names))
    for key, operation in found.items():
        assert operation["summary"], key
        assert {"200", "503", "default"} <= set(operation["responses"]), key
        for code, answer in operation["responses"].items():
            assert answer["description"], (key, code)
            assert "schema" in answer["content"]["application/json"], (key, code)


def test_every_field_of_a_request_and_every_parameter_is_described(document):
    schemas = document["components"]["schemas"]
    refs = {
        operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for operation in operations(document).values()
        if "requestBody" in operation
    }
    seen: set[str] = set()
    while refs - seen:
        name = (refs - seen).pop()
        seen.add(name)
        refs |= set(re.findall(r"#/components/schemas/(\w+)", str(schemas[name])))
        assert schemas[name].get("description"), name
        for field, described in schemas[name]["properties"].items():
            assert described.get("description"), (name, field)
    for key, operation in operations(document).items():
        for parameter in operation.get("parameters", []):
            assert parameter.get("description"), (key, parameter["name"])


def test_an_answer_has_every_field_and_a_request_only_what_it_must(document):
    schemas = document["components"]["schemas"]
    for name in ("MemoryRecord", "WorkingMemory", "SearchResults", "Task", "Partition", "SummaryView"):
        assert set(schemas[name]["required"]) == set(schemas[name]["properties"]) - {"why", "steps"}, name
    assert schemas["NewMemory"]["required"] == ["id", "text"]
    assert "required" not in schemas["WorkingMemoryUpdate"]
    assert "required" not in schemas["SearchRequest"]


def test_links_lead_to_operations_that_are_there(document):
    found = operations(document).values()
    names = {operation["operationId"] for operation in found}
    linked = {link for operation in found for link in operation["responses"]["200"].get("links", {})}
    assert linked <= names
    assert {"get_session", "get_memory", "get_view", "get_task"} <= linked


@pytest.mark.parametrize("path", ["/docs", "/docs/"])
def test_the_explorer_is_served_with_all_its_parts_from_here(client, path):
    page = client.get(path)
    assert page.status_code == 200
    assert "/openapi.json" in page.text
    parts = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert any(part.endswith("swagger-ui-bundle.js") for part in parts)
    for part in parts:
        assert part.startswith("/docs/"), "nothing from elsewhere"
        assert client.get(part).status_code == 200, part
    assert "http://" not in page.text
    assert "https://" not in page.text


def test_a_part_of_the_explorer_that_is_not_there_is_404_as_json(client):
    answer = client.get("/docs/nothing.js")
    assert (answer.status_code, answer.get_json()) == (404, {"detail": "Not Found"})
