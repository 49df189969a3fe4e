"""Writes what Marian publishes, from a small random student: the model, the shortlist, the vocabulary."""

from __future__ import annotations

import hashlib
import io
import struct
from collections.abc import Sequence
from pathlib import Path

import sentencepiece
import torch

from engine.backends.marian.files import save_student
from engine.backends.marian.model import EOS, UNKNOWN, Shape, Student
from engine.backends.marian.published import FLOAT32, INT8, LAYER_NAMES, REQUIRED, SHORTLIST_MAGIC, TEXT
from tests.backends.checkpoints import CORPUS

VOCABULARY = 120
RANGE = 6.0
"""Largest magnitude of activations."""
SHAPE = Shape(width=16, heads=2, inner=32, encoder_layers=2, decoder_layers=2, source_size=VOCABULARY)
NAMES = ("model.xxyy.intgemm.alphas.bin", "vocab.xxyy.spm", "lex.50.50.xxyy.s2t.bin")


def vocabulary(size: int = VOCABULARY, texts: Sequence[str] = CORPUS) -> bytes:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, vocab_size=size, eos_id=EOS,
        unk_id=UNKNOWN, bos_id=-1, pad_id=-1, minloglevel=2, character_coverage=0.98,
    )  # fmt: skip
    return model.getvalue()


def student(shape: Shape = SHAPE, seed: int = 5) -> Student:
    torch.manual_seed(seed)
    made = Student(shape)
    for value in made.parameters():
        value.requires_grad_(False)
    made.output_bias.normal_()
    return made.eval()


def config(shape: Shape, **changes: str) -> str:
    settings = REQUIRED | {
        "dim-emb": str(shape.width),
        "transformer-heads": str(shape.heads),
        "transformer-dim-ffn": str(shape.inner),
        "enc-depth": str(shape.encoder_layers),
        "dec-depth": str(shape.decoder_layers),
        "tied-embeddings-all": "false" if shape.target_size else "true",
    }
    lines = [f"{key}: {value}" for key, value in (settings | changes).items()]
    sizes = f"dim-vocabs:\n  - {shape.source_size}\n  - {shape.target_size or shape.source_size}"
    return "\n".join([sizes, *lines]) + "\n"


def model_file(made: Student, text: str | None = None, **extra: bytes) -> bytes:
    """Marian's binary form; matrices in int8 with a multiplier, as int8 rounds them."""
    theirs = {ours: name for name, ours in LAYER_NAMES.items()}
    tensors: list[tuple[str, int, tuple[int, ...], bytes]] = []
    for name, value in made.state_dict().items():
        if name == "target_embedding.weight" and not made.shape.target_size:
            continue
        marian, is_embedding = (
            _marian_name(name, theirs, bool(made.shape.target_size)),
            name.endswith("embedding.weight"),
        )
        if value.ndim == 1:
            tensors.append((marian, FLOAT32, (1, len(value)), value.numpy().tobytes()))
            continue
        multiplier = 127 / float(value.abs().max())
        rounded = (value * multiplier).round().to(torch.int8)
        shape = tuple(rounded.shape) if is_embedding else tuple(rounded.T.shape)
        tensors.append((marian, INT8, shape, rounded.numpy().tobytes() + struct.pack("<f", multiplier)))
        if not is_embedding:
            tensors.append((f"{marian}_QuantMultA", FLOAT32, (1, 1), struct.pack("<f", 127 / RANGE)))
    tensors.append(("none_QuantMultA", FLOAT32, (1, 1), struct.pack("<f", 127 / RANGE)))
    tensors += [(name, FLOAT32, (1, 1), content) for name, content in extra.items()]
    content = (text or config(made.shape)).encode() + b"\0"
    tensors.append(("special:model.yml", TEXT, (len(content),), content))
    return _packed(tensors)


def _marian_name(name: str, theirs: dict[str, str], is_apart: bool) -> str:
    if name == "output_bias":
        return "decoder_ff_logit_out_b"
    if name.endswith("embedding.weight"):
        return {"s": "encoder_Wemb", "t": "decoder_Wemb"}[name[0]] if is_apart else "Wemb"
    coder, number, part = name.split(".", 2)
    known = theirs[part]
    if coder == "decoder":
        known = known.replace("self_", "context_")
    return f"{coder}_l{int(number) + 1}_{known}"


def _packed(tensors: list[tuple[str, int, tuple[int, ...], bytes]]) -> bytes:
    padded = [content + b"\x7f" * (-len(content) % 256) for *_, content in tensors]
    names = [name.encode() + b"\0" for name, *_ in tensors]
    out = struct.pack("<2Q", 1, len(tensors))
    for (_, kind, shape, _), name, content in zip(tensors, names, padded, strict=True):
        out += struct.pack("<4Q", len(name), kind, len(shape), len(content))
    out += b"".join(names) + b"".join(struct.pack(f"<{len(shape)}i", *shape) for _, _, shape, _ in tensors)
    gap = -(len(out) + 8) % 256
    return out + struct.pack("<Q", gap) + bytes(gap) + b"".join(padded)


def save(folder: Path, made: Student | None = None, pieces: bytes = b"") -> Path:
    """A student in our own form."""
    made = made or student()
    weights = {name: value for name, value in made.state_dict().items() if name != "target_embedding.weight"}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocabulary.spm").write_bytes(pieces or vocabulary())
    save_student(folder, made.shape, weights, None)
    return folder


def shortlist_file(lists: list[list[int]]) -> bytes:
    offsets = [0]
    for one in lists:
        offsets.append(offsets[-1] + len(one))
    ids = [id for one in lists for id in one]
    head = struct.pack("<6Q", SHORTLIST_MAGIC, 0, 50, 50, len(offsets), len(ids))
    return head + struct.pack(f"<{len(offsets)}Q", *offsets) + struct.pack(f"<{len(ids)}I", *ids)


def publish(folder: Path, made: Student | None = None) -> dict[str, str]:
    """Write the three files into the folder; returns their sha256 by name."""
    made = made or student()
    lists = [[(7 * id + step) % VOCABULARY for step in range(12)] for id in range(VOCABULARY)]
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in zip(NAMES, (model_file(made), vocabulary(), shortlist_file(lists)), strict=True):
        (folder / name).write_bytes(content)
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in NAMES}
