"""The queues, by what limits the work in them."""

from __future__ import annotations

import enum
from typing import Any

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

# What a broker that is away raises; kombu passes some of its client's errors through.
BROKER_AWAY = (OperationalError, RedisError, ConnectionError, TimeoutError, OSError)


class Queue(enum.StrEnum):
    """`llm` waits for the network, `ml` needs a processor and loaded models, `store` is short Redis work."""

    LLM = "llm"
    ML = "ml"
    STORE = "store"


def depth(channel: Any, queue: str) -> int:
    """Tasks that wait in a queue."""
    if hasattr(channel, "_size"):
        return int(channel._size(queue))
    # Not one of kombu's virtual transports: RabbitMQ. Declared as workers do it, in case none has ever run.
    return int(channel.queue_declare(queue, durable=True, auto_delete=False).message_count)
