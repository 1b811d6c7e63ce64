"""`agent-memory …`: the command line."""

from __future__ import annotations

import gc
import json
import os
import time
from functools import partial
from pathlib import Path

import click

import app as package
from app import cli_operations
from app.cli_embeddings import embeddings
from app.cli_token import token
from app.config import Settings, get_settings
from app.logs import configure_logging
from app.memory.errors import MemoryPlatformError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """A memory server for AI agents. Settings come from the environment; see docs/configuration.md."""
    configure_logging(get_settings())


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(f"agent-memory-platform version {package.__version__}")


@main.command()
def up() -> None:
    """Run everything: Redis (unless REDIS_URL is set), API, worker, beat, MCP and Flower, until Ctrl-C."""
    from app.supervisor import run_stack

    raise SystemExit(run_stack(get_settings(), with_demo=False))


@main.command()
@click.option("--url", help="Play the demo against this server instead of starting one.")
def demo(url: str | None) -> None:
    """Run everything, play a sample conversation through the API, and keep serving."""
    if url:
        from app.demo.player import play

        raise SystemExit(play(url))
    from app.supervisor import run_stack

    # Nobody wants to watch the usual 30 quiet seconds; the child processes inherit this.
    os.environ.setdefault("EXTRACTION_DEBOUNCE_SECONDS", "2")
    get_settings.cache_clear()
    raise SystemExit(run_stack(get_settings(), with_demo=True))


@main.command()
@click.option("--mode", type=click.Choice(["stdio", "streamable-http", "sse"]), default="stdio", show_default=True)
@click.option("--host", help="Bind address of the HTTP modes (MCP_HOST).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the HTTP modes (MCP_PORT).")
@click.option("--task-backend", hidden=True, help="Accepted for compatibility; background work is Celery's.")
def mcp(mode: str, host: str | None, port: int | None, task_backend: str | None) -> None:
    """Serve MCP: over stdio to the host that starts it, or over HTTP (/mcp and /NAMESPACE/mcp; SSE at /sse)."""
    given = {"mcp_host": host, "mcp_port": port}
    settings = get_settings().model_copy(update={name: value for name, value in given.items() if value is not None})
    # A host waits for the first answer, and collecting garbage takes a quarter of the time that the imports need.
    gc.disable()
    if mode == "stdio":
        from app.mcp.stdio import serve
    else:
        from app.mcp.http import serve
    gc.freeze()
    gc.enable()
    serve(settings)


@main.group(invoke_without_command=True)
@click.pass_context
def migrate(context: click.Context) -> None:
    """Bring the store's indexes and data up to date (also: status, down)."""
    if context.invoked_subcommand is None:
        context.invoke(migrate_up)


def _store(settings: Settings):  # type: ignore[no-untyped-def]
    from app.store.client import connect
    from app.store.search_check import require_search

    if not settings.redis_url:
        raise click.ClickException("REDIS_URL is not set; `agent-memory up` runs an embedded Redis and migrates it")
    client = connect(settings)
    try:
        require_search(client)
    except MemoryPlatformError as error:
        raise click.ClickException(str(error)) from error
    return client


def _with_redis(settings: Settings) -> Settings:
    """The settings, with the embedded Redis of the data directory where no other one is named."""
    from app.store.client import connect
    from app.store.embedded import attach_or_start
    from migrations import runner

    if settings.redis_url:
        _store(settings)
        return settings
    server = attach_or_start(settings.data_dir, fsync=settings.embedded_redis_fsync)
    settings = settings.model_copy(update={"redis_url": server.url})
    if server.owned:
        runner.up(connect(settings), settings, lambda _line: None)
    return settings


@migrate.command("up")
@click.option("--dry-run", is_flag=True, help="Only say what would be run.")
def migrate_up(dry_run: bool = False) -> None:
    """Run the migrations that have not been run."""
    from migrations import runner

    count = runner.up(_store(get_settings()), get_settings(), click.echo, dry_run=dry_run)
    click.echo(f"{count} migration(s) {'to run' if dry_run else 'run'}" if count else "nothing to do")


@migrate.command("down")
def migrate_down() -> None:
    """Undo the newest migration."""
    from migrations import runner

    count = runner.down(_store(get_settings()), get_settings(), click.echo)
    click.echo(f"{count} migration(s) undone")


@migrate.command("status")
def migrate_status() -> None:
    """Show the migrations and whether they were run."""
    from migrations import runner

    done = runner.applied(_store(get_settings()))
    for item in runner.steps():
        click.echo(f"{item.number:4d} {item.name:40s} {'applied' if item.number in done else 'pending'}")


@main.command("export")
@click.argument("namespace", required=False)
@click.option("-o", "--output", type=click.File("wb"), default="-", help="File to write; default: standard output.")
def export_namespace(namespace: str | None, output) -> None:  # type: ignore[no-untyped-def]
    """Write a namespace (default: the one without a name) as JSON Lines, without loss."""
    from app.container import container

    _store(get_settings())
    for count, line in enumerate(container().erasure.export(namespace), start=-1):
        output.write(line)
        if count > 0 and count % 1_000 == 0:
            click.echo(f"{count} lines", err=True)


@main.command("import")
@click.argument("source", type=click.File("rb"))
def import_namespace(source) -> None:  # type: ignore[no-untyped-def]
    """Read an export ("-": standard input) back into its namespace; what is there under the same ids is replaced."""
    from app.container import container

    _store(get_settings())
    done = 0
    try:
        for done in container().erasure.load(source, None, any_namespace=True):
            if done % 1_000 == 0:
                click.echo(f"{done} lines", err=True)
    except MemoryPlatformError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{done} lines read", err=True)


@main.command("erase")
@click.option("-n", "--namespace", help="The tenant; default: the one without a name.")
@click.option("-u", "--user-id", required=True)
@click.confirmation_option(prompt="Erase everything about this user?")
def erase_user(namespace: str | None, user_id: str) -> None:
    """Erase everything about one user in one namespace, and print the receipt."""
    from app.container import container
    from app.memory.erasure import Receipt
    from app.memory.models import Scope
    from app.store import codec

    _store(get_settings())
    receipt = container().erasure.erase(Scope(namespace, user_id))
    click.echo(codec.dumps({name: getattr(receipt, name) for name in Receipt.__slots__}).decode())


@main.command()
@click.option("--rollback", is_flag=True, help="Back to the indexes before the last reindex, at once.")
@click.option("--drop-old", is_flag=True, help="Drop the indexes that are not in use any more.")
def reindex(rollback: bool, drop_old: bool) -> None:
    """Build the search indexes anew beside the old ones and switch to them; no request fails meanwhile."""
    from migrations import reindex as building

    client = _store(get_settings())
    try:
        if rollback:
            building.rollback(client, click.echo)
        elif drop_old:
            click.echo(f"{building.drop_old(client, click.echo)} index(es) dropped")
        else:
            building.reindex(client, get_settings(), click.echo)
    except MemoryPlatformError as error:
        raise click.ClickException(str(error)) from error


@main.command("settings")
def settings_table() -> None:
    """Print all settings as the Markdown table of docs/configuration.md."""
    from app.settings_table import settings_markdown

    click.echo(settings_markdown())


@main.command("eval")
@click.option("--namespace", "-n", help="The tenant whose memories are searched, and from which queries are made.")
@click.option("--user-id", "-u", help="Only this user's memories.")
@click.option("--dataset", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="LoCoMo or LongMemEval.")
@click.option("--queries", default=150, show_default=True, help="How many queries are made of the tenant's memories.")
@click.option("--conversations", default=0, help="Use only so many conversations of the data set (0: all).")
@click.option("first", "--a", default="mode=hybrid", show_default=True, help="Configuration: name=value,…")
@click.option("second", "--b", default="mode=semantic", show_default=True, help="The one to compare with.")
@click.option("as_json", "--json", is_flag=True, help="Print JSON.")
def evaluate(
    namespace: str | None, user_id: str | None, dataset: Path | None, queries: int, conversations: int,
    first: str, second: str, as_json: bool,
) -> None:  # fmt: skip
    """Measure retrieval on a tenant's own memories (no language model needed) and compare two configurations.

    Names: mode, alpha, recency, boosts, embedding_model (all memories are embedded here with that model, the index
    stays as it is) and embedding_backend.
    """
    from app.container import Container
    from app.evaluation.command import compare

    if (namespace is None) == (dataset is None):
        raise click.UsageError("give --namespace or --dataset")
    try:
        engine = Container(_with_redis(get_settings()))
        report = compare(
            engine, namespace=namespace, user_id=user_id, dataset=dataset, queries=queries,
            conversations=conversations, configurations=(first, second), say=partial(click.echo, err=True),
        )  # fmt: skip
    except (MemoryPlatformError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps(report.as_json(), indent=1) if as_json else report.as_text())


@main.group()
def models() -> None:
    """Local models."""


@models.command("prepare")
def models_prepare() -> None:
    """Export the embedding model for ONNX Runtime, once per machine."""
    from app.providers.embeddings import create_embedder

    embedder = create_embedder(get_settings())
    click.echo(f"{embedder.model_id} is ready ({embedder.dimensions} dimensions)")


@main.group()
def topics() -> None:
    """Topics of the memories."""


@topics.command("refit")
@click.option("--namespace", help="One tenant; without it, all.")
@click.option("--wait/--no-wait", default=True, help="Wait until the fits are done.")
def topics_refit(namespace: str | None, wait: bool) -> None:
    """Fit the topics anew, in a worker."""
    from app.container import container

    engine = container()
    try:
        started = engine.topic_refit.start(namespace, everything=namespace is None)
        for task in started:
            whose = "shared by small namespaces" if task.details["shared"] else f"namespace {task.details['namespace']}"
            click.echo(f"{task.id}  {whose}")
        while wait and started:
            time.sleep(1.0)
            current = [engine.tasks.get(task.id) or task for task in started]
            for task in current:
                if task.status in ("success", "failed"):
                    click.echo(f"{task.id}  {task.status}  {task.error_message or dict(task.details)}")
            started = [task for task in current if task.status not in ("success", "failed")]
    except MemoryPlatformError as error:
        raise click.ClickException(str(error)) from error


@topics.command("export")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--namespace", help="Whose model; without it, the one that small namespaces share.")
def topics_export(directory: Path, namespace: str | None) -> None:
    """Write the current model to a directory that `BERTopic.load` reads."""
    from app.container import container
    from app.memory.topics.values import SHARED, Corpus
    from app.store.topics import TopicRepository

    repository = TopicRepository(container().redis)
    corpus = Corpus(namespace) if namespace is not None else SHARED
    state = repository.state(corpus)
    if state is None:
        raise click.ClickException("There is no fitted model yet; run: agent-memory topics refit")
    directory.mkdir(parents=True, exist_ok=True)
    for name, data in repository.files(corpus, state.version).items():
        (directory / name).write_bytes(data)
    click.echo(f"version {state.version} of {state.fitted_at:%Y-%m-%d %H:%M} is in {directory}")


for command in cli_operations.COMMANDS:
    main.add_command(command)
main.add_command(token)
main.add_command(embeddings)


if __name__ == "__main__":
    main()
