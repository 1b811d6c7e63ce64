"""`agent-memory token …`: give out tokens, list and remove them (wire contract 10)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from app.config import get_settings
from app.memory.errors import MemoryPlatformError
from app.memory.permissions import Access, Limits

if TYPE_CHECKING:
    from app.store.tokens import ImportedTokenRepository, StoredToken, TokenRepository

SHOWN_HASH_CHARS = 16
_FORMAT = click.option("--format", "shape", type=click.Choice(["text", "json"]), default="text", show_default=True)


@click.group("token")
def token() -> None:
    """Tokens for AUTH_MODE=token."""


@token.command("add")
@click.option("-d", "--description", required=True, help="What it is for.")
@click.option("-e", "--expires-days", type=click.FloatRange(min=0), help="Days until it expires; default: never.")
@click.option("--token", "given", help="Use this token instead of a new random one (32 random characters or more).")
@click.option("--namespace", "namespaces", multiple=True, help="Limit it to this namespace (repeatable).")
@click.option(
    "--namespace-prefix", "prefixes", multiple=True, help="Limit it to namespaces that begin so (repeatable)."
)
@click.option("--user", "users", multiple=True, help="Limit it to this user's data (repeatable).")
@click.option(
    "--access",
    type=click.Choice([a.name.lower() for a in Access if a]),
    default="admin",
    show_default=True,
    help="What it may do: read; write as well; or also forget, compact, export and erase.",
)
@_FORMAT
def add(
    description: str,
    expires_days: float | None,
    given: str | None,
    namespaces: tuple[str, ...],
    prefixes: tuple[str, ...],
    users: tuple[str, ...],
    access: str,
    shape: str,
) -> None:
    """Make a token. It is shown once: only its hash is stored."""
    from app.auth.tokens import MIN_LENGTH, describe, new_token

    if given is not None and len(given) < MIN_LENGTH:
        raise click.ClickException(
            f"a token needs {MIN_LENGTH} random characters or more: its hash must not be guessed"
        )
    if not all((*namespaces, *prefixes, *users)):
        raise click.ClickException("a limit may not be empty")
    secret = given or new_token()
    limits = Limits(namespaces or None, prefixes, users or None)
    made = describe(secret, description, expires_days=expires_days, access=Access[access.upper()], limits=limits)
    _stores()[0].save(made)
    if shape == "json":
        about = _about(made)
        del about["status"]
        click.echo(json.dumps({"token": secret, **about}, indent=2))
        return
    click.echo(f"Token: {secret}")
    click.echo("Keep it: it is not stored and cannot be shown again.")
    _print(made, None)


@token.command("list")
@_FORMAT
def list_tokens(shape: str) -> None:
    """List the tokens, newest first; "Unclaimed" are imported ones that nobody has sent yet."""
    tokens, imported = _stores()
    unclaimed = (one.token for one in imported.all())
    found = sorted([*tokens.all(), *unclaimed], key=lambda t: t.created_at, reverse=True)
    used = tokens.last_used([t.hash for t in found])
    if shape == "json":
        click.echo(json.dumps([_about(t, at) for t, at in zip(found, used, strict=True)], indent=2))
        return
    if not found:
        click.echo("No tokens. Make one: agent-memory token add -d 'what it is for'")
    for one, at in zip(found, used, strict=True):
        click.echo(
            f"{one.hash[:SHOWN_HASH_CHARS]}  {_status(one):13}  {_reach(one):30}  "
            f"last used {_moment(at) if at else 'never':20}  {one.description}"
        )


@token.command("show")
@click.argument("hash", metavar="HASH")
@_FORMAT
def show(hash: str, shape: str) -> None:
    """Show one token by its hash, or by the beginning of it."""
    tokens, imported = _stores()
    found = _one(tokens, imported, hash)
    used = tokens.last_used([found.hash])[0]
    if shape == "json":
        click.echo(json.dumps(_about(found, used), indent=2))
    else:
        _print(found, used)


@token.command("remove")
@click.argument("hash", metavar="HASH")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
def remove(hash: str, force: bool) -> None:
    """Remove a token by its hash, or by the beginning of it: from now on it opens nothing."""
    tokens, imported = _stores()
    found = _one(tokens, imported, hash)
    if not force:
        click.confirm(f"Remove {found.hash[:SHOWN_HASH_CHARS]} ({found.description})?", abort=True)
    if found.claimed:
        tokens.delete(found.hash)
    elif not any(imported.delete(one) for one in imported.all() if one.token.hash == found.hash):
        raise click.ClickException(
            "its holder claimed it at this moment: see `agent-memory token list` for its new hash"
        )
    click.echo(f"Removed {found.hash[:SHOWN_HASH_CHARS]} ({found.description})")


def _stores() -> tuple[TokenRepository, ImportedTokenRepository]:
    """Where tokens are kept: the Redis of the settings, or the embedded one of the data directory."""
    from app.store.client import connect
    from app.store.embedded import attach_or_start
    from app.store.tokens import ImportedTokenRepository, TokenRepository

    settings = get_settings()
    try:
        url = settings.redis_url or attach_or_start(settings.data_dir, fsync=settings.embedded_redis_fsync).url
        client = connect(settings.model_copy(update={"redis_url": url}))
        tokens = TokenRepository(client)
        tokens.last_used(["-"])  # say at once, and not in a traceback, that nobody is there
    except MemoryPlatformError as error:
        raise click.ClickException(str(error)) from error
    return tokens, ImportedTokenRepository(client)


def _one(tokens: TokenRepository, imported: ImportedTokenRepository, beginning: str) -> StoredToken:
    unclaimed = (one.token for one in imported.all())
    found = [token for token in (*tokens.all(), *unclaimed) if token.hash.startswith(beginning.lower())]
    if not found or not beginning:
        raise click.ClickException(f"there is no token with the hash {beginning}")
    if len(found) > 1:
        raise click.ClickException(f"{len(found)} tokens have hashes that begin with {beginning}: give more of it")
    return found[0]


def _about(one: StoredToken, last_used: datetime | None = None) -> dict[str, Any]:
    """The contract's fields; what is limited and when it was used only where there is something to say."""
    about: dict[str, Any] = {
        "hash": one.hash,
        "description": one.description,
        "created_at": one.created_at.isoformat(),
        "expires_at": one.expires_at.isoformat() if one.expires_at else None,
        "status": _status(one),
    }
    if one.access is not Access.ADMIN:
        about["access"] = one.access.name.lower()
    if last_used:
        about["last_used_at"] = last_used.isoformat()
    return about | one.limits.as_json()


def _status(one: StoredToken) -> str:
    if one.expires_at is not None and one.expires_at <= datetime.now(UTC):
        return "EXPIRED"
    if not one.claimed:
        return "Unclaimed"
    return "Active" if one.expires_at is not None else "Never Expires"


def _reach(one: StoredToken) -> str:
    limits = one.limits
    names = [*(limits.namespaces or ()), *(f"{prefix}*" for prefix in limits.namespace_prefixes)]
    parts = [one.access.name.lower()]
    parts += [f"namespace {', '.join(names)}"] if not limits.any_namespace else []
    parts += [f"user {', '.join(limits.users)}"] if limits.users is not None else []
    return "; ".join(parts)


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _print(one: StoredToken, last_used: datetime | None) -> None:
    rows = [
        ("Hash", one.hash),
        ("Description", one.description),
        ("May", _reach(one)),
        ("Created", _moment(one.created_at)),
        ("Expires", _moment(one.expires_at) if one.expires_at else "never"),
        ("Status", _status(one)),
        ("Last used", _moment(last_used) if last_used else "never"),
    ]
    for name, value in rows:
        click.echo(f"{name + ':':13}{value}")
