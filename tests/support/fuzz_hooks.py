"""Hooks of the schemathesis runs (tests/conformance/test_fuzz.py), loaded by the `st` process.

Whatever is generated stays in the namespace `FUZZ_NAMESPACE`, so that a server with other people's data may be fuzzed:
nothing outside that namespace is overwritten, forgotten or deleted.
"""

from __future__ import annotations

import os
from copy import deepcopy
from typing import Any

import schemathesis

NAMESPACE = os.environ["FUZZ_NAMESPACE"]
WRITES = ("put_session", "append_messages", "update_memory")


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: dict[str, Any]) -> None:
    """Keep a call inside the namespace."""
    if isinstance(case.query, dict):
        case.query["namespace"] = NAMESPACE
    name = (case.operation.definition.raw or {}).get("operationId")
    if not isinstance(case.body, dict):
        return
    body = deepcopy(case.body)
    if name in WRITES:
        body["namespace"] = NAMESPACE
    records = body.get("memories")
    for record in records if isinstance(records, list) else []:
        if isinstance(record, dict):
            record["namespace"] = NAMESPACE
    if name == "create_view":
        filters = body.get("filters")
        body["filters"] = {**(filters if isinstance(filters, dict) else {}), "namespace": NAMESPACE}
    case.body = body


@schemathesis.check
def errors_are_json_with_a_detail(_context: Any, response: Any, case: Any) -> None:
    """Every error is JSON with a `detail`: text, or a list of problems for 422 (wire contract 1.4)."""
    if response.status_code < 400 or case.method.upper() == "HEAD":
        return
    assert response.headers["content-type"][0].startswith("application/json"), response.text
    detail = response.json()["detail"]
    expected = list if response.status_code == 422 else str
    assert isinstance(detail, expected), detail
    assert detail
