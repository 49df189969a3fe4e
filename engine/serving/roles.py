"""Which role somebody has on a public site: by the identity that a sign-in told, else by its one-time address."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from engine.serving.protocol import Role
from engine.settings import Settings


def has_sign_in(settings: Settings) -> bool:
    """Whether hosts are named by their addresses; else whoever has the one-time address is one."""
    return bool(settings.hosts.strip())


def has_ended(claims: Mapping[str, Any], now: float | None = None) -> bool:
    """Whether somebody was signed in, with an identity token that has run out."""
    return bool(claims.get("is_logged_in")) and not _is_valid(claims, now)


def role_of(settings: Settings, claims: Mapping[str, Any], now: float | None = None) -> Role:
    """The role of whoever has these claims of OpenID Connect; a visitor's where they ran out or are not verified."""
    if not settings.is_public:
        return "host"
    if not claims.get("is_logged_in") or not _is_valid(claims, now) or claims.get("email_verified") in (False, "false"):
        return "visitor"
    email = str(claims.get("email") or "").strip().lower()
    if _fits(email, settings.hosts):
        return "host"
    return "member" if _fits(email, settings.members) else "visitor"


def _is_valid(claims: Mapping[str, Any], now: float | None) -> bool:
    try:
        return float(claims["exp"]) > (time.time() if now is None else now)
    except (KeyError, TypeError, ValueError):
        return False


def _fits(email: str, listed: str) -> bool:
    """`*@example.org` is everybody of that domain."""
    name, _, domain = email.rpartition("@")
    patterns = listed.lower().replace(",", " ").split()
    return bool(name) and bool(domain) and (email in patterns or f"*@{domain}" in patterns)
