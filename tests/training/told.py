"""What the files of a run's folder say, for tests; and a run's end as the system might bring it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.jobs import process, reading
from engine.jobs.folder import json_lines
from engine.settings import Settings
from engine.training import runs


def read_status(folder: Path) -> dict[str, Any]:
    """What `status.json` says, with the state `failed` where it says `running` but its process is gone."""
    found = reading.standing(folder)
    return dict(found.status) | {"error": str(found.error), "advice": str(found.advice)}


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    return json_lines(folder / "metrics.jsonl")


def read_samples(folder: Path) -> list[dict[str, Any]]:
    return json_lines(folder / "samples.jsonl")


def kill(settings: Settings, run_id: str) -> None:
    """End the process of a live run with nothing said, as the system might."""
    process.kill_group(runs.read(settings, run_id).status["pid"])
