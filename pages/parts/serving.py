"""What of Streamlit's own server is closed or made stricter before it serves the app."""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from streamlit import net_util, runtime
from streamlit.config import get_option as option
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from engine import http
from engine.errors import InputError
from engine.settings import Settings, current
from pages.parts.engine import house

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
    most_bytes = int(option("server.maxUploadSize")) * 2**20
    return [
        Middleware(http.Door, settings=settings, page_policy=page_policy(), origins=origins),
        Middleware(http.Uploads, most_bytes=most_bytes, kept=_kept_bytes, house=house),
    ]


def origin() -> str:
    """The beginning of this server's address, as far as it is known before anybody comes."""
    hosts = [name for name in current().allowed_hosts.replace(",", " ").split() if "*" not in name]
    return f"https://{hosts[0]}" if hosts else f"http://localhost:{option('server.port')}"


def _kept_bytes() -> dict[str, int]:
    """Bytes of the files that each session brought."""
    storage: dict[str, dict[str, UploadedFileRec]] = runtime.get_instance().uploaded_file_mgr.file_storage  # type: ignore[attr-defined]
    return {session: sum(len(file.data) for file in list(files.values())) for session, files in list(storage.items())}


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
