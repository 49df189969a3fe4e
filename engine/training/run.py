"""One run: a job's folder with, beside that, samples.jsonl, checkpoints/ and, last, model/.

The child process writes it through `Run`; whoever watches reads the files. No torch here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
from safetensors import SafetensorError, safe_open

from engine.files import read_json, settle
from engine.jobs.folder import Job, end_last_line
from engine.messages import Text

LESS_MEMORY = Text(
    "Lower batch_size and raise accumulation_steps by as much, shorten max_length, switch is_gradient_checkpointed on, "
    "or choose method lora"
)
"""What to change where memory does not suffice; a sentence without its end."""
WEIGHTS_FILE, STATE_FILE = "weights.safetensors", "trainer_state.json"
"""A checkpoint holds both; it gets its name when it is whole."""
KEPT, MAX_KEPT_BYTES = "kept-", 2 * 10**9
"""Folders of weights kept to look back at, by step; and the size of all of them together."""


class Run(Job):
    """The writing side: a job that also shows samples and keeps checkpoints and a model."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        end_last_line(folder / "samples.jsonl")

    def show(self, step: int, samples: Iterable[tuple[str, str]]) -> None:
        """Append prompts and what the model made of them to `samples.jsonl`."""
        self._append("samples.jsonl", [{"step": step, "prompt": prompt, "text": text} for prompt, text in samples])

    def keep(self, model: Any, tokenizer: Any, name: str = "model", **options: Any) -> None:
        """Write the model (as fp16 safetensors) with its tokenizer, and rename the folder to `name`.

        It appears whole or not at all. `options` go to the saving.
        """
        with self.placed(name) as part:
            model.save_pretrained(part, **options)
            if tokenizer is not None:
                tokenizer.save_pretrained(part)
            # peft writes a card with the paths of this machine; ours is made at export.
            (part / "README.md").unlink(missing_ok=True)

    def clean(self) -> None:
        """Remove what a kill or a full disk left half-written."""
        super().clean()
        settle(self.folder / "checkpoints")


def checkpoints(folder: Path) -> dict[int, Path]:
    """A run's checkpoints by step, newest first; each got its name when it was whole."""
    paths = (folder / "checkpoints").glob("checkpoint-*")
    found = {int(end): path for path in paths if (end := path.name.removeprefix("checkpoint-")).isdecimal()}
    return dict(sorted(found.items(), reverse=True))


def past_weights(folder: Path) -> dict[int, Path]:
    """Files of a run's weights by step, oldest first, whole ones alone: kept to look back at, best and last."""
    kept = {int(path.parent.name[5:]): path for path in (folder / "checkpoints").glob(f"{KEPT}*[0-9]/{WEIGHTS_FILE}")}
    found = kept | {step: path / WEIGHTS_FILE for step, path in checkpoints(folder).items() if is_whole(path)}
    return dict(sorted(found.items()))


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint of a run; damaged ones are passed over."""
    return next((path for path in checkpoints(folder).values() if is_whole(path)), None)


def is_whole(checkpoint: Path) -> bool:
    """Whether the checkpoint's state can be read and its tensors are as long as their header says."""
    tensors = list(checkpoint.glob("*.safetensors"))
    with suppress(SafetensorError, OSError):
        return all(shapes(path) is not None for path in tensors) and (
            (checkpoint / WEIGHTS_FILE) in tensors and bool(read_json(checkpoint / STATE_FILE))
        )
    return False


def shapes(file: Path) -> dict[str, list[int]]:
    """Tensors of a safetensors file by name. Raises SafetensorError or OSError where it is damaged or cut off."""
    with safe_open(file, "np") as opened:
        return {name: opened.get_slice(name).get_shape() for name in opened.keys()}  # noqa: SIM118, it is no mapping


def memory_now() -> dict[str, int]:
    """Most memory that this process ever held, and what the machine (or container) has free, in bytes."""
    free = psutil.virtual_memory().available
    limit, used = (_number(Path("/sys/fs/cgroup") / name) for name in ("memory.max", "memory.current"))
    if limit is not None and used is not None:
        free = min(free, max(0, limit - used))
    return {"memory_bytes": _peak(), "free_memory_bytes": int(free)}


def _peak() -> int:
    """The program's own peak: on Linux `ru_maxrss` begins with that of the process which started this one."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="utf-8").split("\n")
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if os.uname().sysname == "Darwin" else 1024)


def _number(path: Path) -> int | None:
    with suppress(OSError, ValueError):
        return int(path.read_text())
    return None
