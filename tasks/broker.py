"""kombu's Redis transports with one fault mended.

After the broker was killed, Celery closes the lost connection twice, and a channel that still holds unacknowledged
messages then asks for a connection that is gone. kombu answers with an AttributeError, which no caller takes for what
it is: the worker ends with "Unrecoverable error" instead of connecting again (about one kill in five; celery 5.7.0,
kombu 5.7.0). With a connection error, which is what happened, it connects again.
"""

from __future__ import annotations

from typing import Any

from kombu import transport as transports
from kombu.transport import redis


class _Mended:
    connection: Any

    def _connparams(self, asynchronous: bool = False) -> Any:
        if self.connection is None or self.connection.client is None:
            raise ConnectionError("the connection to the broker is closed")
        return super()._connparams(asynchronous)  # type: ignore[misc]


class Channel(_Mended, redis.Channel):  # type: ignore[misc]
    """A channel to Redis."""


class Transport(redis.Transport):  # type: ignore[misc]
    """Redis as broker."""

    Channel = Channel


class SentinelChannel(_Mended, redis.SentinelChannel):  # type: ignore[misc]
    """A channel to the master that Sentinel names."""


class SentinelTransport(redis.SentinelTransport):  # type: ignore[misc]
    """Redis behind Sentinel as broker."""

    Channel = SentinelChannel


def use() -> None:
    """Let the broker URLs mean these transports."""
    for scheme, transport in (("redis", "Transport"), ("rediss", "Transport"), ("sentinel", "SentinelTransport")):
        transports.TRANSPORT_ALIASES[scheme] = f"tasks.broker:{transport}"
        transports._transport_cache.pop(scheme, None)
