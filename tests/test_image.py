"""What the image is made of: a base by digest, requirements by hash, code that its user cannot change."""

from __future__ import annotations

import re

from engine.settings import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
LOCK = (ROOT / "requirements-image.txt").read_text(encoding="utf-8")


def pins(text: str) -> dict[str, str]:
    return {name.lower(): version for name, version in re.findall(r"^([\w.-]+)==([\w.]+)", text, re.MULTILINE)}


def test_the_image_installs_what_is_required_and_each_file_by_its_hash() -> None:
    required, locked = pins((ROOT / "requirements.txt").read_text(encoding="utf-8")), pins(LOCK)
    assert locked.items() >= {name: version for name, version in required.items() if name != "torch"}.items()
    assert "torch" not in locked and not [name for name in locked if name.startswith(("nvidia", "cuda", "triton"))]
    entries = [entry for entry in re.split(r"\n(?=\w)", re.sub(r"#.*\n", "", LOCK)) if "==" in entry]
    assert len(entries) == len(locked) and all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)
    assert "://" not in LOCK and "--require-hashes -r requirements-image.txt" in DOCKERFILE


def test_the_base_is_named_by_digest_and_the_code_is_not_its_users() -> None:
    assert re.search(r"^ARG BASE=python:3\.11-slim@sha256:[0-9a-f]{64}\nFROM \$\{BASE\}$", DOCKERFILE, re.MULTILINE)
    copied, user = DOCKERFILE.index("COPY . .\nRUN chmod -R a+rX,go-w ."), DOCKERFILE.index("USER parlance")
    assert copied < user and "--chown" not in DOCKERFILE
