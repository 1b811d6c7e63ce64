"""Commands for operators. What they need is imported when they run: `agent-memory mcp` must start at once."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.config import get_settings
from app.memory.errors import MemoryPlatformError

if TYPE_CHECKING:
    from app.container import Container

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def the_engine() -> Container:
    """The process's engine, loaded when a command needs it."""
    from app.container import container

    return container()


class Checked(click.Command):
    """A command whose engine errors are messages, not tracebacks."""

    def invoke(self, context: click.Context) -> None:
        """Run it."""
        if not get_settings().redis_url:
            raise click.ClickException("REDIS_URL is not set; say which deployment (`agent-memory up` prints its URL)")
        try:
            super().invoke(context)
        except MemoryPlatformError as error:
            raise click.ClickException(str(error)) from error


@click.command(cls=Checked)
@click.option("--json", "as_json", is_flag=True, help="One JSON array instead of lines.")
def doctor(as_json: bool) -> None:
    """Check settings, Redis, queues, models, clocks, indexes and backlog. Exit code 0: fine, 1: fail, 2: warnings."""
    from app import doctor as checks

    findings = []
    for finding in checks.examine(the_engine()):
        findings.append(finding)
        if not as_json:
            level = click.style(f"{finding.level:4}", fg=_COLOURS[finding.level])
            advice = f" → {finding.advice}" if finding.advice else ""
            click.echo(f"{level} {finding.subject:12} {finding.said}{advice}")
    if as_json:
        click.echo(json.dumps(checks.as_json(findings), indent=2))
    raise SystemExit({"ok": 0, "warn": 2, "fail": 1}[checks.worst(findings)])


@click.group(invoke_without_command=True)
@click.pass_context
def jobs(context: click.Context) -> None:
    """List the background jobs: switch, schedule, last run and what it did (also: pause, resume)."""
    if context.invoked_subcommand is None:
        context.invoke(list_jobs)


@jobs.command("list", cls=Checked)
def list_jobs() -> None:
    """List the background jobs."""
    for job in the_engine().jobs.list():
        state = "paused" if job.paused else "on" if job.schedule.enabled else "off"
        ran = "never"
        if job.last:
            at = datetime.fromtimestamp(job.last.started, UTC).strftime("%Y-%m-%d %H:%M:%S")
            ran = f"{at} UTC, {job.last.seconds:.2f} s, {job.last.error or json.dumps(job.last.effect)}"
        every = f"every {job.schedule.every_seconds:g} s"
        click.echo(f"{job.schedule.name:20} {state:7} {every:14} {ran}  ({job.schedule.switch})")


@jobs.command(cls=Checked)
@click.argument("name")
def pause(name: str) -> None:
    """Let a job do nothing until it is resumed."""
    the_engine().jobs.pause(name, True)


@jobs.command(cls=Checked)
@click.argument("name")
def resume(name: str) -> None:
    """Let a paused job run again."""
    the_engine().jobs.pause(name, False)


@click.group(invoke_without_command=True)
@click.pass_context
def outbox(context: click.Context) -> None:
    """Show the work that is not finished (also: dead, replay)."""
    if context.invoked_subcommand is None:
        context.invoke(status)


@outbox.command(cls=Checked)
def status() -> None:
    """How much work waits."""
    stats = the_engine().outbox.stats(the_engine().outbox.namespaces(), time.time())
    click.echo(f"unfinished {stats.total}  due {stats.due}  oldest due {stats.oldest_due_seconds:.0f} s")
    click.echo(f"given up   {stats.dead}")


_namespace = click.option("-n", "--namespace", help="One tenant; without it, all.")


@outbox.command(cls=Checked)
@_namespace
def dead(namespace: str | None) -> None:
    """List the work that was given up, one JSON object a line."""
    from app.api.jobs import DeadLetterSchema

    engine = the_engine()
    for tenant in _tenants(engine, namespace):
        for found in engine.outbox.dead_letters(tenant):
            click.echo(json.dumps(DeadLetterSchema().dump(found)))


@outbox.command(cls=Checked)
@_namespace
def replay(namespace: str | None) -> None:
    """Make the work that was given up due again."""
    engine = the_engine()
    count = sum(engine.outbox.replay(tenant, time.time()) for tenant in _tenants(engine, namespace))
    click.echo(f"{count} made due again")


@click.command(cls=Checked)
@click.argument("target", type=click.Path(file_okay=False, path_type=Path))
@click.option("--redis-dir", type=click.Path(file_okay=False, path_type=Path), help="Redis' data directory, seen here.")
def backup(target: Path, redis_dir: Path | None) -> None:
    """Copy Redis' append-only files to a new directory while it serves."""
    from redis import RedisError

    from app.backup import back_up

    try:
        described = back_up(the_engine().redis, target, directory=redis_dir)
    except (OSError, RedisError) as error:
        raise click.ClickException(f"{type(error).__name__}: {error}") from error
    click.echo(f"{target}: {described['keys']} keys, documents {described['documents']}")


@click.command("import-ams")
@click.option("--source-url", required=True, help="Redis of the Redis Agent Memory Server; it is only read.")
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, help="This platform.")
@click.option("--token", envvar="AGENT_MEMORY_TOKEN", help="Bearer token for this platform.")
@click.option("--session-prefix", default="working_memory:", show_default=True)
@click.option("--memory-prefix", default="memory_idx:", show_default=True)
@click.option("--views/--no-views", default=True, show_default=True, help="Summary views, into REDIS_URL directly.")
@click.option("--tokens/--no-tokens", default=True, show_default=True, help="Its clients' tokens, into REDIS_URL too.")
@click.option("--dry-run", is_flag=True, help="Only count what is there.")
def import_ams(
    source_url: str,
    url: str,
    token: str | None,
    session_prefix: str,
    memory_prefix: str,
    views: bool,
    tokens: bool,
    dry_run: bool,
) -> None:
    """Import sessions, memories, summary views and tokens from the Redis of a Redis Agent Memory Server."""
    import httpx2
    import redis

    from app.ams_import import Importer

    if (views or tokens) and not get_settings().redis_url:
        left = "--no-views --no-tokens"
        raise click.ClickException(f"summary views and tokens go into the store directly: set REDIS_URL, or say {left}")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    source = redis.Redis.from_url(source_url, protocol=2, socket_timeout=30)
    try:
        with httpx2.Client(base_url=url, headers=headers, timeout=120) as http:
            importer = Importer(
                source,
                http,
                the_engine().views if views else None,
                the_engine().imported_tokens if tokens else None,
                session_prefix=session_prefix,
                memory_prefix=memory_prefix,
                say=click.echo,
            )
            report = importer.run(dry_run=dry_run)
    except (httpx2.HTTPError, redis.RedisError, MemoryPlatformError) as error:
        raise click.ClickException(f"{type(error).__name__}: {error}; run it again, nothing is stored twice") from error
    click.echo(
        f"{report.memories} memories, {report.sessions} sessions, {report.views} summary views, "
        f"{report.partitions} partitions, {report.tokens} tokens {'found' if dry_run else 'imported'}"
    )
    if report.expired_tokens:
        click.echo(f"{report.expired_tokens} expired tokens left")
    for key, why in report.refused:
        click.echo(f"refused {key}: {why}", err=True)
    raise SystemExit(1 if report.refused else 0)


def _tenants(engine: Container, namespace: str | None) -> list[str | None]:
    return [namespace] if namespace is not None else engine.outbox.namespaces()


COMMANDS = (doctor, jobs, outbox, backup, import_ams)
