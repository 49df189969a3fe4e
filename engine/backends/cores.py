"""How many threads a runtime computes with: all cores, or fewer where `threads` found them faster on this machine."""

from __future__ import annotations

import platform
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from engine.files import read_json, write_json
from engine.settings import Settings, available_cores

Kind = Literal["llamacpp", "transformers"]
"""Decoders in GGUF, and checkpoints on whatever serves them: CTranslate2 or torch."""
FILE = "threads.json"


def threads_for(kind: Kind, settings: Settings) -> int:
    """The setting, else what was measured on this very machine, else all cores."""
    return settings.threads or measured(settings).get(kind) or available_cores()


def measured(settings: Settings) -> dict[str, int]:
    """What was measured on this machine; nothing else in the file is believed."""
    found = read_json(settings.cache_folder.expanduser() / FILE)
    if found.get("machine") != _machine():
        return {}
    possible = range(1, available_cores() + 1)
    return {name: best for name, best in found.items() if type(best) is int and best in possible}


def keep(kind: Kind, threads: int, settings: Settings) -> None:
    """Write down what was measured."""
    folder = settings.cache_folder.expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / FILE, {"machine": _machine(), **measured(settings), kind: threads})


@cache
def _machine() -> dict[str, Any]:
    """What a measurement holds for."""
    facts: dict[str, Any] = {"processor": _processor(), "cores": available_cores()}
    for package in ("xllamacpp", "ctranslate2", "torch"):
        with suppress(PackageNotFoundError):
            facts[package] = version(package)
    return facts


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
