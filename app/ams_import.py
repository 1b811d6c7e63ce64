"""Import the sessions, memories, summary views and tokens of a Redis Agent Memory Server.

Its Redis is only read, the platform is asked as any client asks it, so that every rule about what may be stored holds,
and running it twice changes nothing.

Where that server keeps its data (wire contract, sections 2.3 and 9; prefixes are its own settings):

* `working_memory:[namespace:][user:]session` - the session as JSON (RedisJSON, or a string in older versions). The
  parts of the key are ambiguous; the document says who it belongs to.
* `summary_view:<id>:config` and `summary_view:<id>:summary:<group>` - a view and its partitions, JSON strings.
* `auth_token:<hash>` - what is known of a token, a JSON string; the hash is a salted bcrypt.
* `memory_idx:<id>` - one hash per memory; lists are joined with commas (older: `|`), times are Unix seconds.

Views keep their ids, so they go straight into the store: the API gives every new view an id of its own. One that is
there already stays as it is. So do tokens: what is known of them and their hashes, until their holders come
(`app/auth/imported.py`). Not imported are vectors: they belong to its embedding model, texts are embedded anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx2
import marshmallow as ma
import redis

from app.api.schemas.views import NewSummaryViewSchema
from app.auth.imported import comparable
from app.memory.errors import MemoryPlatformError
from app.memory.models import PartitionSummary
from app.memory.permissions import Access
from app.memory.summary_views import NO_MEMORIES
from app.store.tokens import ImportedToken, ImportedTokenRepository, StoredToken
from app.store.views import ViewRepository

SESSION_PREFIX = "working_memory:"
MEMORY_PREFIX = "memory_idx:"
VIEW_PREFIX = "summary_view:"
TOKEN_PREFIX = "auth_token:"  # noqa: S105 (a key)
BATCH = 20
# As the field is called there → as the wire calls it; what is not named here keeps its name.
_RENAMED = {"id_": "id"}
_LISTS = ("topics", "entities", "extracted_from")
_TIMES = ("created_at", "last_accessed", "updated_at", "event_date", "persisted_at")
_OBJECTS = ("extraction_strategy_config", "metadata")
_TEXTS = (
    "text", "session_id", "user_id", "namespace", "memory_type", "memory_hash", "extraction_strategy",
    "discrete_memory_extracted",
)  # fmt: skip


@dataclass
class Report:
    """What became of what was found; `refused` tells the key and why."""

    sessions: int = 0
    memories: int = 0
    views: int = 0
    partitions: int = 0
    tokens: int = 0
    expired_tokens: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)


class Importer:
    """Reads one Redis, writes to one platform: through its API; `views` and `tokens` into its store (None: not)."""

    def __init__(
        self,
        source: redis.Redis,
        http: httpx2.Client,
        views: ViewRepository | None = None,
        tokens: ImportedTokenRepository | None = None,
        *,
        session_prefix: str = SESSION_PREFIX,
        memory_prefix: str = MEMORY_PREFIX,
        say: Callable[[str], None] = print,
    ) -> None:
        self._source: Any = source
        self._http = http
        self._views = views
        self._tokens = tokens
        self._session_prefix = session_prefix
        self._memory_prefix = memory_prefix
        self._say = say
        self.report = Report()

    def run(self, *, dry_run: bool = False) -> Report:
        """Import everything (or only count it)."""
        batch: list[tuple[str, dict[str, Any]]] = []
        for key in self._keys(self._memory_prefix, "hash"):
            batch.append((key, memory_to_wire(self._source.hgetall(key))))
            if len(batch) == BATCH:
                self._create(batch, dry_run)
                batch = []
        self._create(batch, dry_run)
        for key in self._keys(self._session_prefix, "ReJSON-RL", "string"):
            self._put(key, dry_run)
        if self._views is not None:
            for key in self._keys(VIEW_PREFIX, "string"):
                if key.endswith(":config"):
                    self._take_view(key, self._views, dry_run)
        if self._tokens is not None:
            # The set that lists them is not to be trusted: that server's own command empties it.
            for key in self._keys(TOKEN_PREFIX, "string"):
                self._take_token(key, self._tokens, dry_run)
        return self.report

    def _keys(self, prefix: str, *kinds: str) -> Iterator[str]:
        for raw in self._source.scan_iter(match=f"{_literal(prefix)}*", count=500):
            if self._source.type(raw).decode() in kinds:
                yield raw.decode("utf-8", "surrogateescape")

    def _create(self, batch: list[tuple[str, dict[str, Any]]], dry_run: bool) -> None:
        if not batch:
            return
        if not dry_run:
            body = {"memories": [memory for _key, memory in batch], "deduplicate": False}
            answer = self._http.post("/v1/long-term-memory/", json=body)
            if answer.status_code == 422 and len(batch) > 1:
                for one in batch:  # to find which of them it is
                    self._create([one], dry_run)
                return
            if not self._accepted(batch[0][0], answer):
                return
        self.report.memories += len(batch)
        if self.report.memories % 1000 < len(batch):
            self._say(f"{self.report.memories} memories")

    def _put(self, key: str, dry_run: bool) -> None:
        document = self._document(key)
        if document is None or not document.get("session_id"):
            self.report.refused.append((key, "is no session document"))
            return
        remaining = self._source.ttl(key)
        document["ttl_seconds"] = remaining if remaining > 0 else None
        if not dry_run:
            answer = self._http.put(f"/v1/working-memory/{quote(document['session_id'], safe='')}", json=document)
            if not self._accepted(key, answer):
                return
        self.report.sessions += 1
        if self.report.sessions % 1000 == 0:
            self._say(f"{self.report.sessions} sessions")

    def _take_view(self, key: str, views: ViewRepository, dry_run: bool) -> None:
        """Store a view under its own id, then its partitions, unless there is something already."""
        config = self._document(key)
        view_id = key.removeprefix(VIEW_PREFIX).removesuffix(":config")
        try:
            view = replace(NewSummaryViewSchema().load(config or {}), id=view_id)
        except (ma.ValidationError, MemoryPlatformError) as error:
            self.report.refused.append((key, str(error)))
            return
        if not dry_run and views.get(view_id) is None:
            views.save(view)
        self.report.views += 1
        for name in self._keys(f"{VIEW_PREFIX}{view_id}:summary:", "string"):
            partition = _partition(view_id, self._document(name) or {})
            if partition is None or set(partition.group) != set(view.group_by):
                self.report.refused.append((name, "is no partition of its view"))
                continue
            if not dry_run and views.partition(view_id, partition.group) is None:
                views.save_partition(partition)
            self.report.partitions += 1

    def _take_token(self, key: str, tokens: ImportedTokenRepository, dry_run: bool) -> None:
        """Keep a token for its holder, unless it is expired, or was here before."""
        token = _token(self._document(key) or {})
        if token is None:
            # Of a key that is a hash, no more than which one it is.
            self.report.refused.append((f"{TOKEN_PREFIX}{_token_id(key)[:12]}", "has no hash, or times, of a token"))
        elif token.token.expires_at is not None and token.token.expires_at <= datetime.now(UTC):
            self.report.expired_tokens += 1
        else:
            if not dry_run:
                tokens.add(token)
            self.report.tokens += 1

    def _document(self, key: str) -> dict[str, Any] | None:
        raw = (
            self._source.get(key)
            if self._source.type(key) == b"string"
            else self._source.execute_command("JSON.GET", key)
        )
        try:
            found = json.loads(raw)
        except (TypeError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def _accepted(self, key: str, answer: httpx2.Response) -> bool:
        if answer.status_code in (400, 409, 422):
            self.report.refused.append((key, f"{answer.status_code} {answer.text[:300]}"))
            return False
        answer.raise_for_status()
        return True


def _partition(view_id: str, stored: dict[str, Any]) -> PartitionSummary | None:
    """A stored partition of a view; without a digest of ours, so that the view's next run makes it anew."""
    try:
        count = int(stored["memory_count"])
        return PartitionSummary(
            view_id,
            group={str(name): str(value) for name, value in stored["group"].items()},
            summary=str(stored["summary"]),
            memory_count=count,
            computed_at=datetime.fromisoformat(stored["computed_at"]).astimezone(UTC),
            empty_reason=None if count else NO_MEMORIES,
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _token(stored: dict[str, Any]) -> ImportedToken | None:
    """A token as that server describes it. There every token opens everything, so here it does as well."""
    hashed = str(stored.get("token_hash"))
    if not comparable(hashed):
        return None
    try:
        created_at, expires_at = _moment(stored["created_at"]), _moment(stored.get("expires_at"))
    except (KeyError, TypeError, ValueError):
        return None
    description = str(stored.get("description") or "no description")
    token = StoredToken(_token_id(hashed), description, created_at or datetime.now(UTC), expires_at, Access.ADMIN)
    return ImportedToken(token, hashed)


def _token_id(hashed: str) -> str:
    """What an imported token is called while nobody has sent it; its bcrypt hash is shown nowhere."""
    return hashlib.sha256(hashed.encode("utf-8", "surrogateescape")).hexdigest()


def _moment(stored: str | None) -> datetime | None:
    """A time as that server writes it; without a zone it is UTC."""
    if stored is None:
        return None
    moment = datetime.fromisoformat(stored)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def memory_to_wire(stored: dict[bytes, bytes]) -> dict[str, Any]:
    """A memory as that server keeps it in a hash → as clients send it."""
    found = {_text(name): value for name, value in stored.items() if name not in (b"vector", b"embedding")}
    found = {_RENAMED.get(name, name): value for name, value in found.items()}
    memory: dict[str, Any] = {"id": _text(found.get("id", b""))}
    for name in _TEXTS:
        if value := _text(found.get(name, b"")):
            memory[name] = value
    for name in _LISTS:
        joined = _text(found.get(name, b""))
        memory[name] = [part for part in joined.replace("|", ",").split(",") if part]
    for name in _TIMES:
        # "0" is how it writes "no time".
        if (value := _text(found.get(name, b""))) and value != "0":
            memory[name] = float(value) if value.replace(".", "", 1).isdigit() else value
    for name in _OBJECTS:
        if value := _text(found.get(name, b"")):
            memory[name] = json.loads(value)
    memory["access_count"] = int(float(found.get("access_count") or 0))
    memory["pinned"] = _text(found.get("pinned", b"0")) in ("1", "true", "True")
    return memory


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _literal(pattern: str) -> str:
    """A prefix in a SCAN pattern, its special characters escaped."""
    return "".join(f"\\{c}" if c in "*?[]\\^" else c for c in pattern)
