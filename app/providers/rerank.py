"""Reranking of the first candidates by a model that reads query and memory together. Off by default.

An off-the-shelf cross-encoder trained on web search may well cost recall on conversations: measure with
`agent-memory eval` before switching it on.
"""

from __future__ import annotations

import http.client
import json
import math
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from app.config import Settings
from app.memory.errors import BackendUnavailable, ModelFailure
from app.providers.interfaces import Reranker
from app.thread_turns import aside


class CrossEncoderReranker:
    """A cross-encoder of sentence-transformers, in this process."""

    def __init__(self, model: str) -> None:
        try:
            import torch
            from sentence_transformers import CrossEncoder
        except ImportError as error:
            raise BackendUnavailable(
                f"{error.name} is not installed; run: pip install 'agent-memory-platform[local-models]'"
            ) from error
        torch.set_num_threads(1)
        self.model_id = model
        self._lock = threading.Lock()
        try:
            self._encoder = CrossEncoder(model, device="cpu")
        except (OSError, ValueError) as error:
            raise ModelFailure(f"the reranker {model} cannot be loaded: {error}") from error

    @aside()
    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """One relevance per text; higher is better."""
        with self._lock:
            return [float(s) for s in self._encoder.predict([(query, t) for t in texts], show_progress_bar=False)]


class HttpReranker:
    """A rerank endpoint as Cohere, Jina, Voyage and vLLM speak it, or Text Embeddings Inference.

    They call the texts `documents`, the last one `texts`; some refuse names that they do not know. What the endpoint
    understands is found out with the first request.
    """

    def __init__(self, *, url: str, model: str, api_key: str | None, timeout_seconds: float) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise ModelFailure(f"RERANK_URL should be an http(s) URL, not {url!r}")
        self.model_id = model
        self._url = url
        self._headers = {"Content-Type": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._timeout = timeout_seconds
        self._name = "documents"

    @aside()
    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """One relevance per text; higher is better."""
        try:
            answer = self._ask(query, texts)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise BackendUnavailable(f"the rerank endpoint failed: {error}") from error
        rows = (answer.get("results") or answer.get("data")) if isinstance(answer, dict) else answer
        try:
            scores = {int(row["index"]): float(row.get("relevance_score", row.get("score"))) for row in rows or ()}
            ordered = [scores[place] for place in range(len(texts))]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelFailure(f"the rerank endpoint answered without a score for each text: {error!r}") from error
        if not all(map(math.isfinite, ordered)):
            raise ModelFailure("the rerank endpoint answered with a score that is no number")
        return ordered

    def _ask(self, query: str, texts: Sequence[str]) -> Any:
        try:
            return self._post({"model": self.model_id, "query": query, self._name: list(texts)})
        except urllib.error.HTTPError as error:
            if error.code not in (400, 422) or self._name == "texts":
                raise
            answer = self._post({"query": query, "texts": list(texts)})
            self._name = "texts"
            return answer

    def _post(self, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(self._url, json.dumps(body).encode(), self._headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=self._timeout) as response:  # noqa: S310
            return json.load(response)


def create_reranker(settings: Settings) -> Reranker | None:
    """The reranker that the settings ask for, or None."""
    if settings.rerank_backend == "cross-encoder":
        return CrossEncoderReranker(settings.rerank_model)
    if settings.rerank_backend == "http":
        return HttpReranker(
            url=settings.rerank_url or "",
            model=settings.rerank_model,
            api_key=settings.rerank_api_key,
            timeout_seconds=settings.rerank_timeout_seconds,
        )
    return None
