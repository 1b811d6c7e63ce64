"""A session that is gone, rebuilt from its messages in long-term memory (wire contract 2.7); needs no Redis."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.config import Settings
from app.memory.errors import NotFound
from app.memory.filters import MemoryFilter
from app.memory.models import Memory, MemoryType, Scope, SessionRef
from app.memory.working import Window, WorkingMemory

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
HERE = SessionRef(Scope("ns", "u"), "s")


def kept(number: int, role: str, content: str, user_id: str = "u") -> Memory:
    return Memory(
        f"m{number}",
        f"{role}: {content}",
        MemoryType.MESSAGE,
        namespace="ns",
        user_id=user_id,
        session_id="s",
        created_at=NOON + timedelta(minutes=number),
        metadata={"role": role},
    )


class NoSessions:
    def get(self, _ref: SessionRef, *, exact: bool) -> None:
        return None


class Records:
    """Stands for the index: newest first, as `list_page` promises."""

    def __init__(self, *memories: Memory) -> None:
        self._memories = sorted(memories, key=lambda m: m.created_at, reverse=True)
        self.asked: MemoryFilter | None = None

    def list_page(self, condition: MemoryFilter, *, offset: int, limit: int) -> tuple[list[Any], int]:
        self.asked = condition
        return list(self._memories[offset : offset + limit]), len(self._memories)

    def read(self, keys: list[Any]) -> list[Any]:
        return keys


def get(records: Records, ref: SessionRef = HERE, *, on: bool = True, limit: int | None = None) -> Any:
    settings = Settings(_env_file=None, index_all_messages_in_long_term_memory=on)
    memory = WorkingMemory(NoSessions(), records, settings)  # type: ignore[arg-type]
    return memory.get(ref, Window(), recent_messages_limit=limit)[0]


def test_messages_come_back_with_their_roles_in_the_order_in_which_they_were_said():
    records = Records(kept(2, "assistant", "Hi: there"), kept(1, "user", "Hello"), kept(3, "Tool", "42"))
    session = get(records)
    assert [(m.role, m.content) for m in session.messages] == [
        ("user", "Hello"),
        ("assistant", "Hi: there"),
        ("Tool", "42"),
    ]
    assert [m.id for m in session.messages] == ["m1", "m2", "m3"]
    assert all(m.extracted for m in session.messages), "what was extracted once is not extracted again"
    assert (session.ref, session.context, session.memories, session.revision) == (HERE, "", (), 0)


def test_records_that_clients_made_or_edited_are_read_as_well_as_can_be():
    edited = replace(kept(1, "user", "x"), text="An edited text: no role")
    plain = replace(kept(2, "user", "x"), text="Just words", metadata={})
    foreign = replace(kept(3, "user", "x"), text="Assistant: yes", metadata={})
    assert [(m.role, m.content) for m in get(Records(edited, plain, foreign)).messages] == [
        ("user", "An edited text: no role"),
        ("user", "Just words"),
        ("assistant", "yes"),
    ]


def test_only_messages_of_the_session_and_the_given_scope_are_asked_for():
    records = Records(kept(1, "user", "Hello"))
    get(records, SessionRef(Scope(None, "u"), "s"))
    assert records.asked is not None
    assert {name: filters[0].eq for name, filters in records.asked.tags.items()} == {
        "session_id": "s",
        "memory_type": "message",
        "user_id": "u",
    }


def test_the_limit_takes_the_newest():
    records = Records(*[kept(n, "user", str(n)) for n in range(5)])
    assert [m.content for m in get(records, limit=2).messages] == ["3", "4"]


@pytest.mark.parametrize(
    "records",
    [Records(), Records(kept(1, "user", "mine"), kept(2, "user", "theirs", user_id="another"))],
    ids=["none", "several tenants'"],
)
def test_nothing_is_guessed(records):
    with pytest.raises(NotFound):
        get(records)


def test_a_deployment_that_keeps_no_messages_rebuilds_nothing():
    with pytest.raises(NotFound):
        get(Records(kept(1, "user", "Hello")), on=False)
