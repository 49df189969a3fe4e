"""What the image and its neighbours are made of: files by hash, a base by digest, code that its user cannot change, and
what stands around it in compose.yaml and on other hosts. None of it is built here; docs/deploy.md tells what was run.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from engine.settings import PREFIX, ROOT, Settings

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
LOCK = (ROOT / "requirements-image.txt").read_text(encoding="utf-8")
CADDY = (ROOT / "docs" / "hosting" / "Caddyfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SETTINGS = {PREFIX + field.name.upper() for field in fields(Settings)}


def pins(text: str) -> dict[str, str]:
    return {name.lower(): version for name, version in re.findall(r"^([\w.-]+)(?:\[\w+\])?==([\w.+]+)", text, re.M)}


def required() -> dict[str, str]:
    own = (ROOT / f"requirements{ending}.txt" for ending in ("", "-host"))
    return pins("\n".join(path.read_text(encoding="utf-8") for path in own))


@pytest.mark.parametrize("ending", ["", "-cpu", "-cuda"])
def test_each_file_of_the_image_has_its_hash(ending: str) -> None:
    text = (ROOT / f"requirements-image{ending}.txt").read_text(encoding="utf-8")
    entries = [entry for entry in re.split(r"\n(?=\w)", re.sub(r"#.*\n", "", text)) if "==" in entry]
    assert len(entries) == len(pins(text)) and "://" not in text
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)
    assert "--require-hashes -r" in DOCKERFILE and "pip install" not in re.sub(
        r"pip install --no-deps --require-hashes -r", "", DOCKERFILE
    )


def test_the_image_installs_what_is_required() -> None:
    """After a changed requirement: make lock."""
    wanted, locked = required(), pins(LOCK)
    assert locked.items() >= {name: version for name, version in wanted.items() if name != "torch"}.items()
    assert "torch" not in locked and not [name for name in locked if name.startswith(("nvidia", "cuda", "triton"))]
    for ending, build in (("cpu", "+cpu"), ("cuda", "")):
        own = pins((ROOT / f"requirements-image-{ending}.txt").read_text(encoding="utf-8"))
        assert own["torch"] == wanted["torch"] + build


def test_the_base_is_named_by_digest_and_the_code_is_not_its_users() -> None:
    assert re.search(r"^ARG BASE=python:3\.11-slim@sha256:[0-9a-f]{64}\nFROM \$\{BASE\}$", DOCKERFILE, re.MULTILINE)
    copied, user = DOCKERFILE.index("COPY . .\nRUN chmod -R a+rX,go-w ."), DOCKERFILE.index("USER 1000")
    assert copied < user and "--chown" not in DOCKERFILE


def test_compose_closes_what_needs_not_be_open() -> None:
    services = COMPOSE["services"]
    assert [name for name, service in services.items() if "ports" in service] == ["proxy"]
    assert COMPOSE["networks"]["inside"]["internal"] and services["database"]["networks"] == ["inside"]
    for name in ("app", "proxy"):
        assert services[name]["read_only"] and services[name]["cap_drop"] == ["ALL"], name
    for name, service in services.items():
        assert "no-new-privileges:true" in service["security_opt"] and service["mem_limit"], name
        assert service["logging"]["options"]["max-size"] and service["restart"] == "unless-stopped", name
    assert services["app"]["depends_on"]["database"]["condition"] == "service_healthy"


def test_compose_names_what_there_is() -> None:
    services = COMPOSE["services"]
    ours = {name for name in services["app"]["environment"] if name.startswith(PREFIX)}
    assert ours <= SETTINGS and services["app"]["environment"]["PARLANCE_IS_PUBLIC"] == "1"
    assert set(services["app"]["build"]["args"]) <= set(re.findall(r"^ARG (\w+)", DOCKERFILE, re.M))
    places = [volume.partition(":")[0] for service in services.values() for volume in service["volumes"]]
    assert all((ROOT / place).exists() if place.startswith(".") else place in COMPOSE["volumes"] for place in places)
    over = yaml.safe_load((ROOT / "compose.cuda.yaml").read_text(encoding="utf-8"))["services"]
    assert set(over) <= set(services)
    assert set(re.findall(r"\{\$(\w+)\}", CADDY)) <= set(services["proxy"]["environment"])


def test_the_proxy_closes_the_hosts_own_and_holds_limits() -> None:
    assert re.search(r"@closed path .*/metrics .*/_stcore/metrics\n\s*respond @closed 404", CADDY)
    assert all(
        word in CADDY for word in ("max_header_size", "read_header", "read_body", "max_size 60MB", "max_size 10MB")
    )


@pytest.mark.parametrize("kind", ["space", "cloud"])
def test_other_hosts_get_the_repository_as_they_want_it(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / kind
    script = str(ROOT / "docs" / "hosting" / "pack.sh")
    subprocess.run(["sh", script, kind, str(folder)], check=True)
    assert subprocess.run(["sh", script, kind, str(folder)], capture_output=True).returncode, "never into what is there"
    assert (folder / "app.py").exists() and (folder / "Dockerfile").exists() and not (folder / ".git").exists()
    large = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size > 10 * 10**6]
    if kind == "space":
        card = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])
        assert card["sdk"] == "docker" and len(card["short_description"]) <= 60
        assert f"EXPOSE {card['app_port']}\n" in DOCKERFILE
        assert {path.suffix for path in large} <= {".safetensors"}
        assert "*.safetensors filter=lfs" in (folder / ".gitattributes").read_text(encoding="utf-8")
    else:
        lines = (folder / "requirements.txt").read_text(encoding="utf-8").split("\n")
        assert lines[0] == "--extra-index-url https://download.pytorch.org/whl/cpu"
        assert f"torch=={required()['torch']}+cpu" in lines
        assert (folder / "packages.txt").read_text(encoding="utf-8") == "libgomp1\n"
        told = (folder / "docs" / "hosting" / "cloud" / "secrets.toml").read_text(encoding="utf-8")
        assert set(re.findall(r"^(\w+) =", told, re.M)) <= SETTINGS
