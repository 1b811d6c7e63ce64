"""Numbered migrations, recorded in Redis, never run by two at once."""

from __future__ import annotations

import importlib
import pkgutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import migrations
from app.config import Settings
from app.store.client import RedisClient
from migrations.lock import exclusive

APPLIED = "migrations"


@dataclass(frozen=True, slots=True)
class Step:
    """One migration: its number, name, and what it does going up and down."""

    number: int
    name: str
    module: ModuleType

    @property
    def purpose(self) -> str:
        """The first line of what its module says about it."""
        return (self.module.__doc__ or "").strip().partition("\n")[0]


def steps() -> list[Step]:
    """All migrations in this folder (`m0001_initial.py`, …), in order."""
    names = sorted(m.name for m in pkgutil.iter_modules(migrations.__path__) if m.name.startswith("m0"))
    return [Step(int(n[1:5]), n[6:], importlib.import_module(f"migrations.{n}")) for n in names]


def applied(client: RedisClient) -> dict[int, float]:
    """Numbers of the migrations that were run, with the time (Unix seconds)."""
    return {int(k): float(v) for k, v in client.hgetall(APPLIED).items()}


def up(client: RedisClient, settings: Settings, say: Callable[[str], None] = print, *, dry_run: bool = False) -> int:
    """Run what has not been run (or only say what that is); how many that was."""
    if dry_run:
        return _run(client, settings, say, dry_run=True)
    with exclusive(client):
        return _run(client, settings, say, dry_run=False)


def _run(client: RedisClient, settings: Settings, say: Callable[[str], None], *, dry_run: bool) -> int:
    done = applied(client)
    todo = [step for step in steps() if step.number not in done]
    for place, step in enumerate(todo, start=1):
        say(f"[{place}/{len(todo)}] migration {step.number} {step.name}: {step.purpose}")
        if dry_run:
            continue
        started = time.monotonic()
        step.module.up(client, settings)
        client.hset(APPLIED, str(step.number), repr(time.time()))
        say(f"      done in {time.monotonic() - started:.1f} s")
    return len(todo)


def down(client: RedisClient, settings: Settings, say: Callable[[str], None] = print) -> int:
    """Undo the newest migration; 0 if there is none."""
    with exclusive(client):
        done = applied(client)
        for step in reversed(steps()):
            if step.number in done:
                say(f"undo migration {step.number} {step.name}")
                step.module.down(client, settings)
                client.hdel(APPLIED, str(step.number))
                return 1
    return 0
