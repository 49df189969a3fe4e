"""Who can open a link to this server, and the address that others use for it."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from urllib.parse import urlencode, urlsplit

from engine.http.door import is_loopback
from engine.messages import Text

HERE_ALONE = Text("Opens on this machine alone.")
EMBEDDED_HEIGHT = 900
"""Pixels: the inputs of a page with its answer below, as in a narrow frame."""


def reach(url: str, listens_on: str | None, network_address: str | None) -> tuple[str, Text]:
    """The beginning of an address to put in place of a page's own ("" to leave it), and who can open it.

    `url` is where the visitor is, `listens_on` what the server was told (None or 0.0.0.0 is everywhere), and
    `network_address` this machine's own on its network, where it has one.
    """
    parts = urlsplit(url)
    if not is_loopback(parts.hostname or "localhost"):
        return "", Text("Opens for whoever reaches {host}.", host=parts.netloc)
    if (listens_on and is_loopback(listens_on)) or not network_address or is_loopback(network_address):
        return "", HERE_ALONE
    host = f"{network_address}:{parts.port}" if parts.port else network_address
    return f"{parts.scheme}://{host}", Text("Opens for everybody on the network who reaches {host}.", host=host)


def embed_code(origin: str, page: str, settings: Mapping[str, str]) -> str:
    """HTML that shows one page without its frame on another site; safe whatever the settings hold."""
    words = urlencode({"embed": "true", **{name: words for name, words in settings.items() if name != "embed"}})
    address = escape(f"{origin}/{page}?{words}", quote=True)
    return (
        f'<iframe src="{address}" width="100%" height="{EMBEDDED_HEIGHT}" style="border:0" title="Parlance"></iframe>'
    )
