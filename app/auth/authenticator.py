"""The mode that the settings name, behind one call: headers in, principal out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from app.auth.credentials import credential
from app.auth.errors import MissingCredential, TooManyRequests
from app.auth.imported import ImportedTokens
from app.auth.jwks import Jwks
from app.auth.jwt import JwtVerifier
from app.auth.last_used import LastUsed
from app.auth.scopes import ClaimNames, principal_of
from app.auth.tokens import TokenVerifier
from app.config import Settings
from app.memory.permissions import Principal, Rate
from app.store.tokens import ImportedTokenRepository, TokenRepository


class Verifier(Protocol):
    """One way to know a caller."""

    def verify(self, credential: str) -> tuple[Principal, Rate | None]:
        """Who it is, and its rate with this request counted. Raises Unauthorized, TooManyRequests."""
        ...


class OAuth2Verifier:
    """Callers with a JWT: no round trip to Redis, one for the rate limit if there is one."""

    def __init__(self, jwts: JwtVerifier, names: ClaimNames, tokens: TokenRepository, *, per_minute: int) -> None:
        self._jwts = jwts
        self._names = names
        self._tokens = tokens
        self._per_minute = per_minute

    def verify(self, credential: str) -> tuple[Principal, Rate | None]:
        """Who it is, by signature and claims."""
        principal = principal_of(self._jwts.claims(credential), self._names)
        rate = self._tokens.count(principal.subject, requests_per_minute=self._per_minute)
        if rate is not None and rate.exceeded:
            raise TooManyRequests(rate)
        return principal, rate


class Authenticator:
    """Lets in who the verifier knows."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    def admit(self, headers: Mapping[str, str]) -> tuple[Principal, Rate | None]:
        """The caller of a request with these headers  (looked up in lower case). Raises what `app.auth.errors` has."""
        given = credential(headers)
        if given is None:
            raise MissingCredential
        return self._verifier.verify(given)


def create_authenticator(
    settings: Settings, tokens: TokenRepository, imported: ImportedTokenRepository
) -> Authenticator | None:
    """The authenticator for the settings; None when authentication is off."""
    per_minute = settings.rate_limit_per_minute
    match settings.resolved_auth_mode:
        case "token":
            claim = ImportedTokens(imported).claim
            return Authenticator(TokenVerifier(tokens, LastUsed(tokens), requests_per_minute=per_minute, claim=claim))
        case "oauth2":
            jwts = JwtVerifier(
                Jwks(settings.jwks_url),
                issuer=settings.oauth2_issuer_url or "",
                audience=settings.oauth2_audience,
                algorithms=settings.oauth2_algorithms,
            )
            names = ClaimNames(
                settings.oauth2_user_claim,
                settings.oauth2_namespace_claim,
                settings.oauth2_namespace_prefix_claim,
                settings.oauth2_access_claim,
            )
            return Authenticator(OAuth2Verifier(jwts, names, tokens, per_minute=per_minute))
        case _:
            return None
