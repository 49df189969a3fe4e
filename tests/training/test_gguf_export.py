"""Models written as GGUF are loaded by the real llama.cpp and write what transformers writes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import peft
import pytest
import tokenizers
import torch
import transformers

from engine.backends import loader
from engine.backends.ggml.backend import LlamaCppBackend
from engine.backends.ggml.writing import adapter_to_gguf, can_export, to_gguf
from engine.backends.gguf import read_header
from engine.backends.loader import runtimes_for
from engine.catalogue.cache import Cache
from engine.catalogue.sources.folder import Folder
from engine.errors import NotFoundError, UnsupportedError
from engine.files import sha256
from engine.requests import Generate, Message
from engine.settings import Settings
from engine.training import scratch
from engine.training.config import TrainingConfig
from engine.training.gguf_export import main
from tests.backends.checkpoints import CHAT_TEMPLATE, CORPUS, byte_pairs, entry, save

PROMPTS = ("Once upon a time", "Le renard 1898 brun\nsaute  vite", "敏捷的 🏅 films")
WIDE = {"hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 96}
TEXTS = (*CORPUS[:8], "It's 2024, isn't it?  Two  spaces\n\n\tand tabs…", "<s>", "x" * 40)


def scratch_model(folder: Path, kind: Any) -> Path:
    """A tiny GPT as pre-training makes it."""
    config = TrainingConfig(
        "pretraining", "", "x", "x", layers=2, width=64, heads=2, vocabulary_size=500, tokenizer=kind, max_length=64
    )
    tokenizer = scratch.train_tokenizer(CORPUS, kind, 500, folder / "tokenizer")
    scratch.tiny_gpt(config, tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    model_config = transformers.AutoConfig.from_pretrained(folder)
    return save(folder, "LlamaForCausalLM", model_config, tokenizer)


def unigrams() -> Any:
    """A tokenizer like T5's, with a beginning and an end."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.Unigram())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    tokenizer.decoder = tokenizers.decoders.Metaspace()
    tokenizer.train_from_iterator(
        CORPUS,
        tokenizers.trainers.UnigramTrainer(
            vocab_size=300, special_tokens=["<s>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False
        ),
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def digits_apart() -> Any:
    tokenizer = byte_pairs()
    tokenizer.backend_tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.Digits(individual_digits=True),
            tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    return tokenizer


def llama(folder: Path, tokenizer: Any, **options: Any) -> Path:
    values = {"num_hidden_layers": 2, "max_position_embeddings": 96, "tie_word_embeddings": True} | WIDE | options
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    return save(
        folder, "LlamaForCausalLM", transformers.LlamaConfig(vocab_size=len(tokenizer), **values, **ids), tokenizer
    )


def gemma(folder: Path, tokenizer: Any) -> Path:
    config = transformers.Gemma3TextConfig(
        vocab_size=len(tokenizer), num_hidden_layers=7, max_position_embeddings=96, head_dim=32,
        query_pre_attn_scalar=32, sliding_window=16, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=1,
        rope_parameters={
            "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
            "full_attention": {"rope_type": "default", "rope_theta": 1_000_000.0},
        },
        **WIDE,
    )  # fmt: skip
    save(folder, "Gemma3ForCausalLM", config, tokenizer)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("norm.weight"):
                weight.normal_(0, 0.2)
    model.save_pretrained(folder)
    return folder


def gpt2(folder: Path, tokenizer: Any) -> Path:
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = transformers.GPT2Config(vocab_size=len(tokenizer), n_embd=64, n_layer=2, n_head=4, n_positions=96, **ids)
    return save(folder, "GPT2LMHeadModel", config, tokenizer)


def qwen3(folder: Path, tokenizer: Any) -> Path:
    options = {"num_hidden_layers": 2, "max_position_embeddings": 96, "head_dim": 32, "tie_word_embeddings": False}
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = transformers.Qwen3Config(vocab_size=len(tokenizer), **options, **WIDE, **ids)
    return save(folder, "Qwen3ForCausalLM", config, tokenizer)


def on_grid(folder: Path) -> Path:
    """Round the weights to what Q8_0 holds exactly, so that only llama.cpp's arithmetic differs."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 2 and weight.shape[1] % 32 == 0:
                kind = gguf.GGMLQuantizationType.Q8_0
                weight.copy_(torch.from_numpy(gguf.dequantize(gguf.quantize(weight.numpy(), kind), kind)))
    model.save_pretrained(folder)
    return folder


def load(file: Path, adapter: Path | None = None) -> LlamaCppBackend:
    class Adapted(LlamaCppBackend):
        def _parameters(self, path: Path, slots: int, settings: Settings) -> dict[str, Any]:
            exact = {"cache_type_k": "GGML_TYPE_F32", "cache_type_v": "GGML_TYPE_F32"}
            adapters = {"lora_adapters": [str(adapter)]} if adapter else {}
            return super()._parameters(path, slots, settings) | exact | adapters

    settings = Settings(device="cpu", threads=1, slots=1, context_tokens=96, memory_bytes=2**33)
    return Adapted(entry("causal"), file, settings)


def written(backend: LlamaCppBackend, prompt: str, tokens: int = 24) -> tuple[list[int], dict[int, float]]:
    """Greedy tokens, and the log-probabilities of the likeliest first ones (none where it is half a character)."""
    body = {"prompt": prompt, "temperature": 0, "samplers": ["temperature"], "return_tokens": True}
    first = backend._post("/completion", body | {"n_predict": 1, "n_probs": 20}).get("completion_probabilities")
    rivals = {rival["id"]: rival["logprob"] for rival in first[0]["top_logprobs"]} if first else {}
    return backend._post("/completion", body | {"n_predict": tokens})["tokens"], rivals


def expected(folder: Path, prompt: str, margin: float, tokens: int = 24) -> tuple[list[int], torch.Tensor]:
    """Greedy tokens by transformers in float32 up to where two are near equal, and the first's log-probabilities."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = torch.tensor([transformers.AutoTokenizer.from_pretrained(folder)(prompt)["input_ids"]])
    found = model.generate(
        ids, max_new_tokens=tokens, do_sample=False, output_logits=True, return_dict_in_generate=True,
        pad_token_id=0, attention_mask=torch.ones_like(ids),
    )  # fmt: skip
    best = torch.cat(found.logits).topk(2).values
    sure = int((best[:, 0] - best[:, 1] > margin).long().cumprod(0).sum())
    return found.sequences[0, ids.shape[1] :].tolist()[:sure], found.logits[0][0].log_softmax(-1)


def assert_same(folder: Path, backend: LlamaCppBackend, tolerance: float) -> None:
    ends = transformers.AutoConfig.from_pretrained(folder).eos_token_id
    compared = seen = 0
    for prompt in PROMPTS:
        (tokens, rivals), (wanted, logprobs) = written(backend, prompt), expected(folder, prompt, 2 * tolerance)
        seen += len(rivals)
        assert rivals == pytest.approx({id: float(logprobs[id]) for id in rivals}, abs=tolerance)
        wanted = [id for id in wanted if id != ends]
        assert tokens[: len(wanted)] == wanted
        compared += len(wanted)
    assert compared >= 3 and seen >= 20


MAKERS = {
    "llama": lambda folder: llama(folder, byte_pairs(has_template=True)),
    "untied": lambda folder: llama(folder, digits_apart(), tie_word_embeddings=False, head_dim=32),
    "scratch-bpe": lambda folder: scratch_model(folder, "bpe"),
    "scratch-sentencepiece": lambda folder: scratch_model(folder, "sentencepiece"),
    "unigrams": lambda folder: llama(folder, unigrams()),
    "gemma": lambda folder: gemma(folder, byte_pairs()),
    "gpt2": lambda folder: gpt2(folder, byte_pairs()),
    "qwen3": lambda folder: qwen3(folder, byte_pairs()),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_llama_cpp_writes_what_transformers_writes(kind: str, tmp_path: Path) -> None:
    folder = MAKERS[kind](tmp_path / "model")
    assert can_export(folder)
    file = to_gguf(folder, tmp_path / "model.gguf", dtype="f32")
    assert sorted(path.suffix for path in tmp_path.iterdir() if path.name.startswith(("model", "."))) == ["", ".gguf"]
    backend = load(file)
    try:
        assert_same(folder, backend, 4e-2)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        for text in TEXTS:
            body = {"content": text, "add_special": True, "parse_special": True}
            assert backend._post("/tokenize", body)["tokens"] == tokenizer(text)["input_ids"], text
    finally:
        backend.close()


def test_q8_0_keeps_rows_that_do_not_fill_its_blocks_in_half_precision(tmp_path: Path) -> None:
    folder = on_grid(llama(tmp_path / "model", byte_pairs(has_template=True), intermediate_size=80))
    file = to_gguf(folder, tmp_path / "model.gguf", title="Mine", licence="mit")
    reader = gguf.GGUFReader(file)
    kinds = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert kinds["blk.0.attn_q.weight"] == kinds["token_embd.weight"] == "Q8_0"
    assert kinds["blk.1.ffn_down.weight"] == "F16" and kinds["output_norm.weight"] == "F32"
    assert "output.weight" not in kinds
    header = read_header(file)
    assert (header.dtype, header.trained_context, header.metadata["general.name"]) == ("q8_0", 96, "Mine")
    assert header.metadata["tokenizer.chat_template"] == CHAT_TEMPLATE
    assert str(tmp_path) not in file.read_bytes().decode("latin-1")
    backend = load(file)
    try:
        assert_same(folder, backend, 0.2)
        assert backend._prompt(Generate(messages=(Message("user", "Hi"),)))[0] == "<|user|>Hi<|end|><|assistant|>"
    finally:
        backend.close()


def test_the_tokenizer_is_copied_from_the_base(tmp_path: Path) -> None:
    folder = llama(tmp_path / "model", byte_pairs(has_template=True))
    base = to_gguf(folder, tmp_path / "base.gguf", dtype="f16")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (folder / name).unlink()
    assert main([str(folder), str(tmp_path / "tuned.gguf"), "--base", str(base)]) == 0
    first, second = (
        {key: field.contents() for key, field in gguf.GGUFReader(file).fields.items() if key.startswith("tokenizer.")}
        for file in (base, tmp_path / "tuned.gguf")
    )
    assert first == second and len(first) > 8


def test_ids_without_a_token_are_filled(tmp_path: Path) -> None:
    tokenizer = byte_pairs()
    folder = llama(tmp_path / "model", tokenizer)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(len(tokenizer) + 8)
    model.save_pretrained(folder)
    tokens = gguf.GGUFReader(to_gguf(folder, tmp_path / "model.gguf")).fields["tokenizer.ggml.tokens"].contents()
    assert len(tokens) == len(tokenizer) + 8 and tokens[-1] == f"[PAD{len(tokenizer) + 7}]"


def adapt(base: Path, folder: Path) -> Path:
    """A random adapter of a base, whose folder is returned, and beside it in `merged` the base with it."""
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    tuned = peft.get_peft_model(model, peft.LoraConfig(r=4, lora_alpha=12, target_modules="all-linear"))
    torch.manual_seed(1)
    for name, weight in tuned.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, 0, 0.1)
    tuned.save_pretrained(folder / "adapter")
    tuned.merge_and_unload().save_pretrained(folder / "merged")
    transformers.AutoTokenizer.from_pretrained(base).save_pretrained(folder / "merged")
    return folder / "adapter"


@pytest.mark.parametrize(
    "maker", [lambda folder: llama(folder, byte_pairs()), lambda folder: gpt2(folder, byte_pairs())]
)
def test_an_adapter_acts_in_llama_cpp_as_it_does_merged(maker: Any, tmp_path: Path) -> None:
    base = maker(tmp_path / "base")
    adapter = adapt(base, tmp_path)
    file = to_gguf(base, tmp_path / "base.gguf", dtype="f32")
    plain = load(file)
    adapted = load(file, adapter_to_gguf(adapter, base, tmp_path / "adapter.gguf"))
    try:
        assert_same(tmp_path / "merged", adapted, 4e-2)
        assert_same(base, plain, 4e-2)
        assert written(plain, PROMPTS[0]) != written(adapted, PROMPTS[0])
    finally:
        plain.close()
        adapted.close()


def test_an_adapter_of_the_catalogue_is_read_with_its_base(tmp_path: Path) -> None:
    base = llama(tmp_path / "base", byte_pairs())
    adapter = adapt(base, tmp_path)
    shutil.copy(base / "config.json", adapter)
    cache = Cache(tmp_path / "cache")
    files = cache.partial("the-base") / "files"
    files.mkdir(parents=True)
    file = to_gguf(base, files / "base.gguf", dtype="f32")
    cache.install("the-base", files, {file.name: sha256(file)}, {})
    settings = Settings(device="cpu", threads=1, slots=1, context_tokens=96, cache_folder=tmp_path / "cache")
    known = replace(entry("causal"), runtime="llamacpp", source=Folder(str(adapter), base="the-base"))
    (runtime,) = runtimes_for(known, adapter, settings)
    assert runtime.id == "llamacpp" and runtime.install(known, adapter, settings)
    adapted = loader.load(known, adapter, settings, runtime)
    try:
        assert_same(tmp_path / "merged", adapted, 0.1)  # what is attended to is kept in half precision
        assert not runtime.install(known, adapter, settings), "what llama.cpp reads was made"
    finally:
        adapted.close()


def test_what_llama_cpp_cannot_take_is_refused_in_a_sentence(tmp_path: Path, capsys: Any) -> None:
    with pytest.raises(NotFoundError, match="no finished model"):
        to_gguf(tmp_path, tmp_path / "x.gguf")
    with pytest.raises(NotFoundError, match="no adapter"):
        adapter_to_gguf(tmp_path, llama(tmp_path / "model", byte_pairs()), tmp_path / "x.gguf")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    assert not can_export(tmp_path)
    assert main([str(tmp_path), str(tmp_path / "x.gguf")]) == 1
    assert "Models of the kind bert cannot be written as GGUF" in capsys.readouterr().err
    folder = gemma(tmp_path / "gemma", byte_pairs())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"final_logit_softcapping": 30.0}))
    with pytest.raises(UnsupportedError, match="final_logit_softcapping"):
        to_gguf(folder, tmp_path / "x.gguf")
    prefixed = byte_pairs()
    prefixed.backend_tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=True)
    with pytest.raises(UnsupportedError, match="puts a space before"):
        to_gguf(llama(tmp_path / "prefixed", prefixed), tmp_path / "x.gguf")
    assert not list(tmp_path.glob("*.gguf*")) and not list(tmp_path.glob(".*"))
