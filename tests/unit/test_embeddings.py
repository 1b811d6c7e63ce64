"""Local embedders against each other, and the endpoint client against a stub on a loopback port."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import numpy as np
import pytest

from app.config import Settings
from app.memory.errors import BackendUnavailable, ModelFailure
from app.providers.embeddings import OnnxEmbedder, OpenAIEmbedder, create_embedder

TEXTS = [
    "Alice moved to Lisbon in May 2023.",
    "ok",
    "The user is allergic to peanuts and prefers window seats.",
    "naïve café, 東京 and emoji 🙂",
    "",
    "word " * 600,
    *(f"Memory number {n}: the user likes item {n * 7}." for n in range(40)),
]


@pytest.fixture(scope="module")
def onnx() -> OnnxEmbedder:
    embedder = create_embedder(Settings(embedding_backend="onnx"))
    assert isinstance(embedder, OnnxEmbedder)
    return embedder


def test_vectors_are_unit_float32_rows_in_the_order_of_the_texts(onnx):
    vectors = onnx.embed(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert (onnx.model_id, onnx.dimensions) == ("all-MiniLM-L6-v2", 384)


def test_a_batch_gives_the_same_vectors_as_single_texts(onnx):
    single = np.concatenate([onnx.embed([text]) for text in TEXTS])
    np.testing.assert_allclose((onnx.embed(TEXTS) * single).sum(axis=1), 1, atol=1e-5)


def test_a_long_text_counts_up_to_its_first_256_tokens(onnx):
    cut, longer, other = onnx.embed(["word " * 254, "word " * 900, "word " * 200])
    assert cut @ longer == pytest.approx(1, abs=1e-5)
    assert cut @ other < 1 - 1e-6


def test_no_texts_give_no_rows(onnx):
    assert onnx.embed([]).shape == (0, 384)


def test_like_meanings_are_nearer_than_unlike_ones(onnx):
    pet, dog, bill = onnx.embed(["She has a pet dog.", "Her puppy sleeps a lot.", "The invoice is due on Friday."])
    assert pet @ dog > pet @ bill + 0.2


def test_many_threads_share_one_embedder(onnx):
    expected = onnx.embed(TEXTS[:8])
    with ThreadPoolExecutor(8) as pool:
        for vectors in pool.map(onnx.embed, [TEXTS[:8]] * 16):
            np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_a_forked_child_opens_its_own_session(onnx):
    expected = onnx.embed(["after the fork"])  # loaded here, before the fork
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, onnx.embed(["after the fork"]).tobytes())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        got = np.frombuffer(pipe.read(), dtype=np.float32)
    os.waitpid(child, 0)
    np.testing.assert_allclose(got, expected[0], atol=1e-5)


def test_onnx_and_sentence_transformers_agree(onnx, tmp_path):
    # In a process of its own: torch must not come into the test process, whose other tests fork.
    script = """
import json, sys
from app.config import Settings
from app.providers.embeddings import create_embedder
embedder = create_embedder(Settings(embedding_backend="sentence-transformers"))
vectors = embedder.embed(json.load(sys.stdin))
assert embedder.embed([]).shape == (0, 384)
json.dump({"model_id": embedder.model_id, "vectors": vectors.tolist()}, open(sys.argv[1], "w"))
"""
    out = tmp_path / "vectors.json"
    subprocess.run([sys.executable, "-c", script, str(out)], input=json.dumps(TEXTS), text=True, check=True)
    answer = json.loads(out.read_text())
    cosines = (onnx.embed(TEXTS) * np.asarray(answer["vectors"], dtype=np.float32)).sum(axis=1)
    assert cosines.min() > 0.9999
    assert answer["model_id"] == onnx.model_id


def test_embedding_with_onnx_never_imports_torch():
    script = """
import sys
from app.config import Settings
from app.providers.embeddings import create_embedder
embedder = create_embedder(Settings()); embedder.warm()
heavy = {"torch", "transformers", "sentence_transformers", "openai"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_dimensions_that_are_not_the_models_are_refused():
    with pytest.raises(ModelFailure, match="384 dimensions"):
        create_embedder(Settings(embedding_dimensions=512))


class _Stub(BaseHTTPRequestHandler):
    """`/embeddings` that answers, in reverse order, with the text's length as the first component."""

    batches: ClassVar[list[int]] = []
    status = 200

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.batches.append(len(body["input"]))
        data = [
            {"object": "embedding", "index": index, "embedding": [float(len(text)), 1.0, 0.0]}
            for index, text in enumerate(body["input"])
        ]
        answer = {"object": "list", "model": body["model"], "data": data[::-1], "usage": {}}
        payload = json.dumps(answer if self.status == 200 else {"error": {"message": "no"}}).encode()
        self.send_response(self.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *args):
        pass


@pytest.fixture
def endpoint() -> Iterator[str]:
    _Stub.batches, _Stub.status = [], 200
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Stub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def remote(base_url: str, dimensions: int = 3) -> OpenAIEmbedder:
    return OpenAIEmbedder(
        model="stub", dimensions=dimensions, api_key=None, base_url=base_url, timeout_seconds=5, max_retries=0
    )


def test_an_endpoint_is_asked_in_batches_and_its_answers_put_in_order(endpoint):
    texts = ["x" * (n % 50) for n in range(300)]
    vectors = remote(endpoint).embed(texts)
    assert _Stub.batches == [256, 44]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(vectors[:, 0] / vectors[:, 1], [max(len(text), 1) for text in texts], rtol=1e-4)


def test_an_endpoint_with_other_dimensions_is_refused(endpoint):
    with pytest.raises(ModelFailure, match="EMBEDDING_DIMENSIONS"):
        remote(endpoint, dimensions=384).embed(["text"])


@pytest.mark.parametrize("status", [401, 429, 500])
def test_a_failing_endpoint_is_an_unavailable_backend(endpoint, status):
    _Stub.status = status
    with pytest.raises(BackendUnavailable):
        remote(endpoint).embed(["text"])


def test_an_absent_endpoint_is_an_unavailable_backend():
    with pytest.raises(BackendUnavailable):
        remote("http://127.0.0.1:9/v1").embed(["text"])
