"""The fault of kombu that `tasks.broker` mends."""

from __future__ import annotations

import pytest
from kombu import Connection

from tasks import broker


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "rediss://127.0.0.1:1/0", "sentinel://127.0.0.1:1/0"])
def test_a_channel_whose_connection_was_let_go_raises_a_connection_error(url):
    broker.use()
    connection = Connection(url, transport_options={"master_name": "mymaster"})
    transport = connection.transport
    channel = transport.Channel.__new__(transport.Channel)
    channel.connection = transport
    connection.collect()
    with pytest.raises(transport.connection_errors, match="is closed"):
        channel._connparams()
