"""The recipe of Gemma's adapter, on a small random Gemma: what is learned, and that others read what is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import Gemma3ForCausalLM, Gemma3TextConfig

from models.recipes import gemma
from models.recipes.student_data import Pairs

PAIRS = [("Good morning.", "早上好。"), ("The door is open, and the room is cold.", "门开着，房间很冷。")]


SIZES: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "head_dim": 8, "vocab_size": 100,
    "num_attention_heads": 4, "num_key_value_heads": 1, "sliding_window": 64,
}  # fmt: skip


class Letters:
    """A tokenizer of single characters."""

    def __call__(self, text: str, *, add_special_tokens: bool = True) -> dict[str, list[int]]:
        return {"input_ids": [2] * add_special_tokens + [3 + ord(one) % 97 for one in text]}


@pytest.fixture(autouse=True)
def eager() -> Iterator[None]:
    """Without the compiler, which takes half a minute."""
    torch.compiler.set_stance("force_eager")
    yield
    torch.compiler.set_stance("default")


def small() -> Any:
    torch.manual_seed(3)
    return Gemma3ForCausalLM(Gemma3TextConfig(**SIZES, attn_implementation="eager")).eval()


def small_with_factors() -> Any:
    module = small()
    gemma.prepare(module)
    return module


def test_only_the_translation_is_judged() -> None:
    task = gemma.Task(Letters(), small().lm_head.weight, {"zh": Pairs(PAIRS, PAIRS[:1], PAIRS[1:])})
    batch = task.collate(task.many[:2])
    first = task.many[0]
    judged = batch["labels"][0] != gemma.NOTHING
    assert judged.sum() == len(first["input_ids"]) - first["prompt"]
    next_tokens = task.tokens[batch["labels"][0][judged]].tolist()
    assert next_tokens == first["input_ids"][first["prompt"] :] and batch["input_ids"].shape[1] % gemma.STEP == 0


def test_of_each_direction_as_much_is_learned_as_its_share_says() -> None:
    pairs = [(f"The number is {number}.", f"Die Zahl ist {number}.") for number in range(8)]
    task = gemma.Task(Letters(), small().lm_head.weight, {"de": Pairs(pairs, pairs[:4], pairs[:4])})
    into = [row["prompt"] for row in task.many if row["prompt"] == len("English: The number is 1.\nDeutsch:") + 1]
    assert (len(task.many), len(into), len(task.best), len(task.choosing)) == (8 + 2, 2, 4 + 1, 4 + 1)


def test_factors_begin_at_nothing_learn_and_are_read_by_peft(tmp_path: Path) -> None:
    plain, tuned = small(), small()
    task = gemma.Task(Letters(), tuned.lm_head.weight, {"zh": Pairs(PAIRS, PAIRS, PAIRS)})
    gemma.prepare(tuned)
    ids = torch.tensor([task.many[0]["input_ids"]])
    assert torch.allclose(plain(ids).logits, tuned(ids).logits, atol=1e-5)
    factors = [value.requires_grad_() for name, value in tuned.named_parameters() if "lora_" in name]
    steps, batch = torch.optim.Adam(factors, 0.01), task.collate(task.many)
    losses = []
    for _ in range(60):
        losses.append(task.loss(tuned, batch))
        losses[-1].backward()
        steps.step()
        steps.zero_grad()
    assert losses[-1] < losses[0] - 0.3
    plain.config.save_pretrained(tmp_path / "base")
    gemma.export(tuned, tmp_path / "base", tmp_path / "adapter")
    again = small()
    gemma.prepare(again, tmp_path / "adapter")
    with torch.inference_mode():
        assert torch.allclose(again(ids).logits, tuned(ids).logits, atol=2e-2)
    gemma.export(small_with_factors(), tmp_path / "base", tmp_path / "mean", tmp_path / "adapter")
    mean, kept = (load_file(tmp_path / name / "model.safetensors") for name in ("mean", "adapter"))
    name = next(name for name in kept if "lora_B" in name)  # of which a new adapter has zeros
    assert torch.allclose(mean[name].float(), gemma.KEPT * kept[name].float(), atol=1e-3) and kept[name].any()
    with pytest.raises(ValueError, match="is no adapter of this model"):
        gemma.prepare(Gemma3ForCausalLM(Gemma3TextConfig(**{**SIZES, "num_hidden_layers": 1})), tmp_path / "adapter")
    (tmp_path / "adapter" / "model.safetensors").rename(tmp_path / "adapter" / "adapter_model.safetensors")
    read = PeftModel.from_pretrained(plain, tmp_path / "adapter")
    with torch.inference_mode():
        assert torch.allclose(read(ids).logits, tuned(ids).logits, atol=2e-2)
