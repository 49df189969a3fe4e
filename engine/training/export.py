"""A run's model as a zip to keep: `python -m engine.training.export RUN KIND FOLDER` writes it and prints its path.

Each kind is a folder of files with a model card; no path of this machine is in any of them.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

from engine.backends.ct2.conversion import NAME as COPY
from engine.errors import ConflictError, NotFoundError, not_among
from engine.files import PART, read_json, settle
from engine.jobs import reading
from engine.jobs.folder import Job
from engine.training import cards, tasks
from engine.training.cards import Facts
from engine.training.config import TrainingConfig
from engine.training.failures import as_command
from engine.training.failures import describe as describe
from engine.training.turns import step_back

Kind = Literal["adapter", "safetensors", "gguf", "gguf-adapter", "onnx"]
EXPORT_KINDS: tuple[Kind, ...] = get_args(Kind)
GGUF_FILE, GGUF_ADAPTER_FILE = "model-q8_0.gguf", "adapter.gguf"
TEXT_FILES = (".json", ".jinja", ".txt", ".md")
PATH = re.compile(r"(?:/|[A-Za-z]:\\|~/)[^\s\"']*[/\\][^\s\"']*")
NAMES_OF_PATHS = ("_name_or_path", "name_or_path", "_model_name_or_path", "base_model_name_or_path", "tokenizer_file",
                  "vocab_file", "special_tokens_map_file", "gguf_file")  # fmt: skip
"""Keys under which libraries keep where something was loaded from."""


def export(folder: Path, kind: Kind, target: Path) -> Path:
    """Write `<run>-<kind>.zip` of the run in `folder` into the folder `target`, whole or not at all; returns its path.

    gguf, gguf-adapter and onnx need torch and minutes. Raises NotFoundError without a model or adapter, ConflictError
    while the run is at work, InputError for another kind, UnsupportedError where a format does not know the model.
    """
    name = f"{folder.resolve().name}-{kind}"
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(PART, ".export-", target) as temporary:
        files = Path(temporary) / name
        gather(folder, kind, files)
        return _zipped(files, target / f"{name}.zip")


def work(job: Job) -> dict[str, str]:
    """The work of a job: the zip of the run that its config names, into `exports/` of that run."""
    folder, kind = job.folder.parents[1] / job.config["run"], job.config["kind"]
    target = folder / "exports" / kind
    settle(target)  # what an earlier one left that was stopped
    return {"file": export(folder, kind, target).name}


def gather(folder: Path, kind: Kind, files: Path) -> Facts:
    """Put an export's files and its card into the new folder `files`. Raises as `export`."""
    if kind not in WRITERS:
        raise not_among("kind", kind, EXPORT_KINDS)
    facts = cards.read_facts(folder)
    if not (folder / "model" / "config.json").is_file():
        raise NotFoundError("This run has no model yet. Wait until it has saved one.", param="run")
    if (folder / "status.json").exists() and reading.standing(folder).is_alive:
        raise ConflictError("This run is at work. Stop it or wait for its end, then export it.", param="run")
    files.mkdir(parents=True)
    main = WRITERS[kind](folder, facts, files)
    for path in files.rglob("*"):
        if path.suffix == ".json":
            _clean(path, facts.config)
    (files / "README.md").write_text(cards.card(facts, kind, main), encoding="utf-8")
    return facts


def _safetensors(folder: Path, facts: Facts, files: Path) -> str:
    if _needs_its_encoder(folder):
        from engine.training.encoders import write_whole

        write_whole(folder / "model", tasks.find(facts.config.task).auto_class, files)
    else:
        shutil.copytree(folder / "model", files, dirs_exist_ok=True, ignore=shutil.ignore_patterns(f"*{COPY}*"))
    return "model.safetensors"


def _needs_its_encoder(folder: Path) -> bool:
    return bool(read_json(folder / "model" / "config.json").get("is_packed"))


def _adapter(folder: Path, facts: Facts, files: Path) -> str:
    _check_adapter(folder)
    shutil.copytree(folder / "adapter", files, dirs_exist_ok=True)
    path = files / "adapter_config.json"
    base = cards.hub_name(facts.base) or facts.config.base_id
    settings = json.loads(path.read_text(encoding="utf-8")) | {"base_model_name_or_path": base}
    path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    return "adapter_model.safetensors"


def _check_adapter(folder: Path) -> None:
    if not (folder / "adapter" / "adapter_config.json").is_file():
        raise NotFoundError(
            "This run has no adapter: only the method lora makes one. Export safetensors instead.", param="kind"
        )


def _gguf(folder: Path, facts: Facts, files: Path) -> str:
    from engine.backends.ggml.writing import to_gguf

    licence = cards.LICENCES.get(facts.base.licence, facts.base.licence) if facts.base else ""
    base = base_gguf(facts.config)
    to_gguf(folder / "model", files / GGUF_FILE, base=base, title=facts.title, licence=licence)
    return GGUF_FILE


def base_gguf(config: TrainingConfig) -> Path | None:
    """The GGUF file that a run began with, whose tokenizer is copied; None where it began with a folder."""
    path = Path(config.base)
    return path if path.suffix == ".gguf" and path.is_file() else None


def _gguf_adapter(folder: Path, facts: Facts, files: Path) -> str:
    from engine.backends.ggml.writing import adapter_to_gguf

    _check_adapter(folder)
    adapter_to_gguf(folder / "adapter", folder / "model", files / GGUF_ADAPTER_FILE)
    return GGUF_ADAPTER_FILE


def _onnx(folder: Path, facts: Facts, files: Path) -> str:
    from engine.training.onnx_export import to_onnx

    with tempfile.TemporaryDirectory(PART, dir=files.parent) as temporary:
        model = folder / "model"
        if _needs_its_encoder(folder):
            model = Path(temporary)
            _safetensors(folder, facts, model)
        main, *_ = to_onnx(model, files)
        for path in model.iterdir():
            if path.suffix in (*TEXT_FILES, ".spm", ".model"):
                shutil.copy(path, files / path.name)
    return main.name


WRITERS: dict[Kind, Callable[[Path, Facts, Path], str]] = {
    "adapter": _adapter,
    "safetensors": _safetensors,
    "gguf": _gguf,
    "gguf-adapter": _gguf_adapter,
    "onnx": _onnx,
}
"""Each fills a folder and returns the name of its main file."""


def _clean(path: Path, config: TrainingConfig) -> None:
    """Take paths of this machine out of a JSON file that a library wrote; the base keeps its id."""
    if path.name in ("tokenizer.json", "vocab.json"):
        return
    content = json.loads(path.read_text(encoding="utf-8"))
    cleaned = _without_paths(content, config.base_id)
    if cleaned != content:
        path.write_text(json.dumps(cleaned, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _without_paths(value: Any, base_id: str) -> Any:
    if not isinstance(value, dict):
        return value
    kept = {}
    for name, inner in value.items():
        if name in NAMES_OF_PATHS and isinstance(inner, str) and PATH.match(inner):
            if base_id and name != "gguf_file":
                kept[name] = base_id
        else:
            kept[name] = _without_paths(inner, base_id)
    return kept


def _zipped(files: Path, file: Path) -> Path:
    """Pack a folder; weights hardly shrink, so they are only stored."""
    part = file.with_name(f".{file.name}{PART}")
    try:
        with zipfile.ZipFile(part, "w") as archive:
            for path in sorted(files.rglob("*")):
                if path.is_file():
                    kind = zipfile.ZIP_DEFLATED if path.suffix in TEXT_FILES else zipfile.ZIP_STORED
                    archive.write(path, Path(files.name) / path.relative_to(files), compress_type=kind)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    return file


def main(arguments: list[str] | None = None) -> int:
    """Export as the command line says and print the zip's path. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m engine.training.export", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("kind", choices=EXPORT_KINDS)
    parser.add_argument("target", type=Path)
    given = parser.parse_args(arguments)
    return as_command(lambda: export(given.folder, given.kind, given.target))


if __name__ == "__main__":
    step_back()
    sys.exit(main())
