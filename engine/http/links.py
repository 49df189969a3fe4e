"""Who can open a link to this server, and the address that others use for it."""

from __future__ import annotations

from urllib.parse import urlsplit

from engine.http.door import is_loopback
from engine.messages import Text

HERE_ALONE = Text("Opens on this machine alone.")


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
