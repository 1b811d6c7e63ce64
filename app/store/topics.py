"""Fitted topic models and the tenants' names for their topics.

One hash per corpus (`topics:{…}`) holds its state, one hash per version its files; one string per tenant
(`topicl:{…}`) says which model serves the tenant and what it calls the topics. Nothing here is pickled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from app.memory.filters import MemoryFilter, TagFilter, TimeFilter
from app.memory.topics.values import Corpus, TenantTopics, Topic, TopicModelState
from app.store import codec, index, keys
from app.store.client import RedisClient, store_errors
from app.store.query import compile_filter

_STATE_FILE = "assignment.safetensors"
_TENSORS = ("centroids", "floors", "typical", "projection")
_SURVEY = 500
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


@dataclass(frozen=True, slots=True)
class CorpusState:
    """What is known about a corpus without loading its model. `pending`: memories still wait for this version.

    `space` names the embeddings that it was fitted on.
    """

    version: int
    memory_count: int
    fitted_at: datetime
    pending: bool = False
    space: str = "vec"


@dataclass(frozen=True, slots=True)
class TenantSize:
    """How many memories a tenant has, and the state of its own model, if it has one."""

    namespace: str | None
    count: int
    state: CorpusState | None


def _corpus_part(corpus: Corpus) -> str:
    # `*` is no encoding of any namespace.
    return "{*}" if corpus.shared else f"{{{keys.encode(corpus.namespace)}}}"


def _labels_key(namespace: str | None) -> str:
    return f"topicl:{{{keys.encode(namespace)}}}"


@store_errors
class TopicRepository:
    """Reads and writes fitted topics; one round trip per call unless it says otherwise."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    # -- models ------------------------------------------------------------------------------------------------------

    def state(self, corpus: Corpus) -> CorpusState | None:
        """The state of a corpus, or None before its first fit."""
        return _state(self._client.hgetall(f"topics:{_corpus_part(corpus)}"))

    def save(self, model: TopicModelState, files: Mapping[str, bytes], tenants: Sequence[TenantTopics]) -> None:
        """Make this version the current one of its corpus and of the tenants; the one before stays loadable.

        The files first, then what names them: a reader finds either version whole. The tenants' keys may live in
        other slots than the model's, so each is switched by itself.
        """
        part = _corpus_part(model.corpus)
        meta = {"ids": ",".join(model.ids), "space": model.space}
        tensors = {name: getattr(model, name) for name in _TENSORS}
        stored = {_STATE_FILE: save_tensors(tensors, metadata=meta), **files}
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.hset(f"topics:{part}:{model.version}", mapping=stored)
            pipeline.hset(
                f"topics:{part}",
                mapping={
                    "version": model.version,
                    "memory_count": model.memory_count,
                    "fitted_at": repr(model.fitted_at.timestamp()),
                    "pending": 1,
                    "space": model.space,
                },
            )
            for tenant in tenants:
                pipeline.set(_labels_key(tenant.namespace), codec.dumps(asdict(tenant)))
            pipeline.delete(f"topics:{part}:{model.version - 2}")
            pipeline.execute()

    def settle(self, corpus: Corpus) -> None:
        """All memories of the corpus have the current version's topics."""
        self._client.hset(f"topics:{_corpus_part(corpus)}", "pending", 0)

    def load(self, corpus: Corpus, version: int) -> TopicModelState | None:
        """A version of a model, or None if it is gone. Two round trips, some hundred kilobytes."""
        raw = self._client.hget(f"topics:{_corpus_part(corpus)}:{version}", _STATE_FILE)
        state = self.state(corpus)
        if raw is None or state is None:
            return None
        try:
            tensors = load_tensors(raw)
        except SafetensorError:
            return None
        meta = codec.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])["__metadata__"]
        ids = meta["ids"]
        return TopicModelState(
            corpus=corpus,
            version=version,
            fitted_at=state.fitted_at,
            memory_count=state.memory_count,
            ids=tuple(ids.split(",")) if ids else (),
            space=meta.get("space", "vec"),
            **{name: tensors[name] for name in _TENSORS},
        )

    def files(self, corpus: Corpus, version: int) -> dict[str, bytes]:
        """The files of the fitted BERTopic model, as `BERTopic.load` wants them in one directory."""
        stored = self._client.hgetall(f"topics:{_corpus_part(corpus)}:{version}")
        return {name.decode(): data for name, data in stored.items() if name != _STATE_FILE.encode()}

    # -- tenants -----------------------------------------------------------------------------------------------------

    def tenant(self, namespace: str | None) -> TenantTopics | None:
        """A tenant's topics, or None before the first fit that covers it."""
        raw = self._client.get(_labels_key(namespace))
        return _tenant(codec.loads(raw)) if raw else None

    def sizes(self) -> list[TenantSize]:
        """All tenants that ever had a memory, in a fixed order; one round trip per five hundred."""
        names = sorted(raw.decode() for raw in self._client.smembers(keys.NAMESPACES))
        found: list[TenantSize] = []
        for start in range(0, len(names), _SURVEY):
            namespaces = [keys.decode(name) for name in names[start : start + _SURVEY]]
            with self._client.pipeline(transaction=False) as pipeline:
                for namespace in namespaces:
                    pipeline.execute_command(*_count(namespace, None))
                    pipeline.hgetall(f"topics:{_corpus_part(Corpus(namespace))}")
                replies = pipeline.execute()
            found += [
                TenantSize(namespace, int(replies[2 * place][0]), _state(replies[2 * place + 1]))
                for place, namespace in enumerate(namespaces)
            ]
        return found

    def count(self, namespace: str | None, *, since: datetime | None = None) -> int:
        """How many memories a tenant has (created from `since` on)."""
        return int(self._client.execute_command(*_count(namespace, since))[0])

    def keys_of(self, namespace: str | None, *, page: int = 2000) -> list[bytes]:
        """The keys of all memories of a tenant; one round trip per page, in no useful order."""
        found: dict[bytes, None] = {}
        reply, cursor = self._client.execute_command(
            "FT.AGGREGATE", index.MEMORIES, _of(namespace), "LOAD", "1", "@__key",
            "WITHCURSOR", "COUNT", str(page), "MAXIDLE", "60000", "DIALECT", "2",
        )  # fmt: skip
        while True:
            found.update((row[1], None) for row in reply[1:])
            if not cursor:
                return list(found)
            reply, cursor = self._client.execute_command(
                "FT.CURSOR", "READ", index.MEMORIES, cursor, "COUNT", str(page)
            )

    # -- one fit at a time -------------------------------------------------------------------------------------------

    def lock(self, corpus: Corpus, token: str, seconds: int) -> bool:
        """Take the right to fit a corpus, or keep it; False while somebody else has it."""
        key = f"topicf:{_corpus_part(corpus)}"
        if self._client.set(key, token, nx=True, ex=seconds):
            return True
        if self._client.get(key) != token.encode():
            return False
        self._client.expire(key, seconds)
        return True

    def rest(self, corpus: Corpus, seconds: int) -> None:
        """Let nobody start a refit of a corpus by itself for a while."""
        self._client.set(f"topicr:{_corpus_part(corpus)}", 1, ex=seconds)

    def busy(self, corpus: Corpus) -> bool:
        """Whether somebody has the right to fit a corpus now, or it rests."""
        part = _corpus_part(corpus)
        return bool(self._client.exists(f"topicf:{part}", f"topicr:{part}"))

    def unlock(self, corpus: Corpus, token: str) -> None:
        """Give the right back, if it is still ours."""
        self._client.eval(_RELEASE, 1, f"topicf:{_corpus_part(corpus)}", token)


def _of(namespace: str | None, since: datetime | None = None) -> str:
    times = {"created_at": TimeFilter(gte=since)} if since is not None else {}
    return compile_filter(MemoryFilter({"namespace": (TagFilter(eq=namespace or ""),)}, times))


def _count(namespace: str | None, since: datetime | None) -> list[str]:
    return ["FT.SEARCH", index.MEMORIES, _of(namespace, since), "LIMIT", "0", "0", "DIALECT", "2"]


def _state(stored: Mapping[bytes, bytes]) -> CorpusState | None:
    if not stored:
        return None
    return CorpusState(
        version=int(stored[b"version"]),
        memory_count=int(stored[b"memory_count"]),
        fitted_at=codec.from_seconds(stored[b"fitted_at"]),
        pending=stored.get(b"pending") == b"1",
        space=stored.get(b"space", b"vec").decode(),
    )


def _tenant(stored: dict[str, Any]) -> TenantTopics:
    topics = tuple(
        Topic(**{**topic, "words": tuple(topic["words"]), "aliases": tuple(topic["aliases"])})
        for topic in stored["topics"]
    )
    return TenantTopics(stored["namespace"], Corpus(**stored["corpus"]), stored["version"], topics)
