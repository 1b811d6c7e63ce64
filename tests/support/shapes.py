"""What answers must look like: the fields of the wire contract, all of them, always."""

from __future__ import annotations

import re
from typing import Any

Json = dict[str, Any]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z\Z")
ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}\Z")

MESSAGE = {"role", "content", "id", "created_at", "persisted_at", "discrete_memory_extracted"}
RECORD = {
    "id", "text", "session_id", "user_id", "namespace", "last_accessed", "created_at", "updated_at", "pinned",
    "access_count", "topics", "entities", "memory_hash", "discrete_memory_extracted", "memory_type", "persisted_at",
    "extracted_from", "event_date", "extraction_strategy", "extraction_strategy_config", "metadata",
}  # fmt: skip
SESSION = {
    "messages", "memories", "data", "context", "user_id", "tokens", "session_id", "namespace",
    "long_term_memory_strategy", "ttl_seconds", "last_accessed", "created_at", "updated_at",
    "context_percentage_total_used", "context_percentage_until_summarization",
}  # fmt: skip
VIEW = {"id", "name", "source", "group_by", "filters", "time_window_days", "continuous", "prompt", "model_name"}
PARTITION = {"view_id", "group", "summary", "memory_count", "empty", "empty_reason", "computed_at"}
TASK = {"id", "type", "status", "view_id", "created_at", "started_at", "completed_at", "error_message"}


def check_time(value: Any) -> None:
    """A time is ISO 8601 in UTC with `Z`."""
    assert isinstance(value, str), value
    assert TIME.match(value), value


def check_record(record: Json) -> None:
    """A memory record has every field, of the right type."""
    assert set(record) >= RECORD, RECORD - set(record)
    for name in ("last_accessed", "created_at", "updated_at"):
        check_time(record[name])
    for name in ("persisted_at", "event_date"):
        assert record[name] is None or TIME.match(record[name]), (name, record[name])
    for name in ("topics", "entities", "extracted_from"):
        assert isinstance(record[name], list), (name, record[name])
        assert all(isinstance(value, str) for value in record[name])
    for name in ("extraction_strategy_config", "metadata"):
        assert isinstance(record[name], dict), (name, record[name])
    assert record["memory_type"] in ("semantic", "episodic", "message")
    assert record["discrete_memory_extracted"] in ("t", "f")
    assert isinstance(record["extraction_strategy"], str)
    assert isinstance(record["pinned"], bool)
    assert type(record["access_count"]) is int


def check_hit(hit: Json) -> None:
    """A search hit is a record with its distance and score."""
    check_record(hit)
    assert set(hit) == RECORD | {"dist", "score", "score_type"}
    assert isinstance(hit["dist"], float)
    assert hit["score"] is None or 0.0 <= hit["score"] <= 1.0
    assert hit["score_type"] in ("semantic", "keyword", "hybrid", None)


def check_results(results: Json) -> None:
    """A page of hits."""
    assert set(results) == {"memories", "total", "next_offset"}
    assert type(results["total"]) is int
    assert results["next_offset"] is None or type(results["next_offset"]) is int
    for hit in results["memories"]:
        check_hit(hit)


def check_message(message: Json) -> None:
    """A message has every field."""
    assert set(message) >= MESSAGE, MESSAGE - set(message)
    check_time(message["created_at"])
    assert message["persisted_at"] is None or TIME.match(message["persisted_at"])
    assert message["discrete_memory_extracted"] in ("t", "f")


def check_session(session: Json) -> None:
    """A session has every field."""
    assert set(session) == SESSION, SESSION ^ set(session)
    for name in ("last_accessed", "created_at", "updated_at"):
        check_time(session[name])
    assert set(session["long_term_memory_strategy"]) == {"strategy", "config"}
    for message in session["messages"]:
        check_message(message)
    for record in session["memories"]:
        check_record(record)


def check_task(task: Json) -> None:
    """A task record has every field."""
    assert set(task) >= TASK, TASK - set(task)
    assert task["status"] in ("pending", "running", "success", "failed")
    check_time(task["created_at"])


def problems(answer: Any, status: int = 422) -> list[Json]:
    """The `detail` list of a validation error, each entry checked for its shape."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    assert answer.headers["content-type"].startswith("application/json")
    detail = answer.json()["detail"]
    assert isinstance(detail, list), detail
    assert detail
    for entry in detail:
        assert {"type", "loc", "msg", "input"} <= set(entry), entry
        assert entry["loc"][0] in ("body", "query", "path"), entry
        assert isinstance(entry["msg"], str)
    return detail


def refusal(answer: Any, status: int) -> str:
    """The `detail` string of any other error."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    assert answer.headers["content-type"].startswith("application/json")
    detail = answer.json()["detail"]
    assert isinstance(detail, str), detail
    return detail
