"""What is said where authentication is off."""

from __future__ import annotations

import structlog

from app.config import Settings

log = structlog.get_logger(__name__)


def warn_open(door: str, settings: Settings, host: str) -> None:
    """Say loudly that nobody is asked who they are."""
    why = "DISABLE_AUTH is true" if settings.disable_auth else "AUTH_MODE is not set"
    ignored = f"; AUTH_MODE={settings.auth_mode} has no effect" if settings.auth_mode != "disabled" else ""
    log.warning(
        f"AUTHENTICATION IS OFF ({why}{ignored}): whoever reaches the {door} port can read, change and delete all "
        "memories. Set AUTH_MODE=token or AUTH_MODE=oauth2 (docs/security.md)",
        host=host,
    )
