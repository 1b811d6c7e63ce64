"""Why a request is not let in. Each door answers them in its own way."""

from __future__ import annotations

from app.memory.permissions import Rate


class Unauthorized(Exception):
    """The credentials do not do (401); the message says why and is shown to the caller."""


class MissingCredential(Unauthorized):
    """There are none."""

    def __init__(self) -> None:
        super().__init__("Missing authorization header")


class TooManyRequests(Exception):
    """The caller must wait (429)."""

    def __init__(self, rate: Rate, what: str = "Too many requests") -> None:
        self.rate = rate
        super().__init__(f"{what}: {rate.limit} a minute are allowed; wait {rate.reset_seconds:.1f} s")


class TooManyComparisons(TooManyRequests):
    """Unknown tokens were compared with imported ones too often; this one was not compared with all of them."""

    def __init__(self, rate: Rate) -> None:
        super().__init__(rate, "Too many comparisons of unknown tokens")
