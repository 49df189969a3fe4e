"""Folders of runs as training leaves them, with tiny random models: for what comes after it."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers_on_the_spot import wordpiece

from engine.training import tasks
from engine.training.config import TrainingConfig
from tests.backends import checkpoints

OURS = ("style", "instructions", "classification", "answer", "translation", "summary", "pretraining")
ANIMALS = {"cat": "chat", "dog": "chien", "horse": "cheval", "bird": "oiseau", "fox": "renard"}
PLACES = {"garden": "jardin", "forest": "bois", "street": "rue", "house": "maison"}


def row(task: str, rng: random.Random) -> dict[str, str]:
    """A row of a task."""
    animal, place = rng.choice(list(ANIMALS)), rng.choice(list(PLACES))
    text = f"The {animal} is in the {place}, and the {rng.choice(list(ANIMALS))} waits."
    values = {
        "style": (text,),
        "pretraining": (text,),
        "instructions": (f"Where is the {animal}?", f"In the {place}."),
        "classification": (text, animal),
        "answer": (f"Where is the {animal}?", text, place),
        "translation": (f"{animal} {place}", f"{ANIMALS[animal]} {PLACES[place]}"),
        "summary": (text, f"{animal} {place}"),
    }
    return dict(zip(tasks.find(task).roles, values[task], strict=True))


def texts() -> list[str]:
    rng = random.Random(0)
    return [text for task in OURS for _ in range(40) for text in row(task, rng).values()]


def encoder(folder: Path, head: str, seed: int, **options: Any) -> Path:
    """A BERT with or without head."""
    tokenizer = wordpiece(texts())
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    shape |= {"vocab_size": len(tokenizer), "max_position_embeddings": 64}
    config = transformers.BertConfig(**shape | options)
    return checkpoints.save(folder, f"BertFor{head}" if head else "BertModel", config, tokenizer, seed)


def causal(folder: Path, seed: int) -> Path:
    tokenizer = checkpoints.byte_pairs(has_template=True)
    shape = checkpoints.TINY | {"num_key_value_heads": 2, "max_position_embeddings": 96}
    ids = {"bos_token_id": 0, "eos_token_id": 2}
    config = transformers.LlamaConfig(vocab_size=len(tokenizer), tie_word_embeddings=True, **shape, **ids)
    return checkpoints.save(folder, "LlamaForCausalLM", config, tokenizer, seed)


def encoder_decoder(folder: Path, seed: int) -> Path:
    checkpoints.t5(folder)
    config = transformers.AutoConfig.from_pretrained(folder)
    return checkpoints.save(folder, "T5ForConditionalGeneration", config, None, seed)


def make_run(folder: Path, task: str, rows: int = 12, **changes: Any) -> Path:
    """A finished run `folder/run` of a task; its base is `folder/base`."""
    run, base = folder / "run", folder / "base"
    (run / "data").mkdir(parents=True)
    for name, count, seed in (("train", 20, 1), ("validation", rows, 2)):
        rng = random.Random(seed)
        lines = "".join(json.dumps(row(task, rng)) + "\n" for _ in range(count))
        (run / "data" / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    if task == "classification":
        encoder(base, "", 0)
        names = dict(enumerate(sorted(ANIMALS)))
        encoder(run / "model", "SequenceClassification", 1, num_labels=len(names), id2label=names)
    elif task == "answer":
        encoder(base, "", 0)
        encoder(run / "model", "QuestionAnswering", 1)
    elif task in ("translation", "summary"):
        encoder_decoder(base, 0)
        encoder_decoder(run / "model", 1)
    else:
        causal(base, 0)
        causal(run / "model", 1)
    values: dict[str, Any] = {
        "threads": 1,
        "max_length": 48,
        "stride": 16,
        "max_target_length": 8,
        "base_id": "my-base",
    }
    if task == "translation":
        values |= {"source_language": "en", "target_language": "fr"}
    config = TrainingConfig(task, str(base), "data/train.jsonl", "data/validation.jsonl", **values | changes)
    config.save(run / "config.json")
    facts = {"train_rows": 20, "validation_rows": rows, "data": "0123456789ab"}
    (run / "about.json").write_text(json.dumps({"title": "My run", "note": "A note.", "created": 1.0} | facts))
    status = {"state": "finished", "step": 40, "max_steps": 40, "best_step": 30, "started": 1.0, "updated": 61.0}
    metrics = {"baseline": {"eval_loss": 3.0, "eval_perplexity": 20.1}, "metrics": {"eval_loss": 1.5}}
    (run / "status.json").write_text(json.dumps(status | metrics))
    return run


def add_adapter(run: Path, rank: int = 4) -> Path:
    """LoRA for the run's base, in peft's format as training keeps it; `model` becomes base and adapter merged."""
    import peft

    base = json.loads((run / "config.json").read_text())["base"]
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    tuned = peft.get_peft_model(model, peft.LoraConfig(r=rank, lora_alpha=8, target_modules="all-linear"))
    torch.manual_seed(1)
    for name, weight in tuned.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, 0, 0.1)
    tuned.peft_config["default"].base_model_name_or_path = "my-base"
    tuned.save_pretrained(run / "adapter")
    (run / "adapter" / "README.md").unlink()
    tuned.merge_and_unload().save_pretrained(run / "model")
    return run / "adapter"
