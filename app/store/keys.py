"""Names of Redis keys and tags: one reversible encoding for both.

A value becomes `[A-Za-z0-9_]` only: other characters turn into `_XX` per UTF-8 byte. So a key part can hold any
client string without colliding with another scope, and a TAG value needs no escaping in a query: values are data.
None (no namespace, no user) is `-`, which the encoding never produces. The tenant is the hash tag, so that all keys
of one tenant live in one cluster slot.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

from app.memory.models import Scope, SessionRef

NONE = "-"
RECORD_PREFIX = "ltm:"
SESSION_PREFIX = "wm:"
NAMESPACES = "namespaces"
DUE_TENANTS = "outbox-due"
EVENTS_DUE = "events-due"
USAGE_NAMESPACES = "llm-usage"

_PLAIN = re.compile(r"[A-Za-z0-9]*\Z")
_UNSAFE = re.compile(rb"[^A-Za-z0-9]")
_ESCAPED = re.compile(r"_([0-9A-F]{2})")


@lru_cache(maxsize=8192)
def encode(value: str | None) -> str:
    """Encode one value for use in a key or as a tag."""
    if value is None:
        return NONE
    if _PLAIN.match(value):
        return value
    return _UNSAFE.sub(lambda m: b"_%02X" % m.group()[0], value.encode("utf-8", "surrogatepass")).decode("ascii")


def decode(encoded: str) -> str | None:
    """The inverse of `encode`."""
    if encoded == NONE:
        return None
    plain = encoded.replace("_2D", "-")
    if "_" not in plain:
        return plain
    raw = _ESCAPED.sub(lambda m: chr(int(m.group(1), 16)), encoded)
    return raw.encode("latin-1").decode("utf-8", "surrogatepass")


def fold(value: str) -> str:
    """Encode a topic or an entity: those compare without regard to case."""
    return encode(value.strip().casefold())


def record(scope: Scope, memory_id: str) -> str:
    """Hash of one long-term memory."""
    return f"{RECORD_PREFIX}{{{encode(scope.namespace)}}}:{encode(scope.user_id)}:{encode(memory_id)}"


def number(value: str) -> int:
    """48 bits that stand for an id or a mark in the index: a number costs it an eighth of a tag that one memory has."""
    return int.from_bytes(hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=6).digest())


def conversation(memory_scope: Scope, session_id: str | None) -> str:
    """What tells one conversation from others among the hits of a search; no Redis key."""
    return f"{encode(memory_scope.namespace)}:{encode(memory_scope.user_id)}:{encode(session_id)}"


def fingerprints(scope: Scope) -> str:
    """Hash of content fingerprint → memory id: what makes a second copy of a fact impossible."""
    return f"ltmh:{{{encode(scope.namespace)}}}:{encode(scope.user_id)}"


def _scoped(kind: str, scope: Scope) -> str:
    return f"{kind}:{{{encode(scope.namespace)}}}:{encode(scope.user_id)}"


def versions(scope: Scope, memory_id: str) -> str:
    """List of what a memory was before each of its changes, oldest first."""
    return f"{_scoped('ltmv', scope)}:{encode(memory_id)}"


def scope_version(scope: Scope) -> str:
    """Counter that grows with every change of a scope's memories: what optimistic writers check."""
    return _scoped("ltmr", scope)


def change_log(scope: Scope) -> str:
    """List of the changes of a scope's memories, oldest first: what, when and why (which may quote a word)."""
    return _scoped("ltmc", scope)


def tombstones(scope: Scope) -> str:
    """Hash of the fingerprints of facts that the user deleted: extraction must not bring them back."""
    return _scoped("ltmt", scope)


def erased(scope: Scope) -> str:
    """String: when everything of the scope was erased (Unix seconds); work begun before must not store anything."""
    return _scoped("ltme", scope)


def compaction(namespace: str | None) -> str:
    """Hash of how far the compaction of a tenant is."""
    return f"compact:{{{encode(namespace)}}}"


def _session(kind: str, ref: SessionRef) -> str:
    return f"{kind}:{{{encode(ref.scope.namespace)}}}:{encode(ref.scope.user_id)}:{encode(ref.session_id)}"


def session(ref: SessionRef) -> str:
    """Hash of one session's document."""
    return _session("wm", ref)


def session_marks(ref: SessionRef) -> str:
    """Hash of what the server has done with a session's items (extracted, persisted)."""
    return _session("wmx", ref)


def session_pending(ref: SessionRef) -> str:
    """Hash of acknowledged items that still await promotion; outlives the session document."""
    return _session("wmp", ref)


def session_lease(ref: SessionRef) -> str:
    """String held by the one promotion that runs for a session."""
    return _session("wml", ref)


def session_task(ref: SessionRef) -> str:
    """String: id of the task record that shows the session's promotion while it is not finished."""
    return _session("wmt", ref)


def session_last_task(ref: SessionRef) -> str:
    """String: id of the task record of the session's last finished promotion."""
    return _session("wmr", ref)


def session_fold(ref: SessionRef) -> str:
    """Hash of the summary that stands for a session's folded messages, and of which those are."""
    return _session("wmf", ref)


def session_draft(ref: SessionRef) -> str:
    """String: a summary in the making."""
    return _session("wmd", ref)


def outbox(namespace: str | None) -> str:
    """Sorted set of a tenant's unfinished work: member → time at which it is due (Unix seconds)."""
    return f"outbox:{{{encode(namespace)}}}"


def outbox_state(namespace: str | None) -> str:
    """Hash of attempts and first-seen times of a tenant's unfinished work."""
    return f"outboxs:{{{encode(namespace)}}}"


def dead_letters(namespace: str | None) -> str:
    """Hash of work given up after its attempts: member → JSON of the reason; replayable."""
    return f"dead:{{{encode(namespace)}}}"


def events(scope: Scope) -> str:
    """Stream of what happened to a user's memories."""
    return f"events:{{{encode(scope.namespace)}}}:{encode(scope.user_id)}"


def events_position(scope: Scope) -> str:
    """Hash: up to where the webhook has a user's events."""
    return f"eventsc:{{{encode(scope.namespace)}}}:{encode(scope.user_id)}"


def scope_member(scope: Scope) -> str:
    """A scope as a member of a set."""
    return f"{encode(scope.namespace)}:{encode(scope.user_id)}"


def scope_of(member: str) -> Scope:
    """The inverse of `scope_member`."""
    namespace, _, user = member.partition(":")
    return Scope(decode(namespace), decode(user))


def origin(namespace: str | None, member: str) -> str:
    """String: the request that last made this member of the outbox wait. It names nobody."""
    digest = hashlib.blake2b(member.encode(), digest_size=12).hexdigest()
    return f"origin:{{{encode(namespace)}}}:{digest}"


def session_member(ref: SessionRef) -> str:
    """A session as a member of the outbox."""
    return f"s:{encode(ref.scope.user_id)}:{encode(ref.session_id)}"


def fold_member(ref: SessionRef) -> str:
    """The folding of a session as a member of the outbox."""
    return f"f:{encode(ref.scope.user_id)}:{encode(ref.session_id)}"


def view_member(view_id: str, task_id: str | None) -> str:
    """The run of a view as a member of the outbox."""
    return f"v:{encode(view_id)}:{encode(task_id)}"


def batch_member(batch_id: str) -> str:
    """A batch as a member of the outbox."""
    return f"b:{encode(batch_id)}"


def batch(namespace: str | None, batch_id: str) -> str:
    """Hash of one batch on its way through the pipeline."""
    return f"batch:{{{encode(namespace)}}}:{encode(batch_id)}"


def task(task_id: str) -> str:
    """Hash of one task record."""
    return f"task:{encode(task_id)}"


def steps(run: str) -> str:
    """Hash of how the steps of one run of the pipeline went."""
    return f"steps:{encode(run)}"


def verdicts(namespace: str | None) -> str:
    """Hash of what became of all memories that a tenant was told: verdict → number."""
    return f"ltmn:{{{encode(namespace)}}}"


def user_verdicts(scope: Scope) -> str:
    """The same of one user."""
    return _scoped("ltmn", scope)


def model_usage(namespace: str | None, day: str) -> str:
    """Hash of a tenant's model calls of one day: `model purpose counter` → number."""
    return f"llmu:{{{encode(namespace)}}}:{day}"
