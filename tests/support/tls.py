"""TLS in front of a server that has none: a proxy on loopback, with a certificate made for the test."""

from __future__ import annotations

import datetime
import ipaddress
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def certificate(directory: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's Redis")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, secret = directory / "ca.pem", directory / "key.pem"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return chain, secret


@contextmanager
def tls_proxy(behind: int, chain: Path, secret: Path) -> Iterator[int]:
    """A port that speaks TLS for the server on the loopback port `behind`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, secret)
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        threading.Thread(target=_accept, args=(listener, context, behind), daemon=True).start()
        yield listener.getsockname()[1]


def _accept(listener: socket.socket, context: ssl.SSLContext, behind: int) -> None:
    with suppress(OSError):
        while True:
            plain, _address = listener.accept()
            threading.Thread(target=_serve, args=(plain, context, behind), daemon=True).start()


def _serve(plain: socket.socket, context: ssl.SSLContext, behind: int) -> None:
    """One connection: a thread per direction would share one TLS object, which is not safe; so one thread polls."""
    with suppress(OSError), plain:
        client = context.wrap_socket(plain, server_side=True)
        with client, socket.create_connection(("127.0.0.1", behind)) as server:
            client.setblocking(False)
            server.setblocking(False)
            _shovel(client, server)


def _shovel(client: ssl.SSLSocket, server: socket.socket) -> None:
    while True:
        if not client.pending():
            select.select([client, server], [], [])
        for source, target in ((client, server), (server, client)):
            try:
                data = source.recv(65_536)
            except (BlockingIOError, ssl.SSLWantReadError):
                continue
            if not data:
                return
            _send(target, data)


def _send(target: socket.socket, data: bytes) -> None:
    target.settimeout(10)
    target.sendall(data)
    target.setblocking(False)
