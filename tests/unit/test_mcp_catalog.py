"""What `tools/list` answers: true to the tools, complete, and cheap to give."""

from __future__ import annotations

import subprocess
import sys

import pytest

from app.mcp import catalog

# Wire contract 8.2: names, and parameters (required ones first).
PARAMETERS = {
    "get_current_datetime": ((), ()),
    "create_long_term_memories": (("memories",), ()),
    "search_long_term_memory": (
        ("text",),
        (
            "search_mode", "session_id", "namespace", "topics", "entities", "created_at", "last_accessed", "user_id",
            "memory_type", "extraction_strategy", "event_date", "distance_threshold", "limit", "offset",
            "optimize_query", "recency_boost", "recency_semantic_weight", "recency_recency_weight",
            "recency_freshness_weight", "recency_novelty_weight", "recency_half_life_last_access_days",
            "recency_half_life_created_days", "server_side_recency",
        ),
    ),
    "memory_prompt": (
        ("query",),
        (
            "session_id", "namespace", "model_name", "context_window_max", "topics", "entities", "created_at",
            "last_accessed", "user_id", "memory_type", "event_date", "distance_threshold", "search_mode", "limit",
            "offset", "optimize_query", "recency_boost", "recency_semantic_weight", "recency_recency_weight",
            "recency_freshness_weight", "recency_novelty_weight", "recency_half_life_last_access_days",
            "recency_half_life_created_days", "server_side_recency", "include_long_term_search",
        ),
    ),
    "set_working_memory": (
        ("session_id",),
        (
            "memories", "messages", "context", "data", "namespace", "user_id", "ttl_seconds",
            "long_term_memory_strategy",
        ),
    ),
    "get_working_memory": (("session_id",), ("user_id", "namespace", "recent_messages_limit")),
    "get_long_term_memory": (("memory_id",), ()),
    "edit_long_term_memory": (
        ("memory_id",),
        ("text", "topics", "entities", "memory_type", "namespace", "user_id", "session_id", "event_date", "pinned"),
    ),
    "delete_long_term_memories": (("memory_ids",), ()),
    "compact_long_term_memories": ((), ("namespace", "user_id", "session_id")),
}  # fmt: skip


def test_the_stored_catalog_is_that_of_the_tools():
    assert catalog.tools() == catalog.build(), "out of date: run `python -m app.mcp.catalog`"


@pytest.mark.parametrize("tool", catalog.tools(), ids=lambda tool: tool["name"])
def test_a_tool_has_the_parameters_of_the_contract(tool):
    required, optional = PARAMETERS[tool["name"]]
    assert set(tool["inputSchema"]["properties"]) == {*required, *optional}
    assert tuple(tool["inputSchema"].get("required", ())) == required
    assert tool["outputSchema"]["type"] == "object"
    assert len(tool["description"]) > 60


def test_there_are_ten_tools():
    assert {tool["name"] for tool in catalog.tools()} == set(PARAMETERS)


def test_the_list_is_answered_without_loading_the_engine():
    program = (
        "import sys, app.cli, app.mcp.stdio, app.mcp.catalog; app.mcp.catalog.tools(); "
        "print(*sorted({'flask', 'numpy', 'redis', 'redisvl', 'celery', 'spacy', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
