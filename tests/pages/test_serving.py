"""What the app asks of Streamlit's own server."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit import config, net_util, runtime
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec
from streamlit.web import bootstrap
from streamlit.web.server import server_util

from engine.http import Uploads
from engine.settings import Settings
from pages.parts import serving

ROOT = Path(__file__).parents[2]


def test_nobody_outside_is_asked_for_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(net_util, "_make_blocking_http_get", lambda *arguments, **options: asked.append(arguments))
    monkeypatch.setattr(net_util, "get_external_ip", net_util.get_external_ip)  # put back afterwards
    for name, value in read_config().items():
        monkeypatch.setitem(config.get_config_options(), name, config.get_config_options()[name])
        config.set_option(name, value, "the project's config.toml")
    config.set_option("server.headless", True)
    bootstrap._print_url(is_running_hello=False)
    serving.door(Settings())
    assert not server_util.is_url_from_allowed_origins("http://stranger.example")
    assert asked == []


def read_config() -> dict[str, Any]:
    """The options of the project's configuration that say where the server is."""
    read = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    return {"server.address": read["server"]["address"], "browser.serverAddress": read["browser"]["serverAddress"]}


def test_a_bare_start_listens_on_this_machine_alone() -> None:
    assert read_config()["server.address"] == "localhost"


def test_programs_have_one_way_in() -> None:
    read = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert read["server"]["enableAgentApi"] is False, "which keeps to no limit of ours, and would say so by its default"


def test_the_network_is_refused_unless_it_is_meant(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command += ["--server.address", "0.0.0.0", "--server.port", port]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode != 0 and "PARLANCE_IS_NETWORK_TRUSTED=1" in done.stderr and "Traceback" not in done.stderr


def test_the_policy_holds_the_page_that_streamlit_ships() -> None:
    policy = serving.page_policy()
    scripts = re.findall(r"<script\b(?![^>]*\bsrc=)", serving.INDEX.read_text(encoding="utf-8"))
    (allowed,) = [rule for rule in policy.split("; ") if rule.startswith("script-src")]
    assert allowed.count("sha256-") == len(scripts)
    assert "unsafe" not in allowed and "*" not in policy


def test_the_files_that_streamlit_keeps_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    manager = MemoryUploadedFileManager("/_stcore/upload_file")
    monkeypatch.setattr(runtime, "get_instance", lambda: SimpleNamespace(uploaded_file_mgr=manager))
    for session, number in (("a", 1), ("a", 2), ("b", 3)):
        manager.add_file(session, UploadedFileRec(str(number), "a.csv", "text/csv", b"x" * number))
    manager.remove_file("a", "1")
    counted = next(each for each in serving.door(Settings()) if each.cls is Uploads).kwargs["kept"]
    assert counted() == {"a": 2, "b": 3}
