"""A run's folder: config.json, metrics.jsonl, status.json, log.txt, checkpoints/ and, last of all, model/.

The child process writes it through `Run`; whoever watches reads the files. No torch here.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import psutil  # type: ignore[import-untyped]

State = Literal["preparing", "running", "finished", "stopped", "failed"]


class Run:
    """The writing side: appends metrics, replaces the status, puts the model in place last."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._status: dict[str, Any] = {"pid": os.getpid(), "process_started": psutil.Process().create_time()}
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        _end_last_line(folder / "metrics.jsonl")

    def record(self, values: Mapping[str, Any]) -> None:
        """Append one line to `metrics.jsonl`; it is on the disk when this returns."""
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def update(self, state: State, **values: Any) -> None:
        """Replace `status.json` by one with this state and these values changed."""
        self._status |= {"state": state, **values, "updated": time.time()}
        temporary = self.folder / "status.json.part"
        temporary.write_text(json.dumps(self._status, indent=2) + "\n", encoding="utf-8")
        temporary.replace(self.folder / "status.json")

    def keep(self, model: Any, tokenizer: Any) -> None:
        """Write the model as fp16 safetensors with its tokenizer, and rename the folder to `model`."""
        temporary, final = self.folder / "model.part", self.folder / "model"
        shutil.rmtree(temporary, ignore_errors=True)
        model.half().save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        if final.exists():
            final.rename(self.folder / f"model.before-{int(time.time())}")
        temporary.rename(final)


def read_status(folder: Path) -> dict[str, Any]:
    """What `status.json` says, with the state `failed` where it says `running` but its process is gone."""
    status: dict[str, Any] = json.loads((folder / "status.json").read_text(encoding="utf-8"))
    if status["state"] in ("preparing", "running") and not is_alive(status):
        return status | {"state": "failed", "error": "The process ended without a word: killed, or out of memory."}
    return status


def is_alive(status: Mapping[str, Any]) -> bool:
    """Whether the run's own process still works; the start time tells it from a later process with its number."""
    try:
        process = psutil.Process(status["pid"])
        is_same = abs(process.create_time() - status["process_started"]) < 1.0
        return is_same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """All whole lines of `metrics.jsonl`, oldest first; a line that a kill cut in two is left out."""
    try:
        lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [row for line in lines if (row := _parsed(line)) is not None]


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _end_last_line(path: Path) -> None:
    """End a line that a kill cut off, so that the next one stands for itself."""
    if path.exists() and path.read_bytes()[-1:] not in (b"", b"\n"):
        with path.open("ab") as file:
            file.write(b"\n")
