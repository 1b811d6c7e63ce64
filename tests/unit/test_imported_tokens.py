"""What an unknown token may cost while there are imported ones, without a store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import bcrypt
import pytest

from app.auth import imported as policy
from app.auth.errors import TooManyComparisons
from app.auth.imported import ImportedTokens, comparable, matches
from app.memory.errors import BackendUnavailable
from app.memory.permissions import Rate
from app.store.tokens import ImportedToken, StoredToken

WRONG = "w" * 43
RIGHT = "r" * 43


class Shelf:
    """Imported tokens in a list, in place of the repository."""

    def __init__(self, *secrets: str, expires_at: datetime | None = None) -> None:
        about = StoredToken("id", "a test", datetime.now(UTC), expires_at)
        self.kept = [ImportedToken(about, secret, number) for number, secret in enumerate(secrets, start=1)]
        self.compared: dict[str, int] = {}
        self.claimed: list[tuple[int, str]] = []
        self.allowed = 1000

    def after(self, number: int) -> list[ImportedToken]:
        return [one for one in self.kept if one.number > number][:2]

    def compared_up_to(self, token_hash: str) -> int:
        return self.compared.get(token_hash, 0)

    def note_compared(self, token_hash: str, number: int) -> None:
        self.compared[token_hash] = number

    def count_comparison(self, *, per_minute: int) -> Rate:
        self.allowed -= 1
        return Rate(per_minute, max(self.allowed, 0), 1.0, exceeded=self.allowed < 0)

    def claim(self, one: ImportedToken, token_hash: str) -> bool:
        self.claimed.append((one.number, token_hash))
        return True

    def delete(self, one: ImportedToken) -> bool:
        self.kept.remove(one)
        return True


@pytest.fixture
def compared(monkeypatch) -> list[str]:
    """The secrets that were compared: a secret matches itself."""
    seen: list[str] = []

    def compare(credential: str, secret: str) -> bool:
        seen.append(secret)
        return credential == secret

    monkeypatch.setattr(policy, "matches", compare)
    return seen


def claims(shelf: Shelf, **options: Any) -> ImportedTokens:
    return ImportedTokens(shelf, **options)  # type: ignore[arg-type]


def test_the_one_that_matches_is_claimed_and_nothing_after_it_is_compared(compared):
    shelf = Shelf("a", RIGHT, "b")
    assert claims(shelf).claim(RIGHT, "h")
    assert shelf.claimed == [(2, "h")]
    assert compared == ["a", RIGHT]


def test_what_matched_nothing_is_compared_with_new_ones_only(compared):
    shelf = Shelf("a", "b")
    assert claims(shelf).claim(WRONG, "h")
    assert not shelf.claimed
    shelf.kept.append(ImportedToken(shelf.kept[0].token, WRONG, 3))
    claims(shelf).claim(WRONG, "h")
    assert compared == ["a", "b", WRONG]
    assert shelf.claimed == [(3, "h")]


@pytest.mark.parametrize("credential", ["short", "x" * 31, "amt_" + "x" * 43])
def test_short_tokens_and_those_that_look_like_ours_are_never_compared(compared, credential):
    shelf = Shelf(credential)
    assert not claims(shelf).claim(credential, "h")
    assert not compared


def test_expired_ones_never_match_and_are_gone(compared):
    shelf = Shelf(RIGHT, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    claims(shelf).claim(RIGHT, "h")
    assert (compared, shelf.claimed, shelf.kept) == ([], [], [])


def test_a_request_ends_when_its_time_is_over_and_the_next_goes_on(compared):
    shelf = Shelf("a", "b", "c", RIGHT)
    now = iter(range(100))
    slow = claims(shelf, max_seconds=3, clock=lambda: float(next(now)))
    with pytest.raises(BackendUnavailable, match="still being compared"):
        slow.claim(RIGHT, "h")
    assert compared == ["a", "b"]
    slow.claim(RIGHT, "h")
    assert compared == ["a", "b", "c", RIGHT]
    assert shelf.claimed == [(4, "h")]


def test_the_limit_stops_comparing_and_what_was_compared_is_remembered(compared):
    shelf = Shelf("a", "b", "c", RIGHT)
    shelf.allowed = 2
    with pytest.raises(TooManyComparisons, match=r"wait 1\.0 s"):
        claims(shelf).claim(RIGHT, "h")
    shelf.allowed = 2
    claims(shelf).claim(RIGHT, "h")
    assert compared == ["a", "b", "c", RIGHT]


def test_tokens_are_cut_where_the_other_server_cut_them():
    long = "é" * 60
    hashed = bcrypt.hashpw(long.encode()[:72], bcrypt.gensalt(4)).decode()
    assert matches(long, hashed)
    assert not matches("é" * 35, hashed)
    assert not matches("\ud800" * 40, hashed)


@pytest.mark.parametrize(
    ("hashed", "expected"),
    [
        ("$2b$04$h.CogBLB/JZLDVaIchzCn.1K5HZNVzpJSrHLkHJQKj.pTSGTKOOQC", True),
        ("$2y$12$" + "a" * 53, True),
        ("$2b$14$" + "a" * 53, True),
        ("$2b$15$" + "a" * 53, False),  # two seconds each, and 31 would never end
        ("$2b$31$" + "a" * 53, False),
        ("$2b$12$" + "a" * 52, False),
        ("$2b$03$" + "a" * 53, False),
        ("5f4dcc3b5aa765d61d8327deb882cf99", False),
        ("", False),
    ],
)
def test_which_hashes_can_be_imported(hashed, expected):
    assert comparable(hashed) is expected
