"""Refuse early, with advice, a Redis that cannot search or would lose what it is given."""

from __future__ import annotations

from typing import Any

import redis

from app.memory.errors import BackendUnavailable

ADVICE = (
    "Use the image redis:8 (docker/compose.yaml), a Redis Stack, or a managed Redis with search enabled; "
    "or unset REDIS_URL to run the embedded server."
)


def require_search(client: redis.Redis) -> None:
    """Check that the server answers and knows the search commands.

    Raises BackendUnavailable with what to do. A server that is still loading its data is unavailable, not wrong.
    """
    where = _address(client)
    untyped: Any = client  # redis-py leaves execute_command without types
    try:
        untyped.execute_command("FT._LIST")
    except redis.AuthenticationError as error:
        raise BackendUnavailable(f"Redis at {where} refused the credentials in REDIS_URL: {error}") from error
    except redis.BusyLoadingError as error:
        raise BackendUnavailable(f"Redis at {where} is still loading its data; try again shortly") from error
    except redis.ResponseError as error:
        if "unknown command" in str(error).lower():
            raise BackendUnavailable(
                f"Redis at {where} has no search module (modules: {_modules(client)}). {ADVICE}"
            ) from error
        raise BackendUnavailable(f"Redis at {where} does not allow FT._LIST: {error}. {ADVICE}") from error
    except redis.RedisError as error:
        raise BackendUnavailable(f"Redis at {where} does not answer: {error}") from error


def _modules(client: Any) -> str:
    """Names of the loaded modules; the reply is a list of maps (RESP3) or of flat key-value lists (RESP2)."""
    try:
        names = [_name(entry) for entry in client.execute_command("MODULE", "LIST")]
    except redis.RedisError:
        return "unknown"
    return ", ".join(sorted(names)) or "none"


def _name(entry: Any) -> str:
    if not isinstance(entry, dict):
        entry = dict(zip(entry[::2], entry[1::2], strict=False))
    fields = {_text(key): value for key, value in entry.items()}
    return _text(fields.get("name", "?"))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _address(client: redis.Redis) -> str:
    """Where the client connects to, without its password."""
    options = client.connection_pool.connection_kwargs
    return str(options.get("path") or f"{options.get('host', 'localhost')}:{options.get('port', 6379)}")
