"""`make share`: lets anybody in for a while, through a tunnel of a tool that is installed, after a yes."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

TOOLS: dict[str, tuple[tuple[str, ...], re.Pattern[str]]] = {
    "cloudflared": (("tunnel", "--no-autoupdate", "--url", "http://127.0.0.1:{port}"),
                    re.compile(r"https://[a-z0-9-]+\.trycloudflare\.com")),
    "ngrok": (("http", "{port}", "--log", "stdout"), re.compile(r"(?<=url=)https://[a-z0-9.-]+")),
    "tailscale": (("funnel", "{port}"), re.compile(r"https://[a-z0-9.-]+\.ts\.net")),
}  # fmt: skip
"""By program: its arguments, and what the address looks like that it prints."""
PATIENCE_SECONDS = 45.0
STREAMLIT = (sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true", "--server.port")
NONE = f"""No program for a tunnel is installed. Parlance knows {", ".join(TOOLS)}; install one of them and try again,
or let your network in with `make serve`."""
QUESTION = """{tool} will open a tunnel: whoever has its address can use this server from anywhere, as a visitor, until
you stop it with Ctrl-C. What they type passes the servers of {tool}'s makers. Open it? [y/N] """


def main(
    port: int, ask: Callable[[str], str] = input, server: Sequence[str] = STREAMLIT, patience: float = PATIENCE_SECONDS
) -> int:
    """Open the tunnel, then serve under its name until the server ends; returns the exit status."""
    tool = next(filter(shutil.which, TOOLS), None)
    if tool is None:
        print(NONE, file=sys.stderr)
        return 1
    if ask(QUESTION.format(tool=tool)).strip().lower() not in ("y", "yes"):
        print("Nothing was opened.")
        return 1
    arguments, pattern = TOOLS[tool]
    command = [tool, *(word.format(port=port) for word in arguments)]
    tunnel = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        address = _address(tunnel, pattern, patience)
        if address is None:
            print(f"{tool} told no address. Run it by hand to see why: {' '.join(command)}", file=sys.stderr)
            return 1
        print(f"Open to anybody who has this address, until you press Ctrl-C:\n\n  {address}\n", flush=True)
        return subprocess.run([*server, str(port)], env=os.environ | _settings(address)).returncode
    except KeyboardInterrupt:
        return 0
    finally:
        tunnel.terminate()
        tunnel.wait()


def _settings(address: str) -> dict[str, str]:
    """The server goes by the tunnel's name too, and who comes through is a stranger."""
    hosts = filter(None, (os.environ.get("PARLANCE_ALLOWED_HOSTS"), urlsplit(address).hostname))
    return {"PARLANCE_ALLOWED_HOSTS": ",".join(hosts), "PARLANCE_IS_PUBLIC": "1"}


def _address(tunnel: subprocess.Popen[str], pattern: re.Pattern[str], patience: float) -> str | None:
    """What the tool prints that looks like its address; what it prints later is read and dropped."""
    found: list[str] = []
    is_told = threading.Event()

    def read() -> None:
        for line in tunnel.stdout or ():
            if not found and (match := pattern.search(line)):
                found.append(match[0])
                is_told.set()
        is_told.set()

    threading.Thread(target=read, daemon=True).start()
    is_told.wait(patience)
    return found[0] if found else None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8501)
    raise SystemExit(main(parser.parse_args().port))
