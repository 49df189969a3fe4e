"""GGUF read by transformers: converted once into a folder beside the file, never half."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from engine.backends import loader as backends
from engine.backends.pytorch.gguf_conversion import converted
from engine.errors import InputError
from engine.inspections import Score
from engine.requests import Generate, Sampling, needs
from engine.settings import Settings
from tests.backends.checkpoints import byte_pairs, entry, open_backend, run

gguf = pytest.importorskip("gguf")
WIDTH, HIDDEN, HEADS, LAYERS = 32, 64, 4, 2


def write_gguf(path: Path, hidden: int = HIDDEN, down: Any = None) -> Path:
    """A random two-layer Llama in float32 with a tokenizer like GPT-2's; `down` are the quantised `ffn_down` rows."""
    parts = json.loads(byte_pairs().backend_tokenizer.to_str())["model"]
    tokens = sorted(parts["vocab"], key=parts["vocab"].get)
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(96)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_merges([" ".join(pair) for pair in parts["merges"]])
    writer.add_token_types([3 if token.startswith("<") and token.endswith(">") else 1 for token in tokens])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2)
    add_tensors(writer, len(tokens), hidden, down)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def add_tensors(writer: Any, vocabulary: int, hidden: int, down: Any) -> None:
    random = np.random.default_rng(0)
    shapes = {"token_embd": (vocabulary, WIDTH), "output": (vocabulary, WIDTH), "output_norm": (WIDTH,)}
    for layer in range(LAYERS):
        names = {f"attn_{part}": (WIDTH, WIDTH) for part in ("q", "k", "v", "output")}
        names |= {"ffn_gate": (hidden, WIDTH), "ffn_up": (hidden, WIDTH)}
        if down is None:
            names |= {"ffn_down": (WIDTH, hidden)}
        else:
            writer.add_tensor(f"blk.{layer}.ffn_down.weight", down, raw_dtype=gguf.GGMLQuantizationType.Q6_K)
        names |= {"attn_norm": (WIDTH,), "ffn_norm": (WIDTH,)}
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in names.items()}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", random.normal(0, 0.3, shape).astype(np.float32))


@pytest.fixture(scope="module")
def file(tmp_path_factory: Any) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def test_it_is_converted_once_and_holds_the_same_weights(file: Path) -> None:
    first = open_backend("causal", file)
    folder = file.with_name("tiny-safetensors")
    stamp = (folder / "model.safetensors").stat().st_mtime_ns
    second = open_backend("causal", file)
    assert (folder / "model.safetensors").stat().st_mtime_ns == stamp
    assert [path.name for path in sorted(file.parent.iterdir())] == ["tiny-safetensors", "tiny.gguf"]
    direct = transformers.AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    ids = torch.tensor([[5, 40, 300, 17]])
    with torch.inference_mode():
        torch.testing.assert_close(first.module(ids).logits, direct(ids).logits, atol=0.1, rtol=0.05)
    request = Generate("Once upon a time", sampling=Sampling(max_new_tokens=8, temperature=0))
    assert run(first, request)[0].text == run(second, request)[0].text != ""
    assert first.count_tokens("Once upon a time") == len(byte_pairs()("Once upon a time")["input_ids"])


def test_transformers_does_for_a_gguf_file_what_llama_cpp_cannot(file: Path) -> None:
    model, settings = replace(entry("causal"), runtime="llamacpp"), Settings(device="cpu", context_tokens=96)
    first, second = backends.runtimes_for(model, file, settings)
    assert (first.id, second.id) == ("llamacpp", "transformers")
    request = Score("Once upon a time")
    assert not needs(request) <= first.tasks(model, file, settings) and needs(request) <= second.tasks(
        model, file, settings
    )
    (scoring,) = run(backends.load(model, file, settings, second), request)  # type: ignore[arg-type]
    assert "".join(token.text for token in scoring.tokens) == request.text


def test_a_damaged_file_gives_a_sentence_and_leaves_nothing(file: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(InputError, match=r"Tiny cannot be read from broken\.gguf"):
        open_backend("causal", broken)
    assert list(tmp_path.iterdir()) == [broken]


def test_another_process_may_have_been_faster(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "tiny.gguf"
    own.write_bytes(file.read_bytes())
    theirs = tmp_path / "tiny-safetensors"

    def convert(path: Path, folder: Path) -> None:
        for made in (folder, theirs):
            made.mkdir()
            (made / "config.json").write_text("{}")

    monkeypatch.setattr("engine.backends.pytorch.gguf_conversion._convert", convert)
    assert converted("Tiny", own) == theirs
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny-safetensors", "tiny.gguf"]
