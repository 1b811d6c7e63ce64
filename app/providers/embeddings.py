"""Texts to unit vectors: ONNX Runtime (default), sentence-transformers, or an OpenAI-compatible endpoint.

The two local ones give the same vectors (cosine above 0.9999); all vectors of one index must come from one model.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import orjson

from app.config import Settings
from app.memory.errors import BackendUnavailable, ModelFailure
from app.providers.interfaces import Embedder, Vectors
from app.providers.onnx_export import ExportedModel, ensure_exported, model_source, short_name

# Larger batches gain next to nothing on a CPU: 32 texts of one length take 5 % less than 8 at a time, texts of all
# lengths 20 % more, for what is short is padded. And a batch of long texts takes much memory: 32 texts of 256 tokens
# took 400 MB, which the runtime keeps for the life of the process.
LOCAL_BATCH = 8
LOCAL_BATCH_TOKENS = 2048
LOCAL_TEXTS = 32
# Each run has its own scratch memory, and more runs at once than cores gain nothing.
CONCURRENT_RUNS = max(2, min(8, os.cpu_count() or 2))
REMOTE_BATCH = 256
# Calls of few texts that run side by side; those beyond wait and are gathered. More to an endpoint than it needs, so
# that one slow answer does not hold up all others.
AT_ONCE = {"onnx": CONCURRENT_RUNS, "sentence-transformers": 1, "openai": 4}


class OnnxEmbedder:
    """An exported sentence-transformers model on ONNX Runtime, without torch.

    One instance serves all threads of a process. The session is made on first use in each process, never carried
    over a fork: it owns native state that is only valid where it was made.
    """

    texts_per_call = LOCAL_TEXTS

    def __init__(self, exported: ExportedModel) -> None:
        self.model_id = exported.model_id
        self.dimensions = exported.dimensions
        self._exported = exported
        self._lock = threading.Lock()
        self._runs = threading.BoundedSemaphore(CONCURRENT_RUNS)
        self._loaded: tuple[int, Any, Any] | None = None

    def warm(self) -> None:
        """Load the model now and run it once, so that the first request does not wait for it."""
        self.embed(["warm"])

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed texts: float32 of shape (len(texts), dimensions), each row of length 1."""
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        if not texts:
            return vectors
        tokenizer, session = self._load()
        encodings = tokenizer.encode_batch(list(texts))
        for rows, width in _batches([len(encoding.ids) for encoding in encodings]):
            ids, mask = np.zeros((2, len(rows), width), dtype=np.int64)
            for line, row in enumerate(rows):
                tokens = encodings[row].ids
                ids[line, : len(tokens)] = tokens
                mask[line, : len(tokens)] = 1
            feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            with self._runs:
                vectors[rows] = session.run(None, feed)[0]
        return vectors

    def _load(self) -> tuple[Any, Any]:
        loaded = self._loaded
        if loaded is None or loaded[0] != os.getpid():
            with self._lock:
                loaded = self._loaded
                if loaded is None or loaded[0] != os.getpid():
                    loaded = self._loaded = (os.getpid(), *self._open())
        return loaded[1], loaded[2]

    def _open(self) -> tuple[Any, Any]:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads do not survive a fork
        import onnxruntime
        import tokenizers

        tokenizer = tokenizers.Tokenizer.from_file(str(self._exported.tokenizer))
        tokenizer.enable_truncation(self._exported.max_tokens)
        tokenizer.no_padding()  # the batch decides
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            str(self._exported.graph), sess_options=options, providers=["CPUExecutionProvider"]
        )
        return tokenizer, session


class SentenceTransformerEmbedder:
    """The model on torch, for processes that load torch anyway, and for models that have not been exported.

    Made in the child after a fork: torch hangs when it has run before one.
    """

    texts_per_call = LOCAL_TEXTS

    def __init__(self, model: str) -> None:
        try:
            import torch
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise BackendUnavailable(
                f"{error.name} is not installed; run: pip install 'agent-memory-platform[local-models]'"
            ) from error
        torch.set_num_threads(1)
        self._lock = threading.Lock()  # tokenizing changes the tokenizer's padding: not for two threads at once
        self._encoder = SentenceTransformer(model_source(model), device="cpu")
        self.model_id = short_name(model)
        self.dimensions = int(self._encoder.encode(["dimensions"]).shape[1])

    def warm(self) -> None:
        """Nothing left to load."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed texts: float32 of shape (len(texts), dimensions), each row of length 1."""
        if not texts:
            return np.empty((0, self.dimensions), dtype=np.float32)
        with self._lock:
            vectors = self._encoder.encode(
                list(texts), batch_size=LOCAL_TEXTS, normalize_embeddings=True, show_progress_bar=False
            )
        return np.asarray(vectors, dtype=np.float32)


class OpenAIEmbedder:
    """Any OpenAI-compatible `/embeddings` endpoint. The client retries 429, 5xx and time-outs by itself."""

    texts_per_call = REMOTE_BATCH

    def __init__(
        self,
        *,
        model: str,
        dimensions: int,
        api_key: str | None,
        base_url: str | None,
        timeout_seconds: float = 60.0,
        max_retries: int = 3,
    ) -> None:
        import httpx2
        import openai

        self.model_id = model
        self.dimensions = dimensions
        self._errors, self._response = openai.OpenAIError, httpx2.Response
        # A local endpoint needs no key, but the client insists on one.
        self._client = openai.OpenAI(
            api_key=api_key or "none", base_url=base_url, timeout=timeout_seconds, max_retries=max_retries
        )

    def warm(self) -> None:
        """Nothing to load; a request at start would only spend money."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed texts: float32 of shape (len(texts), dimensions), each row of length 1."""
        if not texts:
            return np.empty((0, self.dimensions), dtype=np.float32)
        return np.concatenate([self._request(texts[rows]) for rows in _slices(len(texts), REMOTE_BATCH)])

    def _request(self, texts: Sequence[str]) -> Vectors:
        body: dict[str, Any] = {
            "model": self.model_id,
            "input": [text if text.strip() else " " for text in texts],  # endpoints refuse an empty text
            "encoding_format": "float",
        }
        if self.model_id.startswith("text-embedding-3"):  # the only family known to shorten on request
            body["dimensions"] = self.dimensions
        try:
            # Not `embeddings.create`: it would check the request against its types, which takes 0.4 ms, and make a
            # Python object of every number, which takes longer than all else here.
            answer = self._client.post("/embeddings", body=body, cast_to=self._response)
        except self._errors as error:
            raise BackendUnavailable(f"the embedding endpoint failed: {type(error).__name__}: {error}") from error
        try:
            data = sorted(orjson.loads(answer.content)["data"], key=lambda item: item["index"])
            vectors = np.asarray([item["embedding"] for item in data], dtype=np.float32)
        except (ValueError, KeyError, TypeError) as error:
            raise ModelFailure(f"{self.model_id} answered with what is no list of embeddings") from error
        if vectors.shape != (len(texts), self.dimensions):
            raise ModelFailure(
                f"{self.model_id} answered with vectors of shape {vectors.shape}, expected "
                f"{(len(texts), self.dimensions)}: EMBEDDING_DIMENSIONS must be what the model gives"
            )
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.all(np.isfinite(norms)) or np.any(norms == 0):
            raise ModelFailure(f"{self.model_id} answered with a vector that has no direction")
        unit: Vectors = vectors / norms
        return unit


def create_embedder(settings: Settings, *, any_dimensions: bool = False) -> Embedder:
    """The embedder that the settings ask for; a local model is exported on the first call on a machine.

    `any_dimensions` is for vectors that are not for the index; else raises ModelFailure when the model's dimensions are
    not those of `EMBEDDING_DIMENSIONS`, that is of the index.
    """
    embedder: OnnxEmbedder | SentenceTransformerEmbedder | OpenAIEmbedder
    if settings.embedding_backend == "onnx":
        embedder = OnnxEmbedder(ensure_exported(settings.embedding_model, settings.model_cache_dir))
    elif settings.embedding_backend == "sentence-transformers":
        embedder = SentenceTransformerEmbedder(settings.embedding_model)
    else:
        embedder = OpenAIEmbedder(
            model=settings.embedding_model,
            dimensions=settings.embedding_dimensions,
            api_key=settings.embedding_api_key or settings.openai_api_key,
            base_url=settings.embedding_base_url or settings.llm_base_url,
            timeout_seconds=settings.llm_timeout_seconds,
            max_retries=settings.llm_max_retries,
        )
    if not any_dimensions and embedder.dimensions != settings.embedding_dimensions:
        raise ModelFailure(
            f"{settings.embedding_model} has {embedder.dimensions} dimensions, "
            f"EMBEDDING_DIMENSIONS says {settings.embedding_dimensions}"
        )
    return embedder


def _slices(count: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, count, size))


def _batches(lengths: Sequence[int]) -> Iterator[tuple[list[int], int]]:
    """Rows to run together and the tokens of their longest text, which all of them cost: like lengths together."""
    rows: list[int] = []
    width = 0
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if rows and (len(rows) == LOCAL_BATCH or (len(rows) + 1) * lengths[row] > LOCAL_BATCH_TOKENS):
            yield rows, width
            rows = []
        rows.append(row)
        width = lengths[row]
    if rows:
        yield rows, width
