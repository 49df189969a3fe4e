"""Models and tokenizers from nothing: what is saved is what the loaders and the serving code take."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from engine.errors import InputError
from engine.requests import Generate, Sampling
from engine.training import scratch
from engine.training.config import TrainingConfig
from tests.backends.checkpoints import open_backend, run

TEXTS = [
    f"The {animal} of {place} {verb} every morning, and {number} people came to watch it."
    for animal in ("heron", "badger", "old grey cat", "otter")
    for place in ("the mill", "Saint-Malo", "the harbour", "Königsberg")
    for verb, number in (("sang", 14), ("slept", 2750), ("waited", 3))
]
PAIRS = [(text, text.replace("The", "Le").replace("every morning", "chaque matin")) for text in TEXTS]
LOOSE = "Line one,\n\n  two spaces; été 🦦 — 2,750 «guillemets» and 今天天气很好，对吗？"


def config(folder: Path, task: str = "pretraining", **values: Any) -> TrainingConfig:
    """A config with rows on disk, small enough for a test."""
    rows = (
        [{"text": text} for text in TEXTS]
        if task == "pretraining"
        else [{"source": source, "target": target} for source, target in PAIRS]
    )
    file = folder / "train.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    options = {"layers": 2, "width": 32, "heads": 4, "vocabulary_size": 400, "max_length": 64} | values
    return TrainingConfig(task=task, base="", train_file=str(file), validation_file=str(file), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["bpe", "sentencepiece"])
def test_a_tokenizer_from_scratch_writes_any_text_and_gives_it_back(kind: Any, tmp_path: Path) -> None:
    tokenizer = scratch.train_tokenizer(TEXTS, kind, 400, tmp_path / "tokenizer")
    again = transformers.AutoTokenizer.from_pretrained(tmp_path / "tokenizer")
    assert tokenizer.is_fast and again.is_fast and len(again) <= 400
    for text in (*TEXTS[:3], LOOSE):
        ids = again(text, add_special_tokens=False)["input_ids"]
        assert again.decode(ids) == text and tokenizer(text, add_special_tokens=False)["input_ids"] == ids
        assert again.unk_token_id not in ids or again.unk_token_id is None
    assert len({again.pad_token_id, again.eos_token_id}) == 2 and None not in (again.pad_token_id, again.eos_token_id)
    learned = len(again(TEXTS[0])["input_ids"])
    assert learned < len(TEXTS[0]) / 2, "what the texts repeat became tokens of its own"


@pytest.mark.parametrize("kind", ["bpe", "sentencepiece"])
def test_a_tiny_gpt_is_saved_loaded_and_served(kind: Any, tmp_path: Path) -> None:
    model, tokenizer = scratch.build(config(tmp_path, tokenizer=kind), tmp_path)
    assert type(model).__name__ == "LlamaForCausalLM" and model.dtype == torch.float32
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    assert loaded(LOOSE)["input_ids"] == tokenizer(LOOSE)["input_ids"]
    backend = open_backend("causal", tmp_path / "model")
    result = run(backend, Generate("The heron", sampling=Sampling(max_new_tokens=4, temperature=0.0)))[0]
    prompt = tokenizer("The heron", return_tensors="pt")["input_ids"]
    model.eval()
    expected = model.generate(
        input_ids=prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=4, do_sample=False
    )
    assert result.text == tokenizer.decode(expected[0])[len(tokenizer.decode(prompt[0])) :]


def test_a_translator_from_scratch_is_saved_loaded_and_served(tmp_path: Path) -> None:
    model, tokenizer = scratch.build(
        config(tmp_path, "translation", source_language="en", target_language="fr"), tmp_path
    )
    assert type(model).__name__ == "MarianMTModel" and type(tokenizer).__name__ == "MarianTokenizer"
    shared = {model.get_encoder().embed_tokens.weight.data_ptr(), model.lm_head.weight.data_ptr()}
    assert shared == {model.get_decoder().embed_tokens.weight.data_ptr()}, "one matrix for all embeddings"
    model.half().save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    backend = open_backend("seq2seq", tmp_path / "model")
    result = run(backend, Generate(TEXTS[0], sampling=Sampling(max_new_tokens=6, temperature=0.0)))[0]
    batch = tokenizer([TEXTS[0]], return_tensors="pt")
    expected = model.float().eval().generate(**batch, max_new_tokens=6, num_beams=1)
    assert result.text == tokenizer.decode(expected[0], skip_special_tokens=True) and result.mean_logprob is not None


def test_the_translators_tokenizer_keeps_digits_and_chinese_commas(tmp_path: Path) -> None:
    scratch.marian_tokenizer([text for pair in PAIRS for text in pair], 420, tmp_path / "t")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "t")
    assert len(tokenizer) <= 420
    assert tokenizer("The otter")["input_ids"][-1] == tokenizer.eos_token_id
    text = "Prix : 2750 €，今天？ L'été"
    ids = tokenizer(text.replace(" ", "\u00a0").replace("'", "’") + "\u200b")["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == text
    assert all(digit in tokenizer.convert_ids_to_tokens(ids) for digit in "2750"), "every digit is a token"
    assert tokenizer.unk_token_id not in ids


def test_the_same_seed_gives_the_same_model_and_another_one_does_not(tmp_path: Path) -> None:
    made = config(tmp_path)
    before = torch.random.get_rng_state()
    one, tokenizer = scratch.build(made, tmp_path)
    assert torch.equal(before, torch.random.get_rng_state())
    again, kept = scratch.build(made, tmp_path)
    assert kept.get_vocab() == tokenizer.get_vocab()
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), again.parameters(), strict=True))
    other, _ = scratch.build(config(tmp_path, seed=14), tmp_path)
    assert not torch.equal(one.lm_head.weight, other.lm_head.weight)


def test_a_resumed_run_keeps_its_tokenizer_and_a_half_written_one_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.part").mkdir()
    made = config(tmp_path)
    _, tokenizer = scratch.build(made, tmp_path)
    Path(made.train_file).write_text('{"text": "something else entirely, zzz"}\n', encoding="utf-8")
    _, again = scratch.build(made, tmp_path)
    assert again.get_vocab() == tokenizer.get_vocab() and not (tmp_path / "tokenizer.part").exists()


@pytest.mark.parametrize("kind", ["bpe", "sentencepiece"])
def test_what_no_tokenizer_can_be_made_of_is_said(kind: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="from 300") as too_small:
        replace(config(tmp_path, tokenizer=kind), vocabulary_size=200)
    assert too_small.value.param == "vocabulary_size"
    (tmp_path / "train.jsonl").unlink()
    with pytest.raises(InputError, match="no text"):
        scratch.train_tokenizer(["", "  \n"], kind, 400, tmp_path / "b")
    many = ["".join(chr(0x4E00 + 40 * row + place) for place in range(40)) for row in range(8)]
    if kind == "sentencepiece":
        with pytest.raises(InputError, match="too small"):
            scratch.train_tokenizer(many, kind, 310, tmp_path / "c")
    assert not list(tmp_path.iterdir())
