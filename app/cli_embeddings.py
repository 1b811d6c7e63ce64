"""`agent-memory embeddings`: the embedding model of a store, and changing it while it serves."""

from __future__ import annotations

import json

import click

from app.cli_operations import Checked, the_engine


@click.group(invoke_without_command=True)
@click.pass_context
def embeddings(context: click.Context) -> None:
    """Show the embedding model of the store (also: migrate, compare, switch, rollback, settle)."""
    if context.invoked_subcommand is None:
        context.invoke(status)


@embeddings.command(cls=Checked)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(as_json: bool = False) -> None:
    """Show the model in use, a change under way, who follows it, and the last comparison."""
    from dataclasses import asdict

    repository = the_engine().space_repository
    spaces, followers, report = repository.load(), repository.followers(), repository.last_report()
    if as_json:
        told = {"spaces": asdict(spaces), "processes": [asdict(f) for f in followers], "comparison": report}
        click.echo(json.dumps(told, indent=1))
        return
    click.echo(f"searched  {spaces.serving.label}")
    if spaces.other is not None:
        click.echo(f"also kept {spaces.other.label}; {spaces.stage}")
    for follower in followers:
        behind = (
            "" if follower.version == spaces.version else f", behind{': ' + follower.error if follower.error else ''}"
        )
        click.echo(f"process   {follower.name}{behind}")
    if report is not None:
        click.echo(
            f"compared  {report['verdict']}; overlap@10 {report['overlap@10']:.1%} over {report['queries']} queries"
        )


@embeddings.command(cls=Checked)
@click.option("--model", required=True, help="The new embedding model.")
@click.option(
    "--backend", type=click.Choice(["onnx", "sentence-transformers", "openai"]), help="Default: EMBEDDING_BACKEND."
)
@click.option("--dimensions", type=click.IntRange(1), required=True, help="Dimensions of its vectors.")
@click.option("--base-url", help="Endpoint of an `openai` model; default: EMBEDDING_BASE_URL, then OPENAI_BASE_URL.")
@click.option("--concurrency", type=click.IntRange(1, 64), default=4, show_default=True, help="Model calls at once.")
@click.option("--dry-run", is_flag=True, help="Only try the model and say what would be done.")
def migrate(
    model: str, backend: str | None, dimensions: int, base_url: str | None, concurrency: int, dry_run: bool
) -> None:
    """Give all memories vectors of another model, beside those that are searched. Run it again after a crash."""
    from app.store.vectors import configured
    from migrations import embedding

    engine = the_engine()
    given = {"embedding_model": model, "embedding_dimensions": dimensions}
    given |= {"embedding_backend": backend} if backend else {}
    given |= {"embedding_base_url": base_url} if base_url else {}
    target = configured(engine.settings.model_copy(update=given))
    if dry_run:
        embedding.plan(engine, target, click.echo)
    else:
        embedding.migrate(engine, target, click.echo, concurrency=concurrency)


@embeddings.command(cls=Checked)
@click.option("--queries", type=click.IntRange(1), default=200, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def compare(queries: int, as_json: bool) -> None:
    """Ask both models the same queries, made of the store's own memories."""
    from app.evaluation.spaces import compare_spaces

    report = compare_spaces(the_engine(), queries=queries)
    click.echo(json.dumps(report.as_json(), indent=1) if as_json else report.as_text())


def _step(name: str, text: str) -> None:
    @embeddings.command(name, cls=Checked, help=text)
    def run() -> None:
        from migrations import embedding

        getattr(embedding, name)(the_engine(), click.echo)


_step("switch", "Let searches use the new model; no process is restarted, no request fails.")
_step("rollback", "Let searches use the old model again.")
_step("settle", "Keep the model that is searched; the other one's vectors and index go.")
