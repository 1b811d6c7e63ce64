"""`agent-memory doctor`: looks at everything that an operator would look at, and says what to do.

Each check is a function that yields findings; one that cannot be made is a finding too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from redis import RedisError

from app.container import Container
from app.memory.errors import MemoryPlatformError
from app.store import index
from app.store.search_check import require_search
from app.store.vectors import configured

Level = Literal["ok", "warn", "fail"]
# The module's own defaults cut results short without saying so; see SEARCH_CONFIG in app/store/embedded.py.
_SEARCH_ADVICE = "set it in redis.conf (docs/operations.md, section Redis)"
_OLD_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; `advice` is empty when all is well."""

    level: Level
    subject: str
    said: str
    advice: str = ""


def examine(engine: Container) -> Iterator[Finding]:
    """All checks, in an order in which the first failure explains the following ones."""
    yield from _guarded("settings", _settings, engine)
    reachable = list(_guarded("redis", _redis, engine))
    yield from reachable
    if not any(finding.level == "fail" for finding in reachable):
        for subject, check in (
            ("search", _search),
            ("persistence", _persistence),
            ("memory", _memory),
            ("clock", _clock),
            ("migrations", _migrations),
            ("indexes", _indexes),
            ("outbox", _outbox),
            ("jobs", _jobs),
            ("workers", _workers),
        ):
            yield from _guarded(subject, check, engine)
    yield from _guarded("broker", _broker, engine)
    yield from _guarded("models", _models, engine)


def _guarded(subject: str, check: Callable[[Container], Iterator[Finding]], engine: Container) -> Iterator[Finding]:
    try:
        yield from check(engine)
    except (MemoryPlatformError, RedisError, OSError, ImportError, AssertionError) as error:
        yield Finding("fail", subject, f"{type(error).__name__}: {error}", "see the message")


def _settings(engine: Container) -> Iterator[Finding]:
    settings = engine.settings
    if settings.broker_visibility_timeout_seconds <= settings.task_time_limit_seconds:
        yield Finding(
            "fail",
            "settings",
            f"BROKER_VISIBILITY_TIMEOUT_SECONDS ({settings.broker_visibility_timeout_seconds}) is not above "
            f"TASK_TIME_LIMIT_SECONDS ({settings.task_time_limit_seconds})",
            "raise it, or long tasks are delivered twice",
        )
    elif settings.promotion_lease_seconds <= settings.task_time_limit_seconds:
        yield Finding(
            "warn",
            "settings",
            f"PROMOTION_LEASE_SECONDS ({settings.promotion_lease_seconds}) is not above "
            f"TASK_TIME_LIMIT_SECONDS ({settings.task_time_limit_seconds})",
            "raise it, or slow conversations are given to the model twice",
        )
    elif settings.webhook_url and not settings.webhook_secret:
        yield Finding("fail", "settings", "WEBHOOK_URL without WEBHOOK_SECRET", "set one: events are signed")
    elif settings.extraction_backend == "llm" and not settings.llm_configured:
        yield Finding("fail", "settings", "EXTRACTION_BACKEND=llm without a model", "set OPENAI_API_KEY or _BASE_URL")
    else:
        yield Finding("ok", "settings", f"extraction by {settings.resolved_extraction_backend}")


def _redis(engine: Container) -> Iterator[Finding]:
    require_search(engine.redis)
    server = engine.redis.info("server")
    version = str(server.get("valkey_version") or server["redis_version"])
    name = "Valkey" if "valkey_version" in server else "Redis"
    if name == "Redis" and int(version.partition(".")[0]) < 7:
        yield Finding("warn", "redis", f"{name} {version}", "use Redis 8: it is what the platform is deployed with")
    else:
        yield Finding("ok", "redis", f"{name} {version}, up {server['uptime_in_days']} days")


def _search(engine: Container) -> Iterator[Finding]:
    wanted = {"ON_TIMEOUT": "fail", "MINPREFIX": "1"}
    found = {name: _search_setting(engine, name) for name in wanted}
    wrong = [name for name, value in wanted.items() if found[name].lower() != value]
    if wrong:
        said = ", ".join(f"{name} is {found[name]}, not {wanted[name]}" for name in wrong)
        yield Finding("warn", "search", said, f"slow or short queries lose results silently; {_SEARCH_ADVICE}")
    else:
        yield Finding("ok", "search", "a query that takes too long fails instead of losing results")


def _search_setting(engine: Container, name: str) -> str:
    """A setting of the search module; Redis 8 keeps them with its own."""
    try:
        reply = engine.redis.execute_command("FT.CONFIG", "GET", name)
        return str(dict(reply)[name.encode()].decode())
    except (RedisError, KeyError, ValueError):
        modern = {"ON_TIMEOUT": "search-on-timeout", "MINPREFIX": "search-min-prefix"}[name]
        return str(engine.redis.config_get(modern).get(modern, "unknown"))


def _persistence(engine: Container) -> Iterator[Finding]:
    state = engine.redis.info("persistence")
    if not state["aof_enabled"]:
        yield Finding("fail", "persistence", "no append-only file", "appendonly yes: a restart would lose memories")
    elif state.get("aof_last_write_status") != "ok" or state.get("aof_last_bgrewrite_status") != "ok":
        yield Finding("fail", "persistence", "the append-only file cannot be written", "look for a full disk")
    else:
        yield Finding("ok", "persistence", "append-only file, written")


def _memory(engine: Container) -> Iterator[Finding]:
    state = engine.redis.info("memory")
    policy, used, most = state["maxmemory_policy"], state["used_memory"], state["maxmemory"]
    if policy != "noeviction":
        yield Finding("fail", "memory", f"maxmemory-policy {policy}", "set noeviction: others delete memories silently")
    elif most and used > 0.85 * most:
        yield Finding("warn", "memory", f"{used / most:.0%} of maxmemory used", "above it, writes answer 503; raise it")
    else:
        limit = f"of {most / 2**20:,.0f} MB" if most else "without a limit (maxmemory 0)"
        yield Finding("ok", "memory", f"{used / 2**20:,.0f} MB used {limit}, {policy}")


def _clock(engine: Container) -> Iterator[Finding]:
    before = time.time()
    seconds, micros = engine.redis.time()
    yield _skew("this machine", (before + time.time()) / 2 - (seconds + micros / 1e6))
    if (skew := engine.presence.worker_skew_seconds()) is not None:
        yield _skew("the worker", skew)


def _skew(whose: str, seconds: float) -> Finding:
    level: Level = "ok" if abs(seconds) < 1 else "warn" if abs(seconds) < 30 else "fail"
    said = f"{whose} is {abs(seconds):.3f} s {'ahead of' if seconds > 0 else 'behind'} Redis"
    return Finding(level, "clock", said, "" if level == "ok" else "run NTP on all machines: work starts early or late")


def _migrations(engine: Container) -> Iterator[Finding]:
    from migrations import runner

    done = runner.applied(engine.redis)
    pending = [f"{step.number} {step.name}" for step in runner.steps() if step.number not in done]
    if pending:
        yield Finding("fail", "migrations", f"not run: {', '.join(pending)}", "agent-memory migrate")
    else:
        yield Finding("ok", "migrations", f"{len(done)} run, none waits")


def _indexes(engine: Container) -> Iterator[Finding]:
    spaces = engine.spaces
    schemas = {
        index.MEMORIES: index.memories_schema(1, [spaces.serving]),
        index.SESSIONS: index.sessions_schema(1),
    }
    for alias, schema in schemas.items():
        info = index.describe(engine.redis, alias)
        if info is None:
            yield Finding("fail", "indexes", f"{alias} is missing", "agent-memory migrate")
            continue
        missing = sorted(set(schema.field_names) - set(info.fields))
        if missing:
            yield Finding("fail", "indexes", f"{alias} lacks {', '.join(missing)}", "agent-memory reindex")
        elif info.dimensions.get(spaces.serving.field, spaces.serving.dimensions) != spaces.serving.dimensions:
            said = f"{alias} has {info.dimensions} dimensions, the model {spaces.serving.dimensions}"
            yield Finding("fail", "indexes", said, "EMBEDDING_MODEL and EMBEDDING_DIMENSIONS as they were")
        elif info.failures:
            yield Finding("warn", "indexes", f"{alias}: {info.failures} records could not be indexed", "see FT.INFO")
        elif info.indexing:
            yield Finding("warn", "indexes", f"{alias} is being built, {info.share:.0%}", "wait")
        else:
            yield Finding("ok", "indexes", f"{alias} → {info.name}, {info.documents:,} documents")


def _outbox(engine: Container) -> Iterator[Finding]:
    stats = engine.outbox.stats(engine.outbox.namespaces(), time.time())
    if stats.oldest_due_seconds > _OLD_SECONDS:
        said = f"{stats.due} due, the oldest for {stats.oldest_due_seconds:.0f} s"
        yield Finding("warn", "outbox", said, "too few workers, or beat does not run")
    else:
        yield Finding("ok", "outbox", f"{stats.total} unfinished, {stats.due} due")
    if stats.dead:
        yield Finding("warn", "outbox", f"{stats.dead} given up", "agent-memory outbox dead, then outbox replay")


def _jobs(engine: Container) -> Iterator[Finding]:
    for job in engine.jobs.list():
        name, every = job.schedule.name, job.schedule.every_seconds
        if not job.schedule.enabled:
            yield Finding("ok", "jobs", f"{name} is switched off ({job.schedule.switch})")
        elif job.paused:
            yield Finding("warn", "jobs", f"{name} is paused", f"agent-memory jobs resume {name}")
        elif job.last is None or time.time() - job.last.started > 3 * every + _OLD_SECONDS:
            ago = "has not run" if job.last is None else f"ran {time.time() - job.last.started:.0f} s ago"
            yield Finding("warn", "jobs", f"{name} {ago}, is to run every {every:g} s", "is beat running? a worker?")
        elif job.last.error:
            yield Finding("warn", "jobs", f"{name} failed: {job.last.error}", "see the worker's log")
        else:
            yield Finding("ok", "jobs", f"{name} runs every {every:g} s")


def _workers(engine: Container) -> Iterator[Finding]:
    engine.presence.require_worker()
    yield Finding("ok", "workers", "one was seen in the last seconds")


def _broker(engine: Container) -> Iterator[Finding]:
    for queue in engine.background.queues():
        said = f"{queue.name}: {queue.depth} wait, the oldest for {queue.oldest_seconds:.0f} s"
        if queue.oldest_seconds > _OLD_SECONDS:
            yield Finding("warn", "broker", said, f"start more workers for the queue {queue.name}")
        else:
            yield Finding("ok", "broker", said)


def _models(engine: Container) -> Iterator[Finding]:
    spaces = engine.spaces
    for space in spaces.all:
        engine.embedder_of(space).embed(["a test"])
    if not spaces.serving.same_model(configured(engine.settings)):
        advice = "agent-memory embeddings migrate" if spaces.stage == "settled" and not spaces.version else "set it"
        said = f"EMBEDDING_MODEL is {engine.settings.embedding_model}, the store has {spaces.serving.label}"
        yield Finding("warn", "models", f"{said}; that is used", advice)
    else:
        yield Finding("ok", "models", f"embeddings by {spaces.serving.model}")
    if spaces.other is not None:
        said = f"the embedding model is being changed: {spaces.stage}, the other one is {spaces.other.label}"
        yield Finding("warn", "models", said, "agent-memory embeddings")
    if engine.settings.enable_ner:
        engine.entity_recognizer.recognize(["a test"])
        yield Finding("ok", "models", f"entities by {engine.settings.ner_model}")


def worst(findings: list[Finding]) -> Level:
    """The level that the exit code tells."""
    levels = {finding.level for finding in findings}
    return "fail" if "fail" in levels else "warn" if "warn" in levels else "ok"


def as_json(findings: list[Finding]) -> list[dict[str, Any]]:
    """For machines."""
    return [{"level": f.level, "subject": f.subject, "said": f.said, "advice": f.advice} for f in findings]
