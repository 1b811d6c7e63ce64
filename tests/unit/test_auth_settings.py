"""Settings that decide who comes in, and those that hold secrets."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.config import Settings

ISSUER = "https://issuer.example/"


def read(**given: object) -> Settings:
    return Settings(_env_file=None, **given)


@pytest.mark.parametrize(
    ("given", "mode"),
    [
        ({}, "disabled"),
        ({"auth_mode": "token"}, "token"),
        ({"auth_mode": "token", "disable_auth": "false"}, "token"),
        ({"auth_mode": "token", "disable_auth": "true"}, "disabled"),
        ({"auth_mode": "token", "disable_auth": ""}, "token"),
        ({"disable_auth": "false"}, "disabled"),
        ({"auth_mode": "oauth2", "oauth2_issuer_url": ISSUER}, "oauth2"),
        ({"auth_mode": "oauth2", "oauth2_issuer_url": ISSUER, "token_auth_enabled": True}, "token"),
        ({"token_auth_enabled": True}, "disabled"),
    ],
)
def test_an_explicit_mode_wins_unless_auth_is_explicitly_disabled(given, mode):
    assert read(**given).resolved_auth_mode == mode


def test_oauth2_needs_an_issuer():
    with pytest.raises(ValidationError, match="OAUTH2_ISSUER_URL"):
        read(auth_mode="oauth2")


def test_the_keys_are_below_the_issuer_unless_said_otherwise():
    assert read(oauth2_issuer_url=ISSUER).jwks_url == "https://issuer.example/.well-known/jwks.json"
    assert read(oauth2_jwks_url="https://x/keys").jwks_url == "https://x/keys"


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "REDIS_URL", "CELERY_BROKER_URL", "FLOWER_BASIC_AUTH"])
def test_a_secret_may_be_in_a_file(name, tmp_path: Path, monkeypatch):
    secret = tmp_path / "secret"
    secret.write_text("redis://:s3cret@host/0\n")
    monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(f"{name}_FILE", str(secret))
    assert getattr(read(), name.lower()) == "redis://:s3cret@host/0"
    monkeypatch.setenv(name, "given as well")
    with pytest.raises(ValueError, match="both set"):
        read()
    monkeypatch.delenv(name)
    monkeypatch.setenv(f"{name}_FILE", str(tmp_path / "absent"))
    with pytest.raises(ValueError, match="cannot be read"):
        read()


def test_settings_do_not_show_their_secrets():
    shown = repr(read(redis_url="redis://:s3cret@h/0", openai_api_key="s3cret", flower_basic_auth="a:s3cret"))
    assert "s3cret" not in shown


@pytest.mark.parametrize(
    ("url", "user", "password", "host", "port"),
    [
        ("redis://h:1/0", None, None, "h", 1),
        ("redis://:pw@h/0", None, "pw", "h", 6379),
        ("redis://app:p%40ss%2Fw@h:6380", "app", "p@ss/w", "h", 6380),
        ("rediss://app:pw@h:6380/0", "app", "pw", "h", 6380),
        ("rediss://h/0?ssl_ca_certs=/etc/ca.pem", None, None, "h", 6379),
        ("rediss://h/0?ssl_cert_reqs=none", None, None, "h", 6379),
    ],
)
def test_redis_may_want_tls_and_a_user(url, user, password, host, port):
    """The store, the broker and the result backend all read the same URL."""
    import redis
    from celery import Celery

    from app.store.client import connect

    settings = read(redis_url=url)
    pool = connect(settings).connection_pool
    tls = url.startswith("rediss")
    assert issubclass(pool.connection_class, redis.SSLConnection) == tls
    wanted = {"username": user, "password": password, "host": host}
    assert {name: pool.connection_kwargs.get(name) for name in wanted} == wanted
    application = Celery("x", broker=settings.broker_url, backend=settings.result_backend_url)
    backend = application.backend.connparams
    assert {name: backend.get(name) for name in wanted} == wanted
    assert (backend["port"], backend["db"]) == (port, 2)
    broker = application.connection_for_write()
    assert (broker.userid, broker.password, broker.hostname, str(broker.virtual_host)) == (user, password, host, "1")
    if tls:
        from ssl import VerifyMode

        checked = VerifyMode.CERT_NONE if "none" in url else VerifyMode.CERT_REQUIRED
        assert backend["ssl_cert_reqs"] == broker.ssl["ssl_cert_reqs"] == checked
        if "ca.pem" in url:
            assert backend["ssl_ca_certs"] == broker.ssl["ssl_ca_certs"] == "/etc/ca.pem"
