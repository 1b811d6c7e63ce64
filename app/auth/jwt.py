"""JSON Web Tokens of an OAuth2 issuer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import jwt

from app.auth.errors import Unauthorized
from app.auth.jwks import Jwks
from app.config import Algorithm

MAX_FUTURE_SECONDS = 300
REQUIRED = ("exp", "iat", "iss", "sub")


class JwtVerifier:
    """Reads the claims of tokens that the issuer signed for us."""

    def __init__(self, jwks: Jwks, *, issuer: str, audience: str | None, algorithms: Sequence[Algorithm]) -> None:
        self._jwks = jwks
        self._issuer = issuer
        self._audience = audience
        self._algorithms = list(algorithms)

    def claims(self, token: str) -> dict[str, Any]:
        """The claims. Raises Unauthorized, or BackendUnavailable when the issuer's keys cannot be had."""
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in self._algorithms:  # before the issuer is asked for a key
                raise Unauthorized("Invalid token: this algorithm is not accepted")
            if not isinstance(header.get("kid"), str):
                raise Unauthorized("Invalid token: it names no signing key (kid)")
            claims: dict[str, Any] = jwt.decode(
                token,
                self._jwks.key(header["kid"]),
                algorithms=self._algorithms,
                issuer=self._issuer,
                audience=self._audience,
                options={"require": list(REQUIRED), "verify_aud": self._audience is not None, "verify_iat": False},
            )
        except jwt.ExpiredSignatureError:
            raise Unauthorized("Token has expired") from None
        except jwt.PyJWTError as error:
            raise Unauthorized(f"Invalid token: {error}") from None
        issued = claims["iat"]
        if isinstance(issued, bool) or not isinstance(issued, int | float):
            raise Unauthorized("Invalid token: iat is no number")
        if issued > time.time() + MAX_FUTURE_SECONDS:
            raise Unauthorized("Invalid token: it was issued in the future")
        return claims
