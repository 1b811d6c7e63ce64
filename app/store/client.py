"""The Redis connection, and the one place where its failures become the engine's errors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar
from urllib.parse import unquote, urlsplit

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from app.config import Settings
from app.memory.errors import BackendUnavailable

T = TypeVar("T", bound=type)

# redis-py annotates replies for all its modes at once; ours are bytes throughout.
RedisClient: TypeAlias = Any

# Besides the exception classes: replies that say "not now" rather than "your command is wrong".
_TRANSIENT_REPLIES = ("LOADING", "OOM", "MISCONF", "READONLY", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "Timeout limit")


def connect(settings: Settings) -> RedisClient:
    """A thread-safe client with a pool.

    RESP2 on purpose: the search module's replies have one stable shape there on every server version.
    """
    assert settings.redis_url, "REDIS_URL must be resolved before connecting"
    options: dict[str, Any] = {
        "protocol": 2,
        "max_connections": settings.redis_max_connections,
        "socket_timeout": settings.redis_timeout_seconds,
        "socket_connect_timeout": min(2.0, settings.redis_timeout_seconds),
        "socket_keepalive": True,
        "health_check_interval": 30,
        # A time-out is not tried again: connecting and commanding both do, and a Redis that hangs would hold a request
        # for nine time-outs instead of one.
        "retry": Retry(ExponentialBackoff(cap=0.2, base=0.02), 2, supported_errors=(redis.ConnectionError,)),
    }
    if settings.redis_sentinel_service:
        return _master(settings.redis_url, settings.redis_sentinel_service, options)
    return redis.Redis.from_url(settings.redis_url, **options)


def _master(url: str, service: str, options: dict[str, Any]) -> RedisClient:
    """A client of whichever server the sentinels call the master; after a failover it follows."""
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    addresses = [(host.rpartition(":")[0], int(host.rpartition(":")[2])) for host in hosts.split(",")]
    timeouts = {name: options[name] for name in ("socket_timeout", "socket_connect_timeout")}
    sentinels: Any = Sentinel(addresses, sentinel_kwargs=timeouts)  # type: ignore[no-untyped-call]
    return sentinels.master_for(service, username=unquote(user) or None, password=unquote(password) or None, **options)


def translate(error: redis.RedisError) -> Exception:
    """The engine's error for a Redis error; the same object if it is a fault of ours."""
    transient = (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError, redis.OutOfMemoryError)
    if isinstance(error, transient) or any(marker in str(error) for marker in _TRANSIENT_REPLIES):
        return BackendUnavailable(f"the store is not available: {type(error).__name__}")
    return error


def _guarded(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except redis.RedisError as error:
            translated = translate(error)
            if translated is error:
                raise
            raise translated from error

    return call


def store_errors(cls: T) -> T:
    """Class decorator: public methods raise BackendUnavailable when Redis cannot serve them."""
    for name, attribute in list(vars(cls).items()):
        if callable(attribute) and not name.startswith("_") and not isinstance(attribute, (staticmethod, classmethod)):
            setattr(cls, name, _guarded(attribute))
    return cls
