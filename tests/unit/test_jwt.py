"""JSON Web Tokens against an issuer of the test's own: a JWKS server on this machine."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from app.auth.authenticator import Authenticator, OAuth2Verifier
from app.auth.errors import MissingCredential, Unauthorized
from app.auth.jwks import Jwks
from app.auth.jwt import JwtVerifier
from app.auth.scopes import ClaimNames, principal_of
from app.config import Settings
from app.memory.errors import BackendUnavailable
from app.memory.permissions import Access, Limits, Principal

ISSUER = "https://issuer.example"
AUDIENCE = "memory"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
NEXT_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Issuer:
    """Serves a key set, and counts how often it is asked."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.asked = 0
        self.broken = False
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                body = b"not JSON" if issuer.broken else json.dumps({"keys": issuer.keys}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/jwks.json"

    def publish(self, kid: str, key: Any) -> None:
        algorithm = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
        self.keys.append({**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig"})


class Clock:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    made.publish("k1", KEY)
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def verifier(issuer: Issuer, clock: Clock) -> JwtVerifier:
    return JwtVerifier(Jwks(issuer.url, clock=clock), issuer=ISSUER, audience=AUDIENCE, algorithms=["RS256"])


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    made = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "iat": now, "exp": now + 60, **changes}
    return {name: value for name, value in made.items() if value is not None}


def signed(changes: dict[str, Any] | None = None, *, key: Any = KEY, kid: str | None = "k1", alg: str = "RS256") -> str:
    return jwt.encode(claims(**(changes or {})), key, algorithm=alg, headers={"kid": kid} if kid else None)


def test_a_token_of_the_issuer_for_us_is_good(verifier, issuer):
    assert verifier.claims(signed())["sub"] == "ann"
    assert verifier.claims(signed({"aud": ["other", AUDIENCE]}))["sub"] == "ann"
    assert issuer.asked == 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"iss": "https://evil.example"}, "issuer"),
        ({"iss": ISSUER + "/"}, "issuer"),
        ({"iss": None}, "iss"),
        ({"aud": "another"}, "[Aa]udience"),
        ({"aud": None}, "aud"),
        ({"exp": int(time.time()) - 5}, "Token has expired"),
        ({"exp": None}, "exp"),
        ({"iat": int(time.time()) + 3600, "exp": int(time.time()) + 7200}, "issued in the future"),
        ({"iat": None}, "iat"),
        ({"iat": "yesterday"}, "iat"),
        ({"iat": True}, "iat"),
        ({"nbf": int(time.time()) + 3600}, "not yet valid"),
        ({"sub": None}, "sub"),
    ],
)
def test_wrong_claims_are_refused(verifier, changes, told):
    with pytest.raises(Unauthorized, match=told):
        verifier.claims(signed(changes))


def test_a_slightly_fast_clock_is_no_reason_to_refuse(verifier):
    assert verifier.claims(signed({"iat": int(time.time()) + 200}))


def test_algorithm_none_is_refused(verifier):
    with pytest.raises(Unauthorized, match="algorithm"):
        verifier.claims(jwt.encode(claims(), None, algorithm="none", headers={"kid": "k1"}))


def test_a_secret_made_of_the_public_key_is_refused(verifier):
    """HS256 keyed with the public key's PEM: it would pass where the algorithm of the token is believed."""
    import hashlib
    import hmac

    pem = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def part(value: dict[str, Any]) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    signing = part({"alg": "HS256", "typ": "JWT", "kid": "k1"}) + b"." + part(claims())
    signature = base64.urlsafe_b64encode(hmac.new(pem, signing, hashlib.sha256).digest()).rstrip(b"=")
    with pytest.raises(Unauthorized, match="algorithm"):
        verifier.claims((signing + b"." + signature).decode())


@pytest.mark.parametrize("algorithms", ['["HS256"]', '["RS256", "none"]', "[]"])
def test_settings_cannot_allow_what_is_unsafe(monkeypatch, algorithms):
    monkeypatch.setenv("OAUTH2_ALGORITHMS", algorithms)
    with pytest.raises(ValueError, match="oauth2_algorithms"):
        Settings(_env_file=None)


def test_a_token_signed_by_another_key_is_refused(verifier):
    with pytest.raises(Unauthorized, match=r"[Ss]ignature"):
        verifier.claims(signed(key=NEXT_KEY))


@pytest.mark.parametrize("token", ["", "a", "a.b", "a.b.c", "\u20ac.\u20ac.\u20ac", "." * 10, "e30.e30.e30"])
def test_what_is_no_token_is_refused(verifier, issuer, token):
    with pytest.raises(Unauthorized):
        verifier.claims(token)
    assert issuer.asked == 0


def test_a_token_without_key_id_is_refused(verifier):
    with pytest.raises(Unauthorized, match="kid"):
        verifier.claims(signed(kid=None))


def test_a_changed_token_is_refused(verifier):
    head, _body, signature = signed().split(".")
    other = signed({"sub": "root"}).split(".")[1]
    with pytest.raises(Unauthorized, match=r"[Ss]ignature"):
        verifier.claims(f"{head}.{other}.{signature}")


def test_without_an_audience_in_the_settings_it_is_not_checked(issuer):
    anybody = JwtVerifier(Jwks(issuer.url), issuer=ISSUER, audience=None, algorithms=["RS256"])
    assert anybody.claims(signed({"aud": "another"}))["sub"] == "ann"
    assert anybody.claims(signed({"aud": None}))["sub"] == "ann"


def test_other_algorithms_may_be_allowed(issuer):
    key = ec.generate_private_key(ec.SECP256R1())
    issuer.publish("e1", key)
    verifier = JwtVerifier(Jwks(issuer.url), issuer=ISSUER, audience=None, algorithms=["RS256", "ES256"])
    assert verifier.claims(signed(key=key, kid="e1", alg="ES256"))["sub"] == "ann"


# -- the issuer's keys -------------------------------------------------------------------------------------------------


def test_a_new_key_is_fetched_when_it_is_first_seen(verifier, issuer, clock):
    verifier.claims(signed())
    issuer.keys.clear()
    issuer.publish("k2", NEXT_KEY)
    clock.now += 31
    assert verifier.claims(signed(key=NEXT_KEY, kid="k2"))["sub"] == "ann"
    assert issuer.asked == 2
    with pytest.raises(Unauthorized, match="unknown signing key"):
        verifier.claims(signed())  # the old key is gone


def test_made_up_key_ids_do_not_become_requests_to_the_issuer(verifier, issuer, clock):
    verifier.claims(signed())
    for i in range(50):
        clock.now += 0.1
        with pytest.raises(Unauthorized, match="unknown signing key"):
            verifier.claims(signed(kid=f"made-up-{i}"))
    assert issuer.asked == 1
    clock.now += 30
    with pytest.raises(Unauthorized):
        verifier.claims(signed(kid="made-up"))
    assert issuer.asked == 2


def test_keys_are_fetched_again_after_an_hour_and_outlive_an_issuer_that_is_away(verifier, issuer, clock):
    verifier.claims(signed())
    clock.now += 3601
    verifier.claims(signed())
    assert issuer.asked == 2
    issuer.broken = True
    clock.now += 3601
    assert verifier.claims(signed())["sub"] == "ann"
    assert issuer.asked == 3


def test_an_issuer_that_was_never_reached_is_503(issuer, clock):
    issuer.broken = True
    verifier = JwtVerifier(Jwks(issuer.url, clock=clock), issuer=ISSUER, audience=None, algorithms=["RS256"])
    for _ in range(3):
        with pytest.raises(BackendUnavailable):
            verifier.claims(signed())
    assert issuer.asked == 1
    issuer.broken = False
    clock.now += 31
    assert verifier.claims(signed())["sub"] == "ann"


# -- claims ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "held", "principal"),
    [
        (ClaimNames(), {}, Principal("ann")),
        (ClaimNames(user="sub"), {}, Principal("ann", Access.WRITE, Limits(users=("ann",)))),
        (ClaimNames(namespace="org"), {"org": "acme"}, Principal("ann", Access.WRITE, Limits(("acme",)))),
        (ClaimNames(namespace="org"), {"org": ["a", "b"]}, Principal("ann", Access.WRITE, Limits(("a", "b")))),
        (ClaimNames(namespace="org"), {"org": "a*"}, Principal("ann", Access.WRITE, Limits(("a*",)))),
        (ClaimNames(namespace_prefix="team"), {"team": "t-"}, Principal("ann", Access.WRITE, Limits(None, ("t-",)))),
        (
            ClaimNames(namespace="org", namespace_prefix="team"),
            {"team": ["t-"]},
            Principal("ann", Access.WRITE, Limits((), ("t-",))),
        ),
        (ClaimNames(access="scope"), {"scope": "openid memory:read"}, Principal("ann", Access.READ)),
        (ClaimNames(access="scope"), {"scope": "memory:read memory:write"}, Principal("ann", Access.WRITE)),
        (ClaimNames(access="roles"), {"roles": ["admin"]}, Principal("ann", Access.ADMIN)),
        (ClaimNames(access="scope"), {"scope": "openid"}, Principal("ann", Access.NONE)),
        (ClaimNames(access="scope"), {}, Principal("ann", Access.NONE)),
    ],
)
def test_claims_become_limits_by_the_settings(names, held, principal):
    assert principal_of(claims(**held), names) == principal


@pytest.mark.parametrize(
    ("names", "held"),
    [
        (ClaimNames(user="email"), {}),
        (ClaimNames(user="email"), {"email": ""}),
        (ClaimNames(namespace="org"), {"org": []}),
        (ClaimNames(namespace="org"), {"org": [1]}),
        (ClaimNames(namespace="org"), {"org": {"name": "acme"}}),
        (ClaimNames(namespace="org", namespace_prefix="team"), {}),
        (ClaimNames(namespace_prefix="team"), {"team": ""}),
    ],
)
def test_a_claim_that_is_missing_opens_nothing(names, held):
    with pytest.raises(Unauthorized, match="lacks the claim"):
        principal_of(claims(**held), names)


def test_a_jwt_may_come_in_either_header(verifier):
    class NoLimit:
        def count(self, *_args: Any, **_more: Any) -> None:
            return None

    admit = Authenticator(OAuth2Verifier(verifier, ClaimNames(user="sub"), NoLimit(), per_minute=0)).admit  # type: ignore[arg-type]
    for headers in ({"authorization": f"bearer {signed()}"}, {"x-api-key": signed()}):
        principal, rate = admit(headers)
        assert (principal.subject, principal.limits, rate) == ("ann", Limits(users=("ann",)), None)
    with pytest.raises(MissingCredential):
        admit({})
