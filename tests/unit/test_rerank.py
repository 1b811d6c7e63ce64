"""Rerankers: the HTTP one against a real endpoint on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from app.config import Settings
from app.memory.errors import BackendUnavailable, ModelFailure
from app.providers.rerank import HttpReranker, create_reranker


class Endpoint(BaseHTTPRequestHandler):
    """Scores a document by its length; answers what the path says."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen = (dict(self.headers), body)
        self.server.asked = getattr(self.server, "asked", 0) + 1
        known = {"/texts": {"query", "texts", "model"}}.get(self.path, {"query", "documents", "model"})
        if not body.keys() <= known:  # as strict as the strictest
            self.send_error(422)
            return
        if self.path == "/hangs-up":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{")
            return
        texts = body.get("documents") or body["texts"]
        scored = [{"index": i, "relevance_score": len(d)} for i, d in enumerate(texts)][::-1]
        listed = [{"index": r["index"], "score": 1.5} for r in scored]
        answers = {"/rerank": {"results": scored}, "/voyage": {"data": scored}, "/list": listed, "/texts": listed,
                   "/short": {"results": scored[1:]}, "/odd": {"message": "no"}, "/text": "no", "/rows": ["a", "b"],
                   "/nan": {"results": [{"index": i, "relevance_score": float("nan")} for i in (0, 1)]}}  # fmt: skip
        answer = answers.get(self.path)
        content = json.dumps(answer).encode()
        self.send_response(200 if answer is not None else 500)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_args):
        """Quiet."""


@pytest.fixture
def endpoint() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def reranker(endpoint: ThreadingHTTPServer, path: str, key: str | None = None) -> HttpReranker:
    url = f"http://127.0.0.1:{endpoint.server_port}{path}"
    return HttpReranker(url=url, model="m", api_key=key, timeout_seconds=5)


def test_scores_come_back_in_the_order_of_the_texts(endpoint):
    assert reranker(endpoint, "/rerank", "secret").score("q", ["aa", "b", "cccc"]) == [2.0, 1.0, 4.0]
    headers, body = endpoint.seen
    assert headers["Authorization"] == "Bearer secret"
    assert (body["model"], body["query"]) == ("m", "q")
    assert reranker(endpoint, "/voyage").score("q", ["aa", "b"]) == [2.0, 1.0]
    assert reranker(endpoint, "/list").score("q", ["aa", "b"]) == [1.5, 1.5]


def test_an_endpoint_that_calls_the_documents_texts_is_understood_and_asked_rightly_from_then_on(endpoint):
    found = reranker(endpoint, "/texts")
    assert found.score("q", ["aa", "b"]) == [1.5, 1.5]
    assert endpoint.asked == 2
    assert found.score("q", ["aa", "b"]) == [1.5, 1.5]
    assert endpoint.asked == 3


@pytest.mark.parametrize("path", ["/short", "/odd", "/text", "/rows", "/nan"])
def test_an_answer_without_all_scores_is_a_failure_of_the_model(endpoint, path):
    with pytest.raises(ModelFailure):
        reranker(endpoint, path).score("q", ["aa", "b"])


def test_an_endpoint_that_fails_or_is_away_is_a_backend_that_is_not_available(endpoint):
    with pytest.raises(BackendUnavailable):
        reranker(endpoint, "/nothing").score("q", ["aa"])
    with pytest.raises(BackendUnavailable):
        reranker(endpoint, "/hangs-up").score("q", ["aa"])
    with pytest.raises(BackendUnavailable):
        HttpReranker(url="http://127.0.0.1:9/x", model="m", api_key=None, timeout_seconds=1).score("q", ["aa"])


def test_it_is_off_by_default_and_wants_a_url():
    assert create_reranker(Settings(_env_file=None)) is None
    with pytest.raises(ModelFailure):
        create_reranker(Settings(_env_file=None, rerank_backend="http"))
