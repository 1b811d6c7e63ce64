"""Numbered migrations, recorded in Redis, never run by two at once."""

from __future__ import annotations

import importlib
import pkgutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType

import migrations
from app.config import Settings
from app.memory.errors import BackendUnavailable
from app.store.client import RedisClient

APPLIED = "migrations"
LOCK = "migrations:lock"
LOCK_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Step:
    """One migration: its number, name, and what it does going up and down."""

    number: int
    name: str
    module: ModuleType


def steps() -> list[Step]:
    """All migrations in this folder (`m0001_initial.py`, …), in order."""
    names = sorted(m.name for m in pkgutil.iter_modules(migrations.__path__) if m.name.startswith("m0"))
    return [Step(int(n[1:5]), n[6:], importlib.import_module(f"migrations.{n}")) for n in names]


def applied(client: RedisClient) -> dict[int, float]:
    """Numbers of the migrations that were run, with the time (Unix seconds)."""
    return {int(k): float(v) for k, v in client.hgetall(APPLIED).items()}


@contextmanager
def _lock(client: RedisClient) -> Iterator[None]:
    deadline = time.monotonic() + LOCK_SECONDS
    while not client.set(LOCK, "1", nx=True, ex=LOCK_SECONDS):
        if time.monotonic() > deadline:
            raise BackendUnavailable(f"another migration runs for more than {LOCK_SECONDS} s; delete key {LOCK} if not")
        time.sleep(0.2)
    try:
        yield
    finally:
        client.delete(LOCK)


def up(client: RedisClient, settings: Settings, say: Callable[[str], None] = print) -> int:
    """Run what has not been run; how many that was."""
    with _lock(client):
        done = applied(client)
        todo = [step for step in steps() if step.number not in done]
        for step in todo:
            say(f"migration {step.number} {step.name}")
            step.module.up(client, settings)
            client.hset(APPLIED, str(step.number), repr(time.time()))
    return len(todo)


def down(client: RedisClient, settings: Settings, say: Callable[[str], None] = print) -> int:
    """Undo the newest migration; 0 if there is none."""
    with _lock(client):
        done = applied(client)
        for step in reversed(steps()):
            if step.number in done:
                say(f"undo migration {step.number} {step.name}")
                step.module.down(client, settings)
                client.hdel(APPLIED, str(step.number))
                return 1
    return 0
