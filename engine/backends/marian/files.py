"""A student as files: `config.json`, `model.safetensors` (matrices in int8) and one or two SentencePiece vocabularies.

Published files become this once. Weights in memory are float32, which this network computes fastest in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.backends.marian.model import EOS, UNKNOWN, Shape, Student, build, shape_of
from engine.backends.marian.published import FormatError, Quantized, Weights, read_model, read_shortlist
from engine.backends.marian.quick import INPUT, QuickStudent, is_possible, rounded
from engine.backends.marian.shortlist import Network, Shortlist
from engine.catalogue.checkpoints import STUDENT
from engine.catalogue.copies import Copy
from engine.errors import InputError, NotReadyError
from engine.files import read_json

CONVERTED = "student"
"""The converted copy's folder, inside the folder of the published files."""
LAYOUT = 1
"""To be raised when this module converts in another way."""
WEIGHTS, CONFIG = "model.safetensors", "config.json"
SCALE = ".scale"
OFFSETS, WORDS = "shortlist.offsets", "shortlist.ids"
MAX_FILE_BYTES = 512 * 2**20
MAX_BEAM_SIZE = 16


@dataclass(frozen=True)
class Vocabulary:
    """A SentencePiece model; ids end in EOS where they are a source."""

    pieces: Any

    def encode(self, text: str) -> list[int]:
        """Ids of a text without the end."""
        return list(self.pieces.encode(text))

    def decode(self, ids: list[int]) -> str:
        """The text of ids, the end left out."""
        return str(self.pieces.decode([id for id in ids if id != EOS]))

    def piece(self, id: int) -> str:
        """A token as text, with a space where a word begins."""
        return "" if id == EOS else str(self.pieces.id_to_piece(id)).replace("\u2581", " ")

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where each piece lies in the text: start and end."""
        found = self.pieces.encode(text, return_type="offset_mapping")
        return [(start, end) for start, end in found["offsets"]]

    def __len__(self) -> int:
        return int(self.pieces.vocab_size())


@dataclass(frozen=True)
class Translator:
    """All that translates one direction; its folder, from which the exact network is read when it is needed."""

    folder: Path
    source: Vocabulary
    target: Vocabulary
    shortlist: Shortlist | None
    quick: Network
    """For answers: in int8 where this machine and the weights can, else the exact one."""
    ranges: Mapping[str, Tensor]
    """What goes into each product at most, where the file tells."""
    beam_size: int = 1
    """Of how many beginnings it goes on; published students learned from such searches, and need none."""

    @property
    def weights_bytes(self) -> int:
        """Of the file."""
        return (self.folder / WEIGHTS).stat().st_size

    @cached_property
    def student(self) -> Student:
        """The network in float32, for what must be exact: scores, sampling, training."""
        if isinstance(self.quick, Student):
            return self.quick
        with torch.inference_mode(False):  # whoever asks for a gradient comes through it
            return _network(self.folder)[0]


def open_student(title: str, folder: Path, digests: Mapping[str, str] | None = None) -> Translator:
    """The student in the folder; published files are converted first. `digests` are the known sha256 of these.

    Raises NotReadyError where a file is not the known one, InputError where files are no student's.
    """
    try:
        return _read(converted(title, folder, digests or {}) if not (folder / CONFIG).is_file() else folder)
    except (FormatError, ValueError, KeyError, SafetensorError) as error:
        raise InputError(
            "{title} cannot be read: {reason}. Download it again.", param="model", title=title, reason=str(error)
        ) from error
    except OSError as error:
        raise InputError(
            "{model} could not be unpacked: {reason}. Free disk space or download it again, then try again.",
            param="model", model=title, reason=error.strerror or str(error),
        ) from error  # fmt: skip


def is_student(folder: Path) -> bool:
    """Whether the folder holds one, as published or in our form."""
    told = read_json(folder / CONFIG).get("model_type") if (folder / CONFIG).is_file() else ""
    return told == STUDENT or (folder / CONVERTED / CONFIG).is_file() or any(folder.glob("model.*.bin"))


def converted(title: str, folder: Path, digests: Mapping[str, str]) -> Path:
    """The folder with the published files' weights as safetensors, made now where it is not there, and again where it
    is damaged. Files are read only when their sha256 is known. Raises OSError."""

    def write(published: Path, target: Path) -> None:
        _convert({name: _checked(title, published / name, digest) for name, digest in digests.items()}, target)

    return Copy(CONVERTED, write, lambda _: {"layout": LAYOUT}).made(folder)


def _checked(title: str, path: Path, digest: str) -> bytes:
    data = path.read_bytes() if path.is_file() and path.stat().st_size <= MAX_FILE_BYTES else b""
    if hashlib.sha256(data).hexdigest() != digest:
        raise NotReadyError(
            "{name} of {title} is not the file that Parlance knows (its sha256 differs), and was not read. "
            "Delete the model and download it again.",
            param="model",
            name=path.name,
            title=title,
        )
    return data


def _convert(contents: Mapping[str, bytes], folder: Path) -> None:
    """Write published files in our form; which is which, their names tell."""
    files = {name.split(".")[0]: data for name, data in contents.items()}
    if "model" not in files or not ("vocab" in files or {"srcvocab", "trgvocab"} <= set(files)):
        raise FormatError("its model or its vocabulary is missing")
    shape, weights = read_model(files["model"])
    for name, kept in (("vocab", "vocabulary"), ("srcvocab", "source"), ("trgvocab", "target")):
        if name in files:
            (folder / f"{kept}.spm").write_bytes(files[name])
    sizes = (shape.source_size, shape.target_size or shape.source_size)
    shortlist = read_shortlist(files["lex"], *sizes) if "lex" in files else None
    save_student(folder, shape, weights, shortlist)


def save_student(
    folder: Path, shape: Shape, weights: Weights, shortlist: tuple[Tensor, Tensor] | None, facts: Mapping[str, Any] = {}
) -> None:
    """Write weights, shortlist and, last, the configuration, which makes the folder whole."""
    tensors: dict[str, Tensor] = {}
    for name, weight in weights.items():
        if isinstance(weight, Quantized):
            tensors |= {name: weight.values, name + SCALE: weight.scale}
        else:
            tensors[name] = weight
    if shortlist is not None:
        tensors |= {OFFSETS: shortlist[0].int(), WORDS: shortlist[1].int()}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / WEIGHTS)
    config = {"model_type": STUDENT, "shape": shape.as_dict(), **facts}
    (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def quantized(weight: Tensor, steps: int = 127) -> Quantized:
    """A matrix in int8, with a scale for each of its rows; as many steps on each side of nought."""
    values, scales = rounded(weight, steps)
    return Quantized(values, scales[:, None])


def _read(folder: Path) -> Translator:
    student, tensors, config = _network(folder)
    inputs = {name: value for name, value in tensors.items() if name.endswith(INPUT)}
    shape = student.shape
    source = _vocabulary(folder, "source")
    target = _vocabulary(folder, "target") if (folder / "target.spm").is_file() else source
    if len(source) != shape.source_size or len(target) != (shape.target_size or shape.source_size):
        raise ValueError("its vocabularies are of another size than its weights")
    shortlist = None
    if OFFSETS in tensors:
        shortlist = Shortlist(tensors[OFFSETS], tensors[WORDS], is_shared=not shape.target_size)
    with torch.inference_mode():
        quick = QuickStudent(student, inputs) if is_possible(student, inputs) else student
    size = config.get("beam_size", 1)
    if not isinstance(size, int) or not 1 <= size <= MAX_BEAM_SIZE:
        raise ValueError(f"its beam_size is {size!r}, and not a number from 1 to {MAX_BEAM_SIZE}")
    return Translator(folder, source, target, shortlist, quick, inputs, size)


def _network(folder: Path) -> tuple[Student, dict[str, Tensor], dict[str, Any]]:
    """The exact network, what else is in its file, and the configuration."""
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    if config.get("model_type") != STUDENT:
        raise ValueError("it is another kind of model")
    tensors = load_file(folder / WEIGHTS)
    others = {name: tensors.pop(name) for name in list(tensors) if name in (OFFSETS, WORDS) or name.endswith(INPUT)}
    weights = {
        name: tensor.float() * tensors[name + SCALE] if name + SCALE in tensors else tensor.float()
        for name, tensor in tensors.items()
        if not name.endswith(SCALE)
    }
    return build(shape_of(config.get("shape") or {}), weights), others, config


def _vocabulary(folder: Path, side: str) -> Vocabulary:
    paths = (folder / f"{side}.spm", folder / "vocabulary.spm")
    return read_vocabulary(next((path for path in paths if path.is_file()), paths[0]))


def read_vocabulary(path: Path) -> Vocabulary:
    """A SentencePiece file. Raises ValueError where it is none, or not one of a student."""
    pieces = sentencepiece.SentencePieceProcessor()
    try:
        pieces.LoadFromSerializedProto(path.read_bytes())
    except (OSError, RuntimeError) as error:
        raise ValueError(f"its vocabulary {path.name} cannot be read") from error
    if pieces.eos_id() != EOS or pieces.unk_id() != UNKNOWN:
        raise ValueError(f"its vocabulary {path.name} has other ids for the end of a sentence")
    return Vocabulary(pieces)
