"""Everything of one tenant or one user, key by key: for erasing it, and for carrying it elsewhere without loss."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import orjson

from app.memory.errors import InvalidRequest
from app.memory.models import Scope
from app.store import codec, keys
from app.store.changes import packed, unpacked
from app.store.client import RedisClient, store_errors
from app.store.vectors import DEFAULT, Spaces, VectorSpace, is_vector_field

SCAN_COUNT = 1_000
CHUNK = 200
FORMAT = "agent-memory-export"
VERSION = 1
ERASED_SECONDS = 86_400
AOF_WAIT_SECONDS = 60.0
# Kind in an export → key prefix. Leases, batches and task records are work in progress, not data.
KINDS = {
    "memory": "ltm",
    "memory-versions": "ltmv",
    "fingerprints": "ltmh",
    "change-log": "ltmc",
    "scope-version": "ltmr",
    "tombstones": "ltmt",
    "session": "wm",
    "session-marks": "wmx",
    "session-pending": "wmp",
    "session-fold": "wmf",
}
_PREFIXES = {prefix: kind for kind, prefix in KINDS.items()}
_WITHOUT_ID = ("ltmh", "ltmc", "ltmr", "ltmt")


@store_errors
class TenantKeys:
    """Finds, deletes, reads and writes the keys of a tenant."""

    def __init__(
        self,
        client: RedisClient,
        spaces: Spaces | None = None,
        fill: Callable[[Sequence[bytes]], object] = lambda _keys: None,
    ) -> None:
        """`fill` gives records the vectors that they lack: an export may come from a store with another model."""
        self._client = client
        self._spaces = spaces or Spaces(DEFAULT)
        self._fill = fill

    # -- finding -------------------------------------------------------------------------------------------------

    def of_user(self, scope: Scope) -> list[bytes]:
        """All keys of one user in one tenant, found by looking at every key of the store."""
        user = keys.encode(scope.user_id)
        pattern = f"*:{{{keys.encode(scope.namespace)}}}:{user}*"
        found = (key for key in self._client.scan_iter(match=pattern, count=SCAN_COUNT))
        return sorted({key for key in found if _parts(key)[2] == user and _parts(key)[0] != "ltme"})

    def of_tenant(self, namespace: str | None) -> list[bytes]:
        """All data keys of a tenant, in a stable order."""
        pattern = f"*:{{{keys.encode(namespace)}}}:*"
        found = self._client.scan_iter(match=pattern, count=SCAN_COUNT)
        return sorted({key for key in found if _parts(key)[0] in _PREFIXES})

    # -- erasing ---------------------------------------------------------------------------------------------------

    def mark_erased(self, scope: Scope, at: float) -> None:
        """From now on nothing that was begun before can be stored for this user."""
        self._client.set(keys.erased(scope), repr(at), ex=ERASED_SECONDS)

    def delete(self, names: Sequence[bytes]) -> dict[str, int]:
        """Delete keys; how many of each prefix there were."""
        counts: dict[str, int] = {}
        for start in range(0, len(names), CHUNK):
            chunk = names[start : start + CHUNK]
            with self._client.pipeline(transaction=False) as pipeline:
                for name in chunk:
                    pipeline.delete(name)
                for name, there in zip(chunk, pipeline.execute(), strict=True):
                    prefix = _parts(name)[0]
                    counts[prefix] = counts.get(prefix, 0) + int(there)
        return counts

    def drop(self, namespace: str | None) -> None:
        """Delete whatever there is of a tenant, counters and work in progress too; nobody may be writing to it."""
        names = list(self._client.scan_iter(match=f"*:{{{keys.encode(namespace)}}}*", count=SCAN_COUNT))
        for start in range(0, len(names), CHUNK):
            self._client.delete(*names[start : start + CHUNK])
        self._client.srem(keys.NAMESPACES, keys.encode(namespace))

    def forget_work(self, scope: Scope) -> int:
        """Take a user's sessions out of the outbox and the dead letters; how many there were."""
        members = tuple(f"{kind}:{keys.encode(scope.user_id)}:".encode() for kind in ("s", "f"))
        gone = 0
        self._client.zrem(keys.EVENTS_DUE, keys.scope_member(scope))
        for name in (keys.outbox(scope.namespace), keys.outbox_state(scope.namespace),
                     keys.dead_letters(scope.namespace)):  # fmt: skip
            if name == keys.outbox(scope.namespace):
                named = [m for m, _due in self._client.zscan_iter(name) if m.startswith(members)]
                gone += self._client.zrem(name, *named) if named else 0
            else:
                fields = [f for f, _v in self._client.hscan_iter(name) if _without_kind(f).startswith(members)]
                gone += self._client.hdel(name, *fields) if fields else 0
        return gone

    def batch_ids(self, namespace: str | None) -> list[str]:
        """Ids of the batches on their way."""
        pattern = f"batch:{{{keys.encode(namespace)}}}:*"
        return [keys.decode(_parts(key)[2]) or "" for key in self._client.scan_iter(match=pattern, count=SCAN_COUNT)]

    def rewrite_append_only_file(self) -> str:
        """Make the append-only file forget what was deleted; what came of it, in words."""
        import redis

        try:
            if not int(self._client.info("persistence").get("aof_enabled", 0)):
                return "no append-only file"
            self._client.execute_command("BGREWRITEAOF")
            deadline = time.monotonic() + AOF_WAIT_SECONDS
            while time.monotonic() < deadline:
                state = self._client.info("persistence")
                if not state["aof_rewrite_in_progress"] and not state.get("aof_rewrite_scheduled", 0):
                    ok = state.get("aof_last_bgrewrite_status") == "ok"
                    return "rewritten" if ok else "the rewrite failed; run BGREWRITEAOF again"
                time.sleep(0.05)
        except redis.ResponseError as error:
            return f"not rewritten, the server refused: {error}"
        return "the rewrite is still running; it completes by itself"

    def keep_receipt(self, namespace: str | None, receipt: dict[str, Any]) -> None:
        """Store the receipt of an erasure with the tenant."""
        self._client.rpush(f"receipts:{{{keys.encode(namespace)}}}", codec.dumps(receipt))

    # -- export and import -------------------------------------------------------------------------------------------

    def export_lines(self, namespace: str | None) -> Iterator[bytes]:
        """A tenant's data as JSON lines: a header, one line per key in a stable order, a footer with their number."""
        embedding = asdict(self._spaces.serving)
        del embedding["base_url"]
        yield _line({"format": FORMAT, "version": VERSION, "namespace": namespace, "embedding": embedding})
        names = self.of_tenant(namespace)
        count = 0
        for start in range(0, len(names), CHUNK):
            for row in self._read(names[start : start + CHUNK]):
                yield _line(row)
                count += 1
        yield _line({"end": True, "lines": count})

    def _read(self, names: Sequence[bytes]) -> Iterator[dict[str, Any]]:
        with self._client.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.type(name)
                pipeline.pexpiretime(name)
            heads = pipeline.execute()
        types = [raw.decode() for raw in heads[::2]]
        with self._client.pipeline(transaction=False) as pipeline:
            for name, kind in zip(names, types, strict=True):
                if kind == "hash":
                    pipeline.hgetall(name)
                elif kind == "list":
                    pipeline.lrange(name, 0, -1)
                else:
                    pipeline.get(name)
            values = pipeline.execute()
        for name, kind, expires, value in zip(names, types, heads[1::2], values, strict=True):
            if kind == "none":
                continue
            prefix, _tenant, user, *rest = _parts(name)
            row: dict[str, Any] = {"kind": _PREFIXES[prefix], "user_id": keys.decode(user)}
            if rest:
                row["id"] = keys.decode(rest[0])
            if int(expires) > 0:
                row["expires_at_ms"] = int(expires)
            if kind == "hash":
                row["hash"] = {field.decode(): _shown(value[field]) for field in sorted(value)}
            elif kind == "list":
                row["list"] = [_shown(item) for item in value]
            else:
                row["string"] = _shown(value)
            yield row

    def import_lines(self, lines: Iterable[bytes], namespace: str | None, *, any_namespace: bool) -> Iterator[int]:
        """Write an export's lines, after each chunk yielding how many are done. Existing keys are replaced.

        Raises InvalidRequest on anything that is no export, belongs to another namespace (unless `any_namespace`), or
        ends early.
        """
        rows = (_row(line) for line in lines if line.strip())
        header = next(rows, None)
        if not isinstance(header, dict) or header.get("format") != FORMAT or header.get("version") != VERSION:
            raise InvalidRequest(f"the first line should be the header of an export ({FORMAT}, version {VERSION})")
        target = header.get("namespace")
        if not any_namespace and target != namespace:
            raise InvalidRequest(f"this is an export of namespace {target!r}, not of {namespace!r}")
        self._client.sadd(keys.NAMESPACES, keys.encode(target))
        translate = self._translator(header.get("embedding"))
        done, ended = 0, False
        chunk: list[dict[str, Any]] = []
        for row in rows:
            if row.get("end"):
                ended = row.get("lines") == done + len(chunk)
                break
            chunk.append(translate(row))
            if len(chunk) == CHUNK:
                self._write(target, chunk)
                done += len(chunk)
                chunk = []
                yield done
        self._write(target, chunk)
        yield done + len(chunk)
        if not ended:
            raise InvalidRequest(f"the export ends early: {done + len(chunk)} lines came, then no matching footer")

    def _translator(self, embedding: dict[str, Any] | None) -> Callable[[dict[str, Any]], dict[str, Any]]:
        """What makes an export's vectors ours: those of our model under our field, no others.

        Exports of before 0.2 do not say what their vectors are of: the model of the settings, as before.
        """
        ours = self._spaces.serving
        theirs = VectorSpace(**embedding) if embedding else VectorSpace()
        comparable = ours.same_model(theirs) if embedding else not self._spaces.version
        same_form = theirs.precision == ours.precision
        # In a memory's history an empty vector stands for one that is to be made when that state comes back.
        missing = {ours.field: b""}

        def fields(given: dict[str, Any], otherwise: dict[str, Any]) -> dict[str, Any]:
            vectors = {name: value for name, value in given.items() if is_vector_field(name)}
            kept = {name: value for name, value in given.items() if name not in vectors}
            if not vectors:
                return kept
            if not (comparable and theirs.field in vectors):
                return kept | otherwise
            vector = vectors[theirs.field]
            return kept | {ours.field: vector if same_form else ours.to_bytes(theirs.from_bytes(_raw(vector)))}

        def image(raw: bytes) -> bytes:
            sequence, event, *parts = unpacked(raw)
            state = dict(zip((p.decode() for p in parts[::2]), parts[1::2], strict=True))
            flat = (part for pair in fields(state, missing).items() for part in pair)
            return packed([sequence, event, *(p.encode() if isinstance(p, str) else p for p in flat)])

        def translate(row: dict[str, Any]) -> dict[str, Any]:
            if row.get("kind") == "memory" and "hash" in row:
                return {**row, "hash": fields(row["hash"], {})}
            if (
                row.get("kind") == "memory-versions"
                and "list" in row
                and not (comparable and same_form and theirs.field == ours.field)
            ):
                return {**row, "list": [_shown(image(_raw(item))) for item in row["list"]]}
            return row

        return translate

    def _write(self, namespace: str | None, rows: Sequence[dict[str, Any]]) -> None:
        with self._client.pipeline(transaction=False) as pipeline:
            for row in rows:
                name, scope = _key(namespace, row), Scope(namespace, row.get("user_id"))
                pipeline.delete(name)
                if "hash" in row:
                    pipeline.hset(name, mapping={field: _raw(value) for field, value in row["hash"].items()})
                elif "list" in row:
                    pipeline.rpush(name, *(_raw(item) for item in row["list"]))
                else:
                    pipeline.set(name, _raw(row["string"]))
                if row.get("expires_at_ms"):
                    pipeline.pexpireat(name, int(row["expires_at_ms"]))
                if row["kind"] == "session-pending":
                    member = f"s:{keys.encode(scope.user_id)}:{keys.encode(row['id'])}"
                    pipeline.zadd(keys.outbox(namespace), {member: time.time()})
                    pipeline.zadd(keys.DUE_TENANTS, {keys.encode(namespace): time.time()}, lt=True)
            pipeline.execute()
        self._fill([_key(namespace, row).encode() for row in rows if row["kind"] == "memory"])


def _without_kind(field: bytes) -> bytes:
    """The outbox member that a field of its state is about."""
    return field.removeprefix(b"first:").removeprefix(b"tries:")


def _row(line: bytes) -> dict[str, Any]:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"a line of the export is no JSON: {error}") from None
    if not isinstance(row, dict):
        raise InvalidRequest("a line of the export is no JSON object")
    return row


def _parts(key: bytes) -> list[str]:
    return key.decode().split(":")


def _key(namespace: str | None, row: dict[str, Any]) -> str:
    """The key of an export's line; built from its parts, so that a line can only name data of its own tenant."""
    prefix = KINDS.get(str(row.get("kind")))
    if prefix is None or not {"hash", "list", "string"} & row.keys():
        raise InvalidRequest(f"unknown kind of line in the export: {row.get('kind')!r}")
    name = f"{prefix}:{{{keys.encode(namespace)}}}:{keys.encode(row.get('user_id'))}"
    return name if prefix in _WITHOUT_ID else f"{name}:{keys.encode(row.get('id'))}"


def _line(row: dict[str, Any]) -> bytes:
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def _shown(raw: bytes) -> Any:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode()}


def _raw(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else str(value).encode()
