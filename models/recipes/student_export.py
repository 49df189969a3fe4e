"""A trained child as files that are shipped: int8 weights, vocabularies cut to what they need, measured ranges, a card.

What int8 costs is measured and written into the card. Then a row [pairs.student.folders] of the catalogue names it:
bytes of the folder, BLEU on the lines that nothing has read.

python -m models.recipes.student_export en-fr --data DATA --run RUN --to models/student-en-fr [--keep 0.5]

A run that went on from what shipped is better in the mean with that (`--keep`): en-es had BLEU 17.2 on the lines that
choose where what shipped had 16.3 and the run 16.9, each with beams.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from sentencepiece import sentencepiece_model_pb2
from torch import Tensor

from benchmarks.translation_quality import FLORES
from engine.applications.languages import NAMED
from engine.backends.marian.decoding import translate
from engine.backends.marian.files import (
    Translator,
    Vocabulary,
    open_student,
    quantized,
    read_vocabulary,
    save_student,
)
from engine.backends.marian.model import EOS, Shape, Student, build, shape_of
from engine.backends.marian.published import Quantized, Weights
from engine.backends.marian.quick import WEIGHT_STEPS, measure_inputs
from engine.backends.marian.shortlist import Network
from engine.files import folder_bytes
from models.recipes.student_data import CHOOSING
from models.recipes.student_translations import translated
from models.recipes.students import ENGLISH, OTHER, START

HELD_OUT = slice(697, 997)
"""Lines of FLORES-200 dev that neither training nor choosing read."""
HAS_EUROPARL = ("fr",)
EUROPARL = "| Europarl v7, 500,000 sentences of 4 to 25 words (European Parliament) | no known restriction |\n"
BEAM_SIZE = 4
"""On the lines that choose BLEU 91.2 for four directions together; 90.9 with 3, 90.4 with 2, 86.0 without."""
LEAST_COUNT = 6
"""Rarer pieces are written with smaller ones."""


def cut(vocabulary: bytes, used: set[int]) -> tuple[bytes, list[int]]:
    """A vocabulary with only these pieces, single characters, and what it needs; and the old ids in order."""
    proto = sentencepiece_model_pb2.ModelProto.FromString(vocabulary)
    normal = sentencepiece_model_pb2.ModelProto.SentencePiece.NORMAL
    kept = [
        id
        for id, piece in enumerate(proto.pieces)
        if id in used or piece.type != normal or len(piece.piece.strip("\u2581")) <= 1
    ]
    pieces = [proto.pieces[id] for id in kept]
    del proto.pieces[:]
    proto.pieces.extend(pieces)
    return proto.SerializeToString(), kept


def used_ids(tensors: dict[str, Tensor], side: int, size: int) -> set[int]:
    """Ids that one side of the pairs uses, a few times at least."""
    counts = torch.zeros(size, dtype=torch.long)
    for name in ("many", "best"):
        lengths = tensors[f"{name}.lengths"]
        which = torch.repeat_interleave(torch.arange(len(lengths)) % 2, lengths)
        counts += torch.bincount(tensors[f"{name}.ids"][which == side].long(), minlength=size)
    return set((counts >= LEAST_COUNT).nonzero().flatten().tolist())


def export(pair: str, run: Path, weights: Path, folder: Path, keep: float = 0.0) -> Student:
    """Write the files of the averaged weights in `weights` (a checkpoint's folder), so much of what the run began with
    in their mean; the student before rounding."""
    told = json.loads((run / START).read_text(encoding="utf-8"))
    shape, is_target = shape_of(told["shape"]), pair.startswith("en-")
    mean = load_file(weights / "checkpoint.safetensors")
    start = load_file(run / "start.safetensors")
    values = {
        name[5:]: value.lerp(start[f"child.{name[5:]}"], keep)
        for name, value in mean.items() if name.startswith("mean.")
    }  # fmt: skip
    side, name = (0, "source") if is_target else (1, "target")
    english_size = shape.source_size if is_target else shape.target_size
    english, kept = cut((run / ENGLISH).read_bytes(), used_ids(start, side, english_size))
    values[f"{name}_embedding.weight"] = values[f"{name}_embedding.weight"][kept]
    if not is_target:
        values["output_bias"] = values["output_bias"][kept]
    shape = Shape(**shape.as_dict() | {f"{name}_size": len(kept)})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.spm").write_bytes(english)
    other = "target" if is_target else "source"
    (folder / f"{other}.spm").write_bytes((run / OTHER).read_bytes())
    student = build(shape, values)
    sides = [read_vocabulary(folder / f"{one}.spm") for one in ("source", "target")]
    inputs = _inputs(student, sides, told["choosing"], is_target)
    rounded: Weights = {name: _rounded(name, value) for name, value in values.items()}
    facts = {"pair": pair.split("-"), "learned": learned(run, weights), "beam_size": BEAM_SIZE}
    save_student(folder, shape, {**rounded, **inputs}, None, facts)
    return student


def learned(run: Path, weights: Path) -> dict[str, float]:
    """Target tokens and seconds, those of what the run went on from with them."""
    now = json.loads((weights / "progress.json").read_text(encoding="utf-8"))
    before = json.loads((run / START).read_text(encoding="utf-8")).get("before", {})
    return {name: round(now[name] + before.get(name, 0)) for name in ("tokens", "seconds")}


def _rounded(name: str, value: Tensor) -> Quantized | Tensor:
    """Matrices of products in the steps that they are multiplied in, so that nothing is rounded twice."""
    if value.ndim != 2:
        return value
    return quantized(value) if name == "source_embedding.weight" else quantized(value, WEIGHT_STEPS)


def _inputs(student: Student, sides: list[Vocabulary], choosing: list[Any], is_target: bool) -> dict[str, Tensor]:
    texts = [row[0 if is_target else 1] for row in choosing]
    sources = [[*sides[0].encode(text), EOS] for text in texts]
    targets = [[*ids, EOS] for ids in translate(student, sources)]
    return measure_inputs(student, list(map(torch.tensor, sources)), list(map(torch.tensor, targets)))


def flores_bleu(
    network: Network, translator: Translator, pair: str, data: Path, lines: slice, beam_size: int = 1
) -> float:
    """Of one form of the weights, single sentences."""
    import sacrebleu

    texts, references = (
        (data / "translation" / f"flores200.{FLORES[code]}.dev").read_text(encoding="utf-8").split("\n")[lines]
        for code in pair.split("-")
    )
    outputs = translated(network, (translator.source, translator.target), texts, beam_size=beam_size)
    way = "zh" if pair.endswith("-zh") else "13a"
    return float(sacrebleu.corpus_bleu(outputs, [references], tokenize=way).score)


def write_card(options: argparse.Namespace, weights: Path, student: Student, translator: Translator) -> dict[str, Any]:
    """Measure what is shipped and what it was rounded from, and say both in the folder's card; the facts of it."""
    progress = learned(options.run, weights)
    pairs = len(load_file(options.run / "start.safetensors")["many.lengths"]) // 2
    source, target = options.pair.split("-")
    other = target if source == "en" else source
    facts: dict[str, Any] = {
        "pair": options.pair, "source_code": source, "target_code": target, "source": str(NAMED[source]),
        "target": str(NAMED[target]), "other": str(NAMED[other]), "tokens": progress["tokens"], "pairs": pairs,
        "hours": progress["seconds"] / 3600, "size": folder_bytes(options.to) / 1e6,
        "vocabulary": len(translator.target if source == "en" else translator.source),
        "europarl": EUROPARL if other in HAS_EUROPARL else "",
    }  # fmt: skip
    for name, lines in (("held", HELD_OUT), ("chosen", CHOOSING)):
        for kind, network, size in (
            ("float", student, 1), ("int8", translator.quick, 1), ("served", translator.quick, BEAM_SIZE)
        ):  # fmt: skip
            facts[f"{name}_{kind}"] = flores_bleu(network, translator, options.pair, options.data, lines, size)
    text = Path(__file__).with_name("student_card.md").read_text(encoding="utf-8")
    (options.to / "README.md").write_text(text.format(**facts), encoding="utf-8")
    return facts


def main() -> None:
    """Export, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pair")
    for name in ("data", "run", "to"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--keep", type=float, default=0.0, help="share of the weights that the run began with")
    options = parser.parse_args()
    finished = options.run / "finished"
    weights = finished if (finished / "checkpoint.safetensors").is_file() else options.run
    student = export(options.pair, options.run, weights, options.to, options.keep)
    facts = write_card(options, weights, student, open_student(options.pair, options.to))
    for path in sorted(options.to.iterdir()):
        print(path.name, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
    size = folder_bytes(options.to)
    print(f"{options.pair} = [{size:_}, {facts['held_served']:.1f}]  # float32, greedy {facts['held_float']:.2f}")
    print(f"on the lines that choose: float32 {facts['chosen_float']:.2f}, served {facts['chosen_served']:.2f}")


if __name__ == "__main__":
    main()
