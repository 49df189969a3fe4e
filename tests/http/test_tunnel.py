"""`make share`: a known tool that is installed, a yes, and a server that goes by the tunnel's name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from engine.http import tunnel

SAID = {
    "cloudflared": "2026-11-28T10:00:00Z INF |  https://quiet-lake-12.trycloudflare.com  |",
    "ngrok": 't=2026-11-28T10:00:00 lvl=info msg="started tunnel" addr=http://localhost:9 url=https://ab12.ngrok-free.app',
    "tailscale": "Available on the internet:\n\nhttps://box.tail1234.ts.net/",
}
SERVER = (sys.executable, "-c", "import os, sys; print(*map(os.environ.get, sys.argv[1].split(',')), sys.argv[2])",
          "PARLANCE_ALLOWED_HOSTS,PARLANCE_IS_PUBLIC")  # fmt: skip


def install(folder: Path, name: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of that name, the only one on the path, that says so and stays."""
    (folder / name).write_text(f"#!/bin/sh\necho $* > {folder}/asked\ncat <<'END'\n{says}\nEND\nexec /bin/sleep 60\n")
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}")
    (folder / "cat").symlink_to("/bin/cat")


@pytest.mark.parametrize("name", list(SAID))
def test_the_server_goes_by_the_tunnels_name_and_is_public(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    install(tmp_path, name, SAID[name], monkeypatch)
    monkeypatch.setenv("PARLANCE_ALLOWED_HOSTS", "demo.example.org")
    asked = []
    assert tunnel.main(8599, lambda question: asked.append(question) or "y", SERVER) == 0
    host = {"cloudflared": "quiet-lake-12.trycloudflare.com", "ngrok": "ab12.ngrok-free.app"}.get(name)
    shown = capfd.readouterr().out
    assert f"demo.example.org,{host or 'box.tail1234.ts.net'} 1 8599" in shown and "https://" in shown
    assert name in asked[0] and "8599" in (tmp_path / "asked").read_text()


def test_nothing_opens_without_a_yes_a_tool_or_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tunnel.main(8599, lambda question: "y", SERVER) == 1 and "cloudflared, ngrok" in capfd.readouterr().err
    install(tmp_path, "ngrok", "lvl=eror msg=authentication", monkeypatch)
    assert tunnel.main(8599, lambda question: "", SERVER) == 1 and not (tmp_path / "asked").exists()
    assert tunnel.main(8599, lambda question: "yes", SERVER, patience=0.5) == 1
    assert "told no address" in capfd.readouterr().err
