"""`rediss://` for store, broker and results, on two servers; the certificate is checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.config import Settings
from app.memory.errors import BackendUnavailable
from app.store.client import connect
from app.store.outbox import Outbox
from tests.support.api import Api
from tests.support.builders import a_session, unique
from tests.support.redis_server import embedded_redis
from tests.support.stack import Stack, stopped_and_explained
from tests.support.tls import certificate, tls_proxy

pytestmark = pytest.mark.integration


class TlsStack(Stack):
    """A stack whose processes reach their store at another URL."""

    store_url: str

    def start_redis(self) -> None:
        """Start Redis; the processes get the URL of the proxy in front of it."""
        self.redis.start()
        self.environment["REDIS_URL"] = self.store_url


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2].partition("/")[0])


@pytest.mark.load
def test_a_session_becomes_memories_over_tls_with_broker_and_store_on_two_servers(tmp_path: Path):
    chain, secret = certificate(tmp_path)
    checked = f"ssl_cert_reqs=required&ssl_ca_certs={chain}"
    stack = TlsStack()
    store = stack.redis.start()
    with (
        embedded_redis() as broker,
        tls_proxy(port_of(store), chain, secret) as store_port,
        tls_proxy(port_of(broker.url), chain, secret) as broker_port,
        stopped_and_explained(stack),
    ):
        stack.store_url = f"rediss://127.0.0.1:{store_port}/0?{checked}"
        stack.environment["CELERY_BROKER_URL"] = f"rediss://127.0.0.1:{broker_port}/0?{checked}"
        stack.environment["CELERY_RESULT_BACKEND"] = f"rediss://127.0.0.1:{broker_port}/1?{checked}"
        stack.start()
        api = Api(stack.http, unique("ns"))
        a_session().of(api.namespace, "ann").with_messages("I am allergic to peanuts.").put(stack.http)
        assert "peanuts" in api.wait_for_memories(1)[0]["text"].lower()
        plain = connect(Settings(_env_file=None, redis_url=broker.url))
        assert plain.exists("_kombu.binding.store"), "Celery's queues are on the broker's server"
        assert not list(plain.scan_iter("ltm:*"))
        assert not stack.restarts


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path):
    chain, secret = certificate(tmp_path)
    with embedded_redis() as server, tls_proxy(port_of(server.url), chain, secret) as port:
        url = f"rediss://127.0.0.1:{port}/0"
        known = Outbox(connect(Settings(_env_file=None, redis_url=f"{url}?ssl_ca_certs={chain}")))
        assert known.namespaces() == []
        with pytest.raises(BackendUnavailable):
            Outbox(connect(Settings(_env_file=None, redis_url=url))).namespaces()
