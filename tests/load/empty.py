"""A Flask application with one route that does nothing: the floor under every route."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask

from tests.support.stack import BIN, ROOT, Server, Stack, free_port
from tests.support.waiting import wait_until

app = Flask("empty")


@app.get("/healthz")
def nothing() -> dict[str, str]:
    """Nothing."""
    return {"status": "alive"}


@contextmanager
def empty_server(stack: Stack) -> Iterator[tuple[str, int]]:
    """Its base URL and process id, under the stack's gunicorn settings but for the hooks that load models."""
    port = free_port()
    options = [
        "-k", "app.gunicorn_worker.Worker", "-w", "1", "--threads", stack.environment["WEB_THREADS"],
        "--keep-alive", "75", "-b", f"127.0.0.1:{port}", "--no-control-socket", "tests.load.empty:app",
    ]  # fmt: skip
    process = subprocess.Popen(
        [str(BIN / "gunicorn"), *options],
        cwd=ROOT,
        env=stack.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    server = Server(f"http://127.0.0.1:{port}")
    try:

        def answers() -> bool:
            try:
                return server.http.get("/healthz").status_code == 200
            except Exception:
                return False

        wait_until(answers, 30, "the empty application answers")
        yield server.base_url, process.pid
    finally:
        server.http.close()
        process.terminate()
        process.wait(10)
