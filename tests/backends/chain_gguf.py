"""A GGUF made on the spot whose next token depends on the last one only, in a way that tests can foresee.

Tokens of CHAIN follow each other in a ring (characters of several bytes come byte by byte); the letters p to z follow
each other at random; `m` is followed by `n`, and `n` by the end of the text. The start of a text is followed by `a`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np

WIDTH, HIDDEN, HEADS, LAYERS, CONTEXT = 320, 32, 5, 2, 256
CHAIN = "ab😀c中d e"
"""In the order of generation; then it begins again."""
RANDOM = "pqrstuvwxyz"
CHAT_TEMPLATE = (
    "{% for m in messages %}({{ m['role'] }}:{{ m['content'] }}){% endfor %}{% if add_generation_prompt %}={% endif %}"
)
LETTERS = ["▁", *"abcdefghijklmnopqrstuvwxyz", *"():="]
TOKENS = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *LETTERS]
KINDS = [2, 3, 3, *[6] * 256, *[1] * len(LETTERS)]


def ids(text: str) -> list[int]:
    """How the tokenizer reads the text: known letters, bytes else."""
    found: list[int] = []
    for letter in text.replace(" ", "▁"):
        found += [TOKENS.index(letter)] if letter in TOKENS else [3 + byte for byte in letter.encode()]
    return found


def write_chain(path: Path, chat_template: str | None = CHAT_TEMPLATE) -> Path:
    """Write the model; about a megabyte."""
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(len(TOKENS))
    writer.add_file_type(0)
    _add_tokenizer(writer)
    if chat_template:
        writer.add_chat_template(chat_template)
    for name, values in _tensors().items():
        writer.add_tensor(f"{name}.weight", values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(writer: Any) -> None:
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(TOKENS)
    writer.add_token_scores([-1.0] * len(TOKENS))
    writer.add_token_types(KINDS)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)


def _tensors() -> dict[str, np.ndarray]:
    """Attention and feed-forward add nothing, so the last token's one-hot embedding meets the table of what follows."""
    tensors = {
        "token_embd": np.eye(len(TOKENS), WIDTH),
        "output_norm": np.ones(WIDTH),
        "output": _followers(),
    }
    for layer in range(LAYERS):
        shapes = {f"attn_{part}": (WIDTH, WIDTH) for part in ("q", "k", "v", "output")}
        shapes |= {"ffn_gate": (HIDDEN, WIDTH), "ffn_up": (HIDDEN, WIDTH), "ffn_down": (WIDTH, HIDDEN)}
        tensors |= {f"blk.{layer}.{name}": np.zeros(shape) for name, shape in shapes.items()}
        tensors |= {f"blk.{layer}.{name}": np.ones(WIDTH) for name in ("attn_norm", "ffn_norm")}
    return tensors


def _followers() -> np.ndarray:
    table = np.zeros((len(TOKENS), WIDTH))
    ring = ids(CHAIN)
    pairs = [*zip(ring, [*ring[1:], ring[0]], strict=True), (1, ring[0]), (ids("m")[0], ids("n")[0]), (ids("n")[0], 2)]
    for last, following in [*pairs, (ids("=")[0], ring[0])]:
        table[following, last] = 1.0
    letters = ids(RANDOM)
    table[:, letters] = -1.0
    table[np.ix_(letters, letters)] = np.random.default_rng(0).normal(0, 0.05, (len(letters), len(letters)))
    return table
