"""Tokens of a Redis Agent Memory Server: imported as salted hashes, claimed by their holders over HTTP."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import bcrypt
import httpx
import pytest
import redis
import structlog
from click.testing import CliRunner
from structlog.testing import capture_logs
from werkzeug.serving import make_server

import app.container.engine as composition
from app import create_app
from app.auth import imported as policy
from app.auth.imported import COMPARISONS_PER_MINUTE, ImportedTokens
from app.auth.last_used import LastUsed
from app.auth.tokens import TokenVerifier, describe, new_token, token_hash
from app.cli import main
from app.config import Settings
from app.container import Container
from app.memory.errors import BackendUnavailable
from app.memory.permissions import Access, Limits, act_as
from app.store.tokens import IMPORTED_PAGE, ImportedToken
from migrations import runner
from tests.support.builders import unique
from tests.support.redis_server import embedded_redis

pytestmark = pytest.mark.integration


class Migrated:
    """The other server's Redis, this platform with AUTH_MODE=token behind real HTTP, and its command line."""

    def __init__(self, source_url: str, settings: Settings, engine: Container, base_url: str) -> None:
        self.source_url = source_url
        self.source = redis.Redis.from_url(source_url, protocol=2)
        self.settings = settings
        self.engine = engine
        self.base_url = base_url
        self.known = new_token()
        everything = describe(self.known, "root", expires_days=None, access=Access.ADMIN, limits=Limits())
        engine.tokens.save(everything)

    def foreign(self, description: str = "an agent", **more: Any) -> str:
        """A token of the other server, as it stores it; no more than its holder knows is returned."""
        secret = unique("a-token-of-the-other-server-")
        hashed = bcrypt.hashpw(secret.encode(), bcrypt.gensalt(4)).decode()
        about = {"description": description, "created_at": "2025-01-01T10:00:00", "expires_at": None, **more}
        self.source.set(f"auth_token:{hashed}", json.dumps({**about, "token_hash": hashed}))
        self.source.sadd("auth_tokens:list", hashed)
        return secret

    def run(self, *args: str, code: int = 0) -> str:
        """A command."""
        result = CliRunner().invoke(main, args)
        assert result.exit_code == code, result.output
        return result.output

    def bring_over(self) -> str:
        """Import, twice: the second time changes nothing."""
        command = ["import-ams", "--source-url", self.source_url, "--url", self.base_url, "--token", self.known]
        said = self.run(*command)
        before = self.tokens()
        self.run(*command)
        assert self.tokens() == before
        return said

    def tokens(self) -> list[dict[str, Any]]:
        """What `token list` says, without the one that the tests use."""
        listed = json.loads(self.run("token", "list", "--format", "json"))
        return [{k: v for k, v in one.items() if k != "last_used_at"} for one in listed if one["description"] != "root"]

    def ask(self, token: str, url: str = "/v1/working-memory") -> httpx.Response:
        """One request."""
        return httpx.get(f"{self.base_url}{url}", headers={"Authorization": f"Bearer {token}"}, timeout=30)


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    with embedded_redis() as server:
        yield server.url


@pytest.fixture
def migrated(server_url, monkeypatch) -> Iterator[Migrated]:
    """Both on one Redis server: the other's data in database 5, ours in 0."""
    redis.Redis.from_url(server_url).flushall()
    settings = Settings(_env_file=None, redis_url=server_url, auth_mode="token")
    engine = Container(settings)
    runner.up(engine.redis, settings, lambda _text: None)
    monkeypatch.setattr(composition, "_container", engine)
    for module in ("app.cli_token", "app.cli_operations"):
        monkeypatch.setattr(f"{module}.get_settings", lambda: settings)
    http = make_server("127.0.0.1", 0, create_app(settings), threaded=True)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield Migrated(f"{server_url.removesuffix('/0')}/5", settings, engine, f"http://127.0.0.1:{http.server_port}")
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
        act_as(None)


@pytest.fixture
def compared(monkeypatch) -> list[str]:
    """The tokens that were compared with a hash."""
    seen: list[str] = []
    really = policy.matches
    monkeypatch.setattr(policy, "matches", lambda token, hashed: (seen.append(token), really(token, hashed))[1])
    return seen


def contents(client: redis.Redis) -> dict[bytes, Any]:
    return {key: client.dump(key) for key in client.scan_iter()}


def in_words(client: redis.Redis) -> str:
    """All keys and values of what may hold a token or a hash."""
    read = {
        b"string": client.get,
        b"set": client.smembers,
        b"hash": client.hgetall,
        b"zset": lambda key: client.zrange(key, 0, -1),
        b"list": lambda key: client.lrange(key, 0, -1),
        b"none": client.get,  # expired meanwhile
    }
    return str({key: read[client.type(key)](key) for key in client.scan_iter()})


def test_a_client_goes_on_with_its_token_which_becomes_an_ordinary_one(migrated, compared, monkeypatch):
    # One that another test has used before keeps the processors that it found then.
    monkeypatch.setattr("app.auth.imported.log", structlog.get_logger("app.auth.imported"))
    ends = (datetime.now(UTC) + timedelta(days=9)).replace(microsecond=0)
    first, second = migrated.foreign("one"), migrated.foreign("two", expires_at=ends.isoformat())
    migrated.source.set("auth_token:nonsense", json.dumps({"description": "x", "token_hash": "nonsense"}))
    originals = contents(migrated.source)
    command = ["import-ams", "--source-url", migrated.source_url, "--url", migrated.base_url]
    assert "2 tokens found" in migrated.run(*command, "--dry-run", code=1)
    assert migrated.tokens() == []
    assert "0 tokens" in migrated.run(*command, "--no-tokens")
    assert "2 tokens imported" in migrated.run(*command, code=1)
    migrated.source.delete("auth_token:nonsense")
    originals.pop(b"auth_token:nonsense")
    migrated.bring_over()
    hashes = [key.decode().removeprefix("auth_token:") for key in originals if b"$2b$" in key]
    assert all(hashed in in_words(migrated.engine.redis) for hashed in hashes)
    assert {(t["description"], t["status"]) for t in migrated.tokens()} == {("one", "Unclaimed"), ("two", "Unclaimed")}
    assert "Unclaimed" in migrated.run("token", "list")
    with capture_logs() as logs:
        assert [migrated.ask(second).status_code for _ in range(3)] == [200] * 3
    assert len(compared) == 2, "compared until found, the first time only"
    assert migrated.ask(second, "/v1/usage").status_code == 200, "there every token opens everything"
    claimed = next(t for t in migrated.tokens() if t["description"] == "two")
    assert claimed == {
        "hash": token_hash(second), "description": "two", "created_at": "2025-01-01T10:00:00+00:00",
        "expires_at": ends.isoformat(), "status": "Active",
    }  # fmt: skip
    migrated.bring_over()
    assert sorted((t["description"], t["status"]) for t in migrated.tokens()) == [
        ("one", "Unclaimed"),
        ("two", "Active"),
    ]
    assert migrated.ask(first).status_code == 200
    assert migrated.ask(first).status_code == 200
    assert contents(migrated.source) == originals
    stored = in_words(migrated.engine.redis)
    assert len(hashes) == 2
    for secret in (first, second, *hashes):
        assert secret not in stored
        assert secret not in str(logs)
    assert any(entry["event"] == "imported token claimed" for entry in logs)


def test_a_wrong_token_is_compared_once_and_then_costs_nothing(migrated, compared):
    for _ in range(3):
        migrated.foreign()
    migrated.bring_over()
    wrong = unique("nobody-ever-gave-out-this-token-")
    answers = [migrated.ask(wrong) for _ in range(4)]
    assert {(a.status_code, a.json()["detail"]) for a in answers} == {(401, "Invalid token")}
    assert compared == [wrong] * 3
    late = migrated.foreign("late")
    migrated.bring_over()
    assert migrated.ask(wrong).status_code == 401
    assert compared == [wrong] * 4, "with the new one only"
    assert migrated.ask(late).status_code == 200
    compared.clear()
    assert migrated.ask(migrated.known).status_code == 200
    assert migrated.ask(new_token()).status_code == 401
    assert migrated.ask("short").status_code == 401
    assert compared == []


def test_a_refused_token_is_let_in_once_it_has_been_imported(migrated):
    migrated.foreign("first")
    migrated.bring_over()
    secret = migrated.foreign("second")
    assert migrated.ask(secret).status_code == 401
    migrated.bring_over()
    assert migrated.ask(secret).status_code == 200


def test_expired_tokens_open_nothing(migrated, compared):
    gone = migrated.foreign("gone", expires_at="2025-06-01T00:00:00")
    ends = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    ending = migrated.foreign("ending", expires_at=ends)
    assert "1 expired tokens left" in migrated.bring_over()
    assert migrated.ask(gone).status_code == 401
    (kept,) = migrated.engine.imported_tokens.all()
    past = replace(kept.token, hash="another", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert migrated.engine.imported_tokens.delete(kept)
    assert migrated.engine.imported_tokens.add(ImportedToken(past, kept.bcrypt))
    assert [t["status"] for t in migrated.tokens()] == ["EXPIRED"]
    compared.clear()
    assert migrated.ask(ending).status_code == 401
    assert compared == []
    assert migrated.tokens() == []


def test_a_claimed_token_ends_when_it_would_have_ended(migrated):
    soon = migrated.foreign("soon", expires_at=(datetime.now(UTC) + timedelta(days=1)).isoformat())
    migrated.bring_over()
    assert migrated.ask(soon).status_code == 200
    (stored,) = (t for t in migrated.engine.tokens.all() if t.description == "soon")
    migrated.engine.tokens.save(replace(stored, expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    answer = migrated.ask(soon)
    assert (answer.status_code, answer.json()["detail"]) == (401, "Token has expired")


def test_comparisons_are_limited_for_the_whole_deployment_and_known_tokens_go_on(migrated, compared):
    for _ in range(2):
        migrated.foreign()
    latecomer = migrated.foreign("latecomer")
    migrated.bring_over()
    started, answers = time.monotonic(), []
    while len(answers) < COMPARISONS_PER_MINUTE and (not answers or answers[-1].status_code == 401):
        wrong = unique("nobody-ever-gave-out-this-token-")
        answers.append(migrated.ask(wrong))
    refused = answers[-1]
    assert refused.status_code == 429
    assert len(answers) > COMPARISONS_PER_MINUTE // 3, "each is compared with three"
    leaked = (time.monotonic() - started) * COMPARISONS_PER_MINUTE / 60
    assert COMPARISONS_PER_MINUTE <= len(compared) <= COMPARISONS_PER_MINUTE + leaked + 1
    assert "Too many comparisons of unknown tokens" in refused.json()["detail"]
    assert int(refused.headers["Retry-After"]) >= 1
    assert migrated.ask(migrated.known).status_code == 200
    assert migrated.ask(compared[0]).status_code == 401, "one that is remembered is not counted"
    migrated.engine.redis.delete("rate:imported-tokens")  # a minute later
    assert migrated.ask(latecomer).status_code == 200


def test_a_process_compares_one_at_a_time_and_others_are_not_kept_waiting(migrated, monkeypatch):
    secret = migrated.foreign()
    migrated.bring_over()
    inside, go_on = threading.Event(), threading.Event()
    really = policy.matches

    def slow(token: str, hashed: str) -> bool:
        inside.set()
        assert go_on.wait(20)
        return really(token, hashed)

    monkeypatch.setattr(policy, "matches", slow)
    first: list[int] = []
    thread = threading.Thread(target=lambda: first.append(migrated.ask(secret).status_code))
    thread.start()
    try:
        assert inside.wait(20)
        other = migrated.ask(unique("nobody-ever-gave-out-this-token-"))
        assert (other.status_code, other.headers["Retry-After"]) == (503, "2")
        assert migrated.ask(migrated.known).status_code == 200
    finally:
        go_on.set()
        thread.join(20)
    assert first == [200]


def test_two_processes_that_get_the_token_at_once_both_let_it_in_and_make_one_of_it(migrated, monkeypatch):
    secret = migrated.foreign("twice")
    migrated.bring_over()
    together = threading.Barrier(2)
    really = policy.matches
    monkeypatch.setattr(policy, "matches", lambda *a: (together.wait(20), really(*a))[1])
    admitted: list[Any] = []

    def come() -> None:
        engine = Container(migrated.settings)
        claim = ImportedTokens(engine.imported_tokens).claim
        verifier = TokenVerifier(engine.tokens, LastUsed(engine.tokens), requests_per_minute=0, claim=claim)
        admitted.append(verifier.verify(secret)[0].access)

    threads = [threading.Thread(target=come) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert admitted == [Access.ADMIN] * 2
    assert [(t["description"], t["hash"]) for t in migrated.tokens()] == [("twice", token_hash(secret))]


def test_of_many_tokens_the_last_is_found_too(migrated):
    for _ in range(IMPORTED_PAGE + 1):
        migrated.foreign()
    migrated.bring_over()
    last = migrated.foreign("last")
    migrated.bring_over()
    assert migrated.ask(last).status_code == 200
    assert len(migrated.engine.imported_tokens.all()) == IMPORTED_PAGE + 1


def test_removed_ones_open_nothing_and_do_not_come_back(migrated):
    unclaimed, claimed = migrated.foreign("unclaimed"), migrated.foreign("claimed")
    migrated.bring_over()
    assert migrated.ask(claimed).status_code == 200
    for one in migrated.tokens():
        assert one["description"] in migrated.run("token", "show", one["hash"][:12])
        assert "Removed" in migrated.run("token", "remove", one["hash"][:12], "-f")
    migrated.bring_over()
    assert migrated.tokens() == []
    assert [migrated.ask(token).status_code for token in (unclaimed, claimed)] == [401, 401]


def test_a_token_is_not_removed_behind_its_holders_back(migrated):
    secret = migrated.foreign()
    migrated.bring_over()
    (kept,) = migrated.engine.imported_tokens.all()
    assert migrated.ask(secret).status_code == 200
    assert not migrated.engine.imported_tokens.delete(kept), "who wants to remove it is told that it has gone"
    assert not migrated.engine.imported_tokens.claim(kept, token_hash("another")), "claimed once"


def test_without_imported_tokens_an_unknown_one_is_one_round_trip(migrated, compared):
    engine = Container(migrated.settings)
    claim = ImportedTokens(engine.imported_tokens).claim
    verifier = TokenVerifier(engine.tokens, LastUsed(engine.tokens), requests_per_minute=100, claim=claim)
    verifier.verify(migrated.known)  # loads the script, opens the connection
    connection = engine.redis.connection_pool.get_connection()
    engine.redis.connection_pool.release(connection)
    sent: list[Any] = []
    send = connection.send_packed_command
    connection.send_packed_command = lambda *args, **kwargs: (sent.append(args), send(*args, **kwargs))[1]
    with pytest.raises(Exception, match="Invalid token"):
        verifier.verify(unique("nobody-ever-gave-out-this-token-"))
    assert len(sent) == 1
    verifier.verify(migrated.known)
    assert len(sent) == 2
    assert compared == []


def test_a_store_that_goes_away_while_comparing_is_503(migrated, monkeypatch):
    secret = migrated.foreign()
    migrated.bring_over()

    def away(*_args: Any) -> bool:
        raise BackendUnavailable("the store is not available")

    monkeypatch.setattr(migrated.engine.imported_tokens, "claim", away)
    answer = migrated.ask(secret)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    monkeypatch.undo()
