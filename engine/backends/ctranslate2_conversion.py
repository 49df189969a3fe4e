"""A seq2seq checkpoint gets a copy of itself beside its weights, int8 and in CTranslate2's form, once.

`python -m engine.backends.ctranslate2_conversion FOLDER` makes it now; a backend has it made in the background.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from engine.settings import Settings

log = logging.getLogger(__name__)

NAME = "ctranslate2-int8"
"""The copy's folder, inside the checkpoint's."""
STAMP = "made_from.json"
LAYOUT = 1
"""To be raised when this module converts in another way."""
QUANTIZATION = "int8_float32"
"""Matrices in int8 with a scale for each output; biases and norms in float32."""
NORMS = {"marian": (False, False), "m2m_100": (True, False), "bart": (False, True), "mbart": (True, True)}
"""Kinds that are converted: whether layers normalise their inputs, and whether the embeddings are normalised. T5 is
none: its inner activations have outliers that int8 would round away."""
KILLED_FIRST = 500
"""Of the kernel's scale to 1000: where memory runs out, the conversion goes before the server."""


def can_convert(path: Path, settings: Settings) -> bool:
    """Whether the seq2seq model in the folder is of a kind for CTranslate2, and the settings leave its dtype open."""
    from engine.backends.devices import choose_device

    if settings.dtype != "auto" or _kind(path) not in NORMS or choose_device(settings).type != "cpu":
        return False
    try:
        import ctranslate2  # noqa: F401
    except (ImportError, OSError) as error:
        log.info("no CTranslate2 here (%s); torch answers", error)
        return False
    return True


def find_copy(folder: Path) -> Path | None:
    """The checkpoint's copy, if there is one of these very weights by this version."""
    copy = folder / NAME
    with suppress(OSError, ValueError):
        if json.loads((copy / STAMP).read_text(encoding="utf-8")) == _facts(folder):
            return copy
    return None


def convert(folder: Path) -> None:
    """Make the copy if it is not there. It appears by renaming, also when two processes make it at once.

    Raises OSError for a folder that cannot be written or a full disk, ValueError for a kind that cannot be converted.
    """
    if find_copy(folder):
        return
    _sweep(folder)
    part, old = (folder / f".{NAME}.{os.getpid()}.{end}" for end in ("part", "old"))
    try:
        part.mkdir()
        facts = _facts(folder)
        _write(folder, part)
        (part / STAMP).write_text(json.dumps(facts), encoding="utf-8")
        with suppress(FileNotFoundError):
            os.rename(folder / NAME, old)
        os.rename(part, folder / NAME)
    except OSError:
        if not find_copy(folder):  # else another process was quicker
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


class Conversion:
    """A conversion in a process of its own, which yields to answers."""

    def __init__(self, folder: Path) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", __name__, str(folder.absolute())],
            cwd=Path(__file__).parents[2], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    @property
    def is_over(self) -> bool:
        return self._child.poll() is not None

    def close(self) -> None:
        """End it; nothing of it stays."""
        self._child.terminate()
        try:
            self._child.wait(5)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()


def _kind(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _facts(folder: Path) -> dict[str, Any]:
    """What a copy depends on: who made it, and its source's files with their sizes and times."""
    import ctranslate2

    files = [folder / "config.json", *sorted(folder.glob("*.safetensors"))]
    sources = {path.name: [(status := path.stat()).st_size, status.st_mtime_ns] for path in files}
    return {"version": ctranslate2.__version__, "layout": LAYOUT, "sources": sources}


def _sweep(folder: Path) -> None:
    """Delete what conversions left that were killed."""
    for path in folder.glob(f".{NAME}.*"):
        number = path.name.split(".")[2]
        if number.isdigit() and not psutil.pid_exists(int(number)):
            shutil.rmtree(path, ignore_errors=True)


def _write(folder: Path, target: Path) -> None:
    """The vocabulary is the ids as text, so that no tokenizer's spelling stands between; the start token is a prefix.

    Pad keeps its embedding, with which Marian starts: training moves it from the zeros that CTranslate2 puts there.
    """
    import torch
    import transformers
    from ctranslate2.converters.transformers import BartLoader, M2M100Loader

    from engine.backends.loading import LOCAL

    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    module = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder, dtype="auto", use_safetensors=True, **LOCAL)
    config = module.config
    if config.encoder_attention_heads != config.decoder_attention_heads:
        raise ValueError("encoder and decoder differ in their number of heads")
    config.normalize_before, config.normalize_embedding = NORMS[config.model_type]
    loader = M2M100Loader() if config.model_type == "m2m_100" else BartLoader()
    with torch.no_grad():
        spec = loader.get_model_spec(module)
    for size in spec.get_source_vocabulary_size():
        spec.register_source_vocabulary([str(id) for id in range(size)])
    spec.register_target_vocabulary([str(id) for id in range(spec.get_target_vocabulary_size())])
    # None of the three acts: sources come whole, and each request names its end tokens.
    spec.config.bos_token = spec.config.eos_token = spec.config.unk_token = "0"
    spec.config.decoder_start_token = None
    spec.validate()
    spec.optimize(quantization=QUANTIZATION)
    spec.save(str(target))


def _step_back() -> None:
    with suppress(OSError, AttributeError):
        os.nice(19)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(KILLED_FIRST))


def main(arguments: list[str] | None = None) -> int:
    """Convert the checkpoint in the folder named. Returns the exit status."""
    (folder,) = sys.argv[1:] if arguments is None else arguments
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    _step_back()
    try:
        convert(Path(folder))
    except Exception as error:  # whatever its reading leads to, torch goes on answering
        print(f"{Path(folder).name} was not converted for CTranslate2; torch answers. {error!r}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
