"""Reads the files that Marian and Firefox Translations publish: the model, and the shortlist of output words.

Nothing here trusts a file: a length that does not add up is a FormatError. Who calls has checked the sha256 before.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.backends.marian.model import Shape
from engine.backends.marian.quick import INPUT, OUTPUT

FLOAT32, INT8, TEXT = 0x404, 0x4101, 0x101
MAX_TENSORS = 4096
CONFIG = "special:model.yml"
RANGE = "_QuantMultA"
"""What activations are multiplied by to be int8."""
SHORTLIST_MAGIC = 0xF11A48D5013417F5
REQUIRED = {
    "type": "transformer",
    "transformer-decoder-autoreg": "rnn",
    "dec-cell": "ssru",
    "transformer-preprocess": '""',
    "transformer-postprocess": "dan",
    "transformer-postprocess-top": '""',
    "transformer-ffn-activation": "relu",
    "transformer-ffn-depth": "2",
    "transformer-train-position-embeddings": "false",
    "transformer-no-projection": "false",
    "transformer-tied-layers": "[]",
}
"""What the network in `model` does; another value is another network."""
PARTS = {
    "self_W": ("attention.{}.weight", {"q": "query", "k": "key", "v": "value", "o": "out"}),
    "self_b": ("attention.{}.bias", {"q": "query", "k": "key", "v": "value", "o": "out"}),
    "self_Wo_ln_": ("attention.norm.{}", {"scale": "weight", "bias": "bias"}),
    "rnn_W": ("recurrence.{}.weight", {"": "new", "f": "forget"}),
    "rnn_b": ("recurrence.{}.bias", {"f": "forget"}),
    "rnn_ffn_ln_": ("recurrence.norm.{}", {"scale": "weight", "bias": "bias"}),
    "ffn_W": ("feed.{}.weight", {"1": "inner", "2": "outer"}),
    "ffn_b": ("feed.{}.bias", {"1": "inner", "2": "outer"}),
    "ffn_ffn_ln_": ("feed.norm.{}", {"scale": "weight", "bias": "bias"}),
}
"""Marian's names of a layer's tensors (`context` for `self` in the decoder), and ours."""
LAYER_NAMES = {
    start + end: ours.format(name) for start, (ours, ends) in PARTS.items() for end, name in ends.items()
}  # fmt: skip
TOP_NAMES = {
    "Wemb": "source_embedding.weight",
    "encoder_Wemb": "source_embedding.weight",
    "decoder_Wemb": "target_embedding.weight",
    "decoder_ff_logit_out_b": "output_bias",
}


class FormatError(ValueError):
    """The file is not what it says it is; the message names the place."""


@dataclass(frozen=True)
class Quantized:
    """A matrix in int8: the weight is `values * scale`."""

    values: Tensor
    scale: Tensor

    def float(self) -> Tensor:
        """The matrix in float32."""
        return self.values.float() * self.scale


Weights = dict[str, Tensor | Quantized]


def read_model(data: bytes) -> tuple[Shape, Weights]:
    """Shape and weights by our names, matrices as they are stored. Raises FormatError."""
    blocks = _blocks(data)
    if CONFIG not in blocks or blocks[CONFIG][0] != TEXT:
        raise FormatError("it holds no configuration")
    shape = _shape(blocks.pop(CONFIG)[2].split(b"\0")[0].decode("utf-8", "replace"))
    weights: Weights = {}
    for name, (kind, dimensions, content) in blocks.items():
        if not name.endswith(RANGE):
            weights[_our_name(name)] = _tensor(name, kind, dimensions, content)
        elif kind == FLOAT32:  # one more is in int8 and says again what the last product's says
            product = OUTPUT if name == "none" + RANGE else _our_name(name.removesuffix(RANGE)).removesuffix(".weight")
            weights[product + INPUT] = torch.tensor(127 / _number(name, content))
    return shape, weights


def _blocks(data: bytes) -> dict[str, tuple[int, tuple[int, ...], bytes]]:
    """Type, dimensions and bytes of each tensor of Marian's binary format, version 1."""
    try:
        version, count = struct.unpack_from("<2Q", data)
        if version != 1 or not 0 < count <= MAX_TENSORS:
            raise FormatError("it does not begin as a Marian model does")
        headers = [struct.unpack_from("<4Q", data, 16 + 32 * number) for number in range(count)]
        place = 16 + 32 * count
        names = []
        for length, *_ in headers:
            names.append(_take(data, place, length).rstrip(b"\0").decode("ascii"))
            place += length
        dimensions = []
        for _, _, rank, _ in headers:
            if rank > 4:
                raise FormatError("a tensor has more than four dimensions")
            dimensions.append(struct.unpack_from(f"<{rank}i", data, place))
            place += 4 * rank
        place += 8 + struct.unpack_from("<Q", data, place)[0]
        contents = []
        for *_, size in headers:
            contents.append(_take(data, place, size))
            place += size
    except (struct.error, UnicodeDecodeError) as error:
        raise FormatError(f"it is cut or damaged ({error})") from None
    if place != len(data) or len(set(names)) != count:
        raise FormatError("its parts do not add up to its length")
    kinds = [kind for _, kind, _, _ in headers]
    return dict(zip(names, zip(kinds, dimensions, contents, strict=True), strict=True))


def _take(data: bytes, place: int, size: int) -> bytes:
    if size > len(data) - place:
        raise FormatError("it ends before its last tensor does")
    return data[place : place + size]


def _shape(text: str) -> Shape:
    config = dict(re.findall(r"(?m)^([a-z0-9-]+): (.+?)\s*$", text))
    for key, value in REQUIRED.items():
        if config.get(key) != value:
            raise FormatError(f"it is another kind of network ({key} is {config.get(key, 'missing')})")
    sizes = re.search(r"(?m)^dim-vocabs:\n((?:  - \d+\n)+)", text)
    try:
        source, target = (int(line.strip(" -")) for line in sizes[1].splitlines()) if sizes else (0, 0)
        names = ("dim-emb", "transformer-heads", "transformer-dim-ffn", "enc-depth", "dec-depth")
        width, heads, inner, encoder_layers, decoder_layers = (int(config[name]) for name in names)
    except (KeyError, ValueError) as error:
        raise FormatError(f"its configuration is not whole ({error})") from None
    is_shared = config.get("tied-embeddings-all") == "true"
    return Shape(width, heads, inner, encoder_layers, decoder_layers, source, 0 if is_shared else target)


def _our_name(name: str) -> str:
    if name in TOP_NAMES:
        return TOP_NAMES[name]
    match = re.fullmatch(r"(encoder|decoder)_l(\d{1,2})_(?:context_(.+)|(.+))", name)
    if match is None or int(match[2]) == 0:
        raise FormatError(f"it has a tensor of an unknown name ({name[:60]})")
    part = f"self_{match[3]}" if match[3] else match[4]
    if part not in LAYER_NAMES:
        raise FormatError(f"it has a tensor of an unknown name ({name[:60]})")
    return f"{match[1]}.{int(match[2]) - 1}.{LAYER_NAMES[part]}"


def _tensor(name: str, kind: int, dimensions: tuple[int, ...], content: bytes) -> Tensor | Quantized:
    if len(dimensions) != 2 or min(dimensions) < 1:
        raise FormatError(f"{name[:60]} is no matrix")
    first, second = dimensions
    count = first * second
    if kind == FLOAT32 and len(content) >= 4 * count:
        if first != 1:
            raise FormatError(f"{name[:60]} is a matrix in float32")
        return _array(content, "<f4", count).flatten()
    if kind != INT8 or len(content) < count + 4:
        raise FormatError(f"{name[:60]} is stored in another way")
    multiplier = _number(name, content[count:])
    # Stored (out, in) whatever is declared, but for embeddings, which are declared as they lie.
    rows, columns = (first, second) if name.endswith("Wemb") else (second, first)
    return Quantized(_array(content, "<i1", count).view(rows, columns), torch.tensor([1 / multiplier]))


def _number(name: str, content: bytes) -> float:
    """A multiplier, from real to int8."""
    number = float(struct.unpack_from("<f", content)[0]) if len(content) >= 4 else 0.0
    if not 1e-6 < abs(number) < 1e9:  # also what is no number
        raise FormatError(f"{name[:60]} has no sound scale")
    return number


def _array(content: bytes, dtype: str, count: int) -> Tensor:
    return torch.from_numpy(np.frombuffer(content, dtype, count).copy())


def read_shortlist(data: bytes, source_size: int, target_size: int) -> tuple[Tensor, Tensor]:
    """Offsets (one more than source ids) into the target ids that each source id may become. Raises FormatError."""
    try:
        magic, _, _, _, offset_count, id_count = struct.unpack_from("<6Q", data)
    except struct.error:
        raise FormatError("the shortlist is cut") from None
    if magic != SHORTLIST_MAGIC or len(data) != 48 + 8 * offset_count + 4 * id_count:
        raise FormatError("the shortlist does not add up to its length")
    offsets = torch.from_numpy(np.frombuffer(data, "<u8", offset_count, 48).astype(np.int64))
    ids = torch.from_numpy(np.frombuffer(data, "<u4", id_count, 48 + 8 * offset_count).astype(np.int64))
    if offset_count != source_size + 1 or offsets[0] != 0 or offsets[-1] != id_count or (offsets.diff() < 0).any():
        raise FormatError("the shortlist is not of this vocabulary")
    if len(ids) and int(ids.max()) >= target_size:
        raise FormatError("the shortlist names words that the vocabulary does not have")
    return offsets, ids
