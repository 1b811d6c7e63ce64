"""One runner at a time: a lock in Redis that its holder renews while it works, and that expires when it dies."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import LockError, LockNotOwnedError, RedisError

from app.memory.errors import BackendUnavailable
from app.store.client import RedisClient

LOCK = "migrations:lock"
LEASE_SECONDS = 30.0
WAIT_SECONDS = 600.0


@contextmanager
def exclusive(
    client: RedisClient, *, wait_seconds: float = WAIT_SECONDS, lease_seconds: float = LEASE_SECONDS
) -> Iterator[None]:
    """Hold the lock; others wait for it. Raises BackendUnavailable when somebody else holds it for too long."""
    lock = client.lock(LOCK, timeout=lease_seconds, blocking_timeout=wait_seconds, sleep=0.1, thread_local=False)
    if not lock.acquire():
        raise BackendUnavailable(f"another migration has been running for more than {wait_seconds:g} s")
    done = threading.Event()

    def renew() -> None:
        while not done.wait(lease_seconds / 3):
            try:
                lock.reacquire()
            except LockNotOwnedError:
                return  # Redis lost it; `release` below says so
            except (LockError, RedisError):
                continue  # away for a moment: the lease covers two more tries

    renewer = threading.Thread(target=renew, name="migration-lock", daemon=True)
    renewer.start()
    try:
        yield
    finally:
        done.set()
        renewer.join()
        try:
            lock.release()
        except LockError as error:
            raise BackendUnavailable("the migration lock was lost while migrating; look at `migrate status`") from error
