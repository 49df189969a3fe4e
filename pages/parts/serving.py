"""What of Streamlit's own server is closed or made stricter before it serves the app."""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from streamlit import net_util
from streamlit.config import get_option as option

from engine import http
from engine.errors import InputError
from engine.settings import Settings

log = logging.getLogger(__name__)

INDEX = Path(st.__file__).parent / "static" / "index.html"


def door(settings: Settings) -> list[Middleware]:
    """The middleware around pages and API; ends the process where it listens to more people than was meant."""
    net_util.get_external_ip = lambda: None  # it asks a server outside, for as long as nobody answers
    address = option("server.address")
    try:
        if http.check_listening(address, settings):
            log.warning("Listening on the network, at %s.", address or "every address")
    except InputError as error:
        raise SystemExit(str(error)) from None
    origins = option("server.corsAllowedOrigins")
    return [Middleware(http.Door, settings=settings, page_policy=page_policy(), origins=origins)]


def page_policy() -> str:
    """The strictest content policy that Streamlit's pages bear: scripts are the server's own files, styles are not."""
    hashes = " ".join(map(_hash, re.findall(r"<script>(.*?)</script>", INDEX.read_text(encoding="utf-8"), re.DOTALL)))
    return "; ".join(
        (
            "default-src 'self'",
            f"script-src 'self' blob: {hashes}",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "media-src 'self' data: blob:",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
        )
    )


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
