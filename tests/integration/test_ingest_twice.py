"""Ingesting the same conversations again adds nothing."""

from __future__ import annotations

import os

import pytest

from tests.support.api import Api
from tests.support.builders import a_session, ago, unique
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(
    "AGENT_MEMORY_BASE_URL" in os.environ, reason="needs the short debounce of its own stack"
)

PLACES = ("Lisbon", "Oslo", "Kyoto", "Prague", "Lyon", "Turin", "Graz", "Bonn")
FOODS = ("peanuts", "shellfish", "gluten", "strawberries", "eggs", "soy")
PETS = ("dog", "cat", "parrot", "hamster")


def conversation(number: int) -> list[str]:
    """What one user says: a life of their own, with one change in it."""
    home, next_home = PLACES[number % len(PLACES)], PLACES[(number // 3 + 3) % len(PLACES)]
    return [
        f"I live in {home}.",
        f"I'm allergic to {FOODS[number % len(FOODS)]}.",
        f"I have a {PETS[number % len(PETS)]} called Rex.",
        *([f"I moved to {next_home} last week."] if next_home != home and number % 2 else []),
        "My sister is a nurse.",
    ]


def ingest(api: Api, count: int, prefix: str) -> None:
    """Put the conversations under new session and message ids, said at the same times."""
    sessions = []
    for number in range(count):
        said = conversation(number)
        messages = [
            {"id": f"{prefix}-{number}-{place}", "role": "user", "content": text, "created_at": ago(days=400 - place)}
            for place, text in enumerate(said)
        ]
        session = a_session(f"{prefix}-{number}").of(api.namespace, f"user-{number}").having(messages=messages)
        session.put(api.http)
        sessions.append(session)
    for session in sessions:
        api.wait_until_promoted(session.session_id, timeout=60 + count, **session.scope)


def counts(api: Api) -> tuple[int, int]:
    """Current records, and records that held a hundred days ago."""
    return api.search()["total"], api.search(as_of=ago(days=100))["total"]


def check(api: Api, count: int) -> None:
    ingest(api, count, unique("first"))
    known = counts(api)
    assert known[0] >= 3 * count
    ingest(api, count, unique("second"))
    wait_until(lambda: counts(api) == known, 10, "nothing was added")


def test_the_same_conversations_twice_add_no_record(api: Api):
    check(api, 6)


@pytest.mark.load
def test_the_same_thousand_conversations_twice_add_no_record(api: Api):
    check(api, 1_000)
