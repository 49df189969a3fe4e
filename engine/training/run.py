"""A run's folder: config.json, status.json, metrics.jsonl, samples.jsonl, log.txt, checkpoints/ and, last, model/.

The child process writes it through `Run`; whoever watches reads the files. No torch here.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import psutil  # type: ignore[import-untyped]

from engine.files import read_json

State = Literal["queued", "preparing", "running", "finished", "stopped", "failed"]
LIVE: tuple[State, ...] = ("queued", "preparing", "running")

KEPT_FIELDS = ("started", "baseline", "metrics", "best_step")
"""What of the status outlives a restart of the run."""
STOP_FILE = "stop"
LESS_MEMORY = (
    "Lower batch_size and raise accumulation_steps by as much, shorten max_length, switch is_gradient_checkpointed on, "
    "or choose method lora"
)
"""What to change where memory does not suffice; a sentence without its end."""
WEIGHTS_FILE, STATE_FILE = "weights.safetensors", "trainer_state.json"
"""A checkpoint holds both; it gets its name when it is whole."""


class Run:
    """The writing side: appends metrics, replaces the status, puts the model in place last."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        before = read_json(folder / "status.json")
        self._status: dict[str, Any] = {name: before[name] for name in KEPT_FIELDS if name in before}
        self._status |= {"pid": os.getpid(), "process_started": psutil.Process().create_time()}
        self._status.setdefault("started", time.time())
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        for name in ("metrics.jsonl", "samples.jsonl"):
            _end_last_line(folder / name)

    def record(self, values: Mapping[str, Any]) -> None:
        """Append one line to `metrics.jsonl`; it is on the disk when this returns. Infinite numbers become null."""
        finite = {n: None if isinstance(v, float) and not math.isfinite(v) else v for n, v in values.items()}
        self._append("metrics.jsonl", [finite])

    def show(self, step: int, samples: Iterable[tuple[str, str]]) -> None:
        """Append prompts and what the model made of them to `samples.jsonl`."""
        self._append("samples.jsonl", [{"step": step, "prompt": prompt, "text": text} for prompt, text in samples])

    def _append(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        with (self.folder / name).open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
            file.flush()
            os.fsync(file.fileno())

    def update(self, state: State, **values: Any) -> None:
        """Replace `status.json` by one with this state and these values changed."""
        self._status |= {"state": state, **values, "updated": time.time()}
        temporary = self.folder / "status.json.part"
        temporary.write_text(json.dumps(self._status, indent=2) + "\n", encoding="utf-8")
        temporary.replace(self.folder / "status.json")

    @property
    def is_stop_asked(self) -> bool:
        """Whether somebody put the stop file into the folder."""
        return (self.folder / STOP_FILE).exists()

    def forget_stop(self) -> None:
        """Remove the stop file of an earlier life; one that came after this process began is meant for it."""
        path = self.folder / STOP_FILE
        if path.exists() and path.stat().st_mtime < self._status["process_started"] - 1:
            path.unlink(missing_ok=True)

    def keep(self, model: Any, tokenizer: Any, name: str = "model", **options: Any) -> None:
        """Write the model (as fp16 safetensors) with its tokenizer, and rename the folder to `name`.

        It appears whole or not at all; what had the name before goes afterwards. `options` go to the saving.
        """
        temporary, final, before = (self.folder / f"{name}{end}" for end in (".part", "", ".before"))
        for path in (temporary, before):
            shutil.rmtree(path, ignore_errors=True)
        model.save_pretrained(temporary, **options)
        if tokenizer is not None:
            tokenizer.save_pretrained(temporary)
        # peft writes a card with the paths of this machine; ours is made at export.
        (temporary / "README.md").unlink(missing_ok=True)
        if final.exists():
            final.rename(before)
        temporary.rename(final)
        shutil.rmtree(before, ignore_errors=True)

    def clean(self) -> None:
        """Remove what a kill or a full disk left half-written."""
        for path in (*self.folder.glob("*.part"), *self.folder.glob("checkpoints/*.part")):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def read_status(folder: Path) -> dict[str, Any]:
    """What `status.json` says, with the state `failed` where it says `running` but its process is gone."""
    status: dict[str, Any] = json.loads((folder / "status.json").read_text(encoding="utf-8"))
    if status["state"] in LIVE and not is_alive(status):
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
    return _json_lines(folder / "metrics.jsonl")


def read_samples(folder: Path) -> list[dict[str, Any]]:
    """All whole lines of `samples.jsonl`, oldest first."""
    return _json_lines(folder / "samples.jsonl")


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint of a run; damaged ones are passed over."""
    found = [path for path in (folder / "checkpoints").glob("checkpoint-*") if path.name.rpartition("-")[2].isdigit()]
    newest_first = sorted(found, key=lambda path: int(path.name.rpartition("-")[2]), reverse=True)
    return next((path for path in newest_first if is_whole(path)), None)


def is_whole(checkpoint: Path) -> bool:
    """Whether the checkpoint's state can be read and its tensors are as long as their header says."""
    tensors = list(checkpoint.glob("*.safetensors"))
    return (
        bool(read_json(checkpoint / STATE_FILE))
        and (checkpoint / WEIGHTS_FILE) in tensors
        and all(_has_all_bytes(path) for path in tensors)
    )


def _has_all_bytes(path: Path) -> bool:
    """By safetensors' own format: eight bytes of length, a header in JSON, then the tensors."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, path.stat().st_size)))
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        return path.stat().st_size == 8 + length + max(ends, default=0)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def memory_now() -> dict[str, int]:
    """Most memory that this process ever held, and what the machine (or container) has free, in bytes."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if os.uname().sysname == "Darwin" else 1024)
    free = psutil.virtual_memory().available
    limit, used = (_number(Path("/sys/fs/cgroup") / name) for name in ("memory.max", "memory.current"))
    if limit is not None and used is not None:
        free = min(free, max(0, limit - used))
    return {"memory_bytes": int(peak), "free_memory_bytes": int(free)}


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _json_lines(path: Path) -> list[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
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
