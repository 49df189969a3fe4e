"""Each kind of training learns: validation loss falls well below the start, and what is kept beats its base.

The bases are tiny and random, with tokenizers made on the spot; the rows follow a rule that can be learned in seconds.
"""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers_on_the_spot import wordpiece

from engine.backends.marian.decoding import translate
from engine.backends.marian.files import open_student
from engine.backends.marian.model import EOS
from engine.errors import PeopleError
from engine.training import tasks
from engine.training.config import TrainingConfig
from engine.training.measure import measure
from engine.training.session import train
from tests.backends import checkpoints, marian_files
from tests.training.told import read_metrics, read_samples, read_status

ANIMALS = {"cat": "chat", "dog": "chien", "horse": "cheval", "bird": "oiseau", "cow": "vache", "fox": "renard"}
PLACES = {"garden": "jardin", "forest": "bois", "street": "rue", "river": "fleuve", "house": "maison"}
DEEDS = {"sleeps": "dort", "sings": "chante", "eats": "mange", "waits": "attend"}
GOOD, BAD = ("lovely", "bright", "kind"), ("dull", "awful", "grim")


def scene(rng: random.Random) -> tuple[str, str, str]:
    return rng.choice(list(ANIMALS)), rng.choice(list(DEEDS)), rng.choice(list(PLACES))


def style(rng: random.Random) -> dict[str, str]:
    return {"text": ". ".join("the {} {} in the {}".format(*scene(rng)) for _ in range(3)) + "."}


def instructions(rng: random.Random) -> dict[str, str]:
    animal, deed, place = scene(rng)
    return {
        "prompt": f"where is the {animal} that {deed} in the {place}",
        "response": f"the {animal} is in the {place}",
    }


def classification(rng: random.Random) -> dict[str, str]:
    label = rng.choice(("bad", "good"))
    word = rng.choice(GOOD if label == "good" else BAD)
    return {"text": "a {} {} {} in the {}".format(word, *scene(rng)), "label": label}


def answer(rng: random.Random) -> dict[str, str]:
    animal, deed, place = scene(rng)
    passage = f"in the {place} the {animal} {deed}"
    return {"question": "which animal", "passage": passage, "answer": animal}


def translation(rng: random.Random) -> dict[str, str]:
    animal, deed, place = scene(rng)
    return {"source": f"{animal} {deed} {place}", "target": f"{ANIMALS[animal]} {DEEDS[deed]} {PLACES[place]}"}


def summary(rng: random.Random) -> dict[str, str]:
    animal, deed, place = scene(rng)
    return {"text": f"the {animal} {deed} in the {place}", "summary": f"{animal} {deed}"}


ROWS = {
    "style": style, "pretraining": style, "instructions": instructions, "classification": classification,
    "answer": answer, "translation": translation, "summary": summary,
}  # fmt: skip


def changed(row: dict[str, str]) -> dict[str, str]:
    """The same row by another rule: the text or what is made of it runs backwards, and labels change sides."""
    backwards = {key: " ".join(reversed(row[key].split())) for key in ("text", "summary") if key in row}
    if "label" in row:
        return row | {"label": "good" if row["label"] == "bad" else "bad"}
    return row | ({"summary": backwards["summary"]} if "summary" in row else backwards)


def words() -> list[str]:
    """Texts that hold every word of the rows, for tokenizers."""
    rng = random.Random(0)
    return [text for make in ROWS.values() for _ in range(60) for text in make(rng).values()]


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One tiny base of each architecture."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    fast = Tokenizer(models.BPE())
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    fast.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<|user|>", "<|assistant|>", "<|end|>"]
    fast.train_from_iterator(
        words(),
        trainers.BpeTrainer(
            vocab_size=420, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
        ),
    )
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    folder = tmp_path_factory.mktemp("bases")
    plain = PreTrainedTokenizerFast(tokenizer_object=fast, **names)
    chat = PreTrainedTokenizerFast(tokenizer_object=fast, **names)
    chat.chat_template = checkpoints.CHAT_TEMPLATE
    closed = Tokenizer.from_str(fast.to_str())
    closed.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    pieces = wordpiece(words())
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=len(pieces), **shape)).save_pretrained(folder / "bert")
    pieces.save_pretrained(folder / "bert")
    t5 = PreTrainedTokenizerFast(tokenizer_object=closed, model_max_length=128, **names)
    return {
        "bert": folder / "bert",
        "gpt2": tame(checkpoints.gpt2(folder / "gpt2", plain)),
        "llama": tame(checkpoints.llama(folder / "llama", chat)),
        "t5": tame(checkpoints.t5(folder / "t5", t5)),
        "bart": tame(checkpoints.bart(folder / "bart")),
        "m2m100": tame(checkpoints.m2m100(folder / "m2m100")),
        "student": student(folder / "student"),
    }


@pytest.fixture(scope="module")
def taught(bases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Bases that have learned a rule: adapters and heads cannot make much of random weights."""
    folder = tmp_path_factory.mktemp("taught")
    for task, base, changes in (
        ("style", "llama", {"epochs": 3}),
        ("classification", "bert", {}),
        ("summary", "t5", {"epochs": 5, "learning_rate": 1e-2}),
    ):
        make_run(folder / task, task, bases[base], **changes)
        train(folder / task)
    return {task: folder / task / "model" for task in ("style", "classification", "summary")}


def student(folder: Path) -> Path:
    """A Marian student whose pieces spell the words of the rows."""
    made = marian_files.student(replace(marian_files.SHAPE, width=32, inner=64, source_size=60))
    for value in made.parameters():
        value.mul_(0.2 if value.dim() > 1 else 1)
    return marian_files.save(folder, made, marian_files.vocabulary(60, words()))


def tame(folder: Path) -> Path:
    """Smaller weights than the checkpoints of other tests have: from theirs nothing learns in seconds."""
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    weights = {name: weight * 0.2 if weight.dim() > 1 else weight for name, weight in load_file(path).items()}
    save_file(weights, path, metadata={"format": "pt"})
    return folder


def make_run(folder: Path, task: Any, base: Path | None, *, is_changed: bool = False, **changes: Any) -> TrainingConfig:
    folder.mkdir()
    many = 500 if tasks.find(task).architecture == "seq2seq" else 300
    for name, count, seed in (("train", many, 1), ("validation", 30, 2)):
        rng = random.Random(seed)
        rows = [ROWS[task](rng) for _ in range(count)]
        rows = [changed(row) for row in rows] if is_changed else rows
        assert set(rows[0]) == set(tasks.find(task).roles)
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    values: dict[str, Any] = {
        "epochs": 4, "learning_rate": 5e-3, "threads": 1, "is_bf16": False, "max_length": 32, "stride": 8,
        "max_target_length": 16, "sample_tokens": 8,
    }  # fmt: skip
    files = [str(folder / f"{name}.jsonl") for name in ("train", "validation")]
    config = TrainingConfig(task, str(base or ""), *files, **values | changes)
    config.save(folder / "config.json")
    return config


CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "style": ("style", "gpt2", {"epochs": 3}),
    "style-adapters": ("style", "taught", {"method": "lora", "epochs": 4, "is_bf16": True}),
    "style-head": ("style", "taught", {"method": "head", "epochs": 6, "accumulation_steps": 2, "batch_size": 8}),
    "instructions": ("instructions", "llama", {"epochs": 5, "is_gradient_checkpointed": True}),
    "instructions-plain": ("instructions", "gpt2", {"epochs": 5}),
    "classification": ("classification", "bert", {"label_smoothing": 0.1}),
    "classification-adapters": ("classification", "taught", {"method": "lora", "max_steps": 60}),
    "classification-head": ("classification", "taught", {"method": "head", "epochs": 3}),
    "answer": ("answer", "bert", {}),
    "answer-adapters": ("answer", "bert", {"method": "lora", "epochs": 6}),
    "translation": ("translation", "t5", {"epochs": 5, "learning_rate": 1e-2, "label_smoothing": 0.1}),
    "translation-codes": ("translation", "m2m100", {"epochs": 4}),
    "translation-student": (
        "translation", "student", {"epochs": 5, "learning_rate": 5e-3, "label_smoothing": 0.1},
    ),
    "translation-scratch": (
        "translation", "", {"epochs": 5, "layers": 1, "width": 32, "heads": 2, "vocabulary_size": 400},
    ),
    "summary": ("summary", "bart", {"epochs": 4}),
    "summary-adapters": ("summary", "taught", {"method": "lora", "epochs": 3, "learning_rate": 1e-2}),
    "summary-head": ("summary", "taught", {"method": "head", "epochs": 3, "learning_rate": 1e-2}),
    "pretraining": ("pretraining", "", {"epochs": 3, "layers": 2, "width": 32, "vocabulary_size": 350}),
    "pretraining-sentencepiece": (
        "pretraining", "", {"epochs": 3, "layers": 2, "width": 32, "vocabulary_size": 350, "tokenizer": "sentencepiece"}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_it_learns_and_what_is_kept_beats_its_base(
    tmp_path: Path, bases: dict[str, Path], taught: dict[str, Path], name: str
) -> None:
    task, base, changes = CASES[name]
    languages = {"source_language": "en", "target_language": "fr"} if task == "translation" else {}
    path = taught[task] if base == "taught" else bases.get(base)
    config = make_run(tmp_path / "run", task, path, is_changed=base == "taught", **languages, **changes)
    metrics = train(tmp_path / "run")
    lines = [line for line in read_metrics(tmp_path / "run") if "eval_loss" in line]
    status, metric = read_status(tmp_path / "run"), f"eval_{tasks.find(config.task).metric}"
    assert lines[0]["step"] == 0 and status["baseline"]["eval_loss"] == lines[0]["eval_loss"]
    assert metrics["eval_loss"] < 0.7 * lines[0]["eval_loss"]
    assert status["state"] == "finished" and status["metrics"] == metrics
    is_better = metrics[metric] < status["baseline"][metric]
    assert is_better if metric == "eval_perplexity" else metrics[metric] > status["baseline"][metric] + 5
    # The kept fp16 model, loaded anew, is as good on the held-out rows.
    kept = measure(tmp_path / "run" / "model", tmp_path / "run" / "validation.jsonl", 1, restart(config))
    assert kept["eval_loss"] == pytest.approx(metrics["eval_loss"], rel=0.05, abs=0.02)
    assert kept[metric] == pytest.approx(metrics[metric], rel=0.05, abs=4)
    assert (tmp_path / "run" / "adapter").is_dir() == (config.method == "lora")
    samples = read_samples(tmp_path / "run")
    assert task == "classification" or {sample["step"] for sample in samples} >= {0, lines[-1]["step"]}
    assert not [path for path in (tmp_path / "run" / "model").iterdir() if str(tmp_path).encode() in path.read_bytes()]


def test_a_tuned_student_is_served_by_its_runtime(tmp_path: Path, bases: dict[str, Path]) -> None:
    """Whatever of it learned: all, adapters that are merged, its last layer."""
    languages = {"source_language": "en", "target_language": "fr"}
    for method in ("full", "lora", "head"):
        run = tmp_path / method
        make_run(run, "translation", bases["student"], method=method, max_steps=3, learning_rate=1e-2, **languages)
        train(run)
        before, after = (open_student("Tuned", path) for path in (bases["student"], run / "model"))
        learned = [
            name
            for name, value in after.student.named_parameters()
            if (value - dict(before.student.named_parameters())[name]).abs().max() > 1e-3
        ]
        assert any("encoder" in name for name in learned) == (method != "head")
        assert ("source_embedding.weight" in learned) == (method == "full")
        assert any("decoder.1" in name for name in learned)
        assert set(after.ranges) and after.shortlist is None
        sources = [[*after.source.encode("cat sings garden"), EOS]]
        assert translate(after.quick, sources) == translate(after.student, sources)


def restart(config: TrainingConfig) -> TrainingConfig:
    """The config for a model that is there: one from scratch is none any more."""
    return replace(config, task="style", base="x") if config.task == "pretraining" else config


def test_an_adapter_alone_makes_the_tuned_model_of_its_base(tmp_path: Path, bases: dict[str, Path]) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    make_run(tmp_path / "run", "style", bases["llama"], method="lora", base_id="tiny-llama", epochs=2)
    train(tmp_path / "run")
    adapter = tmp_path / "run" / "adapter"
    assert json.loads((adapter / "adapter_config.json").read_text())["base_model_name_or_path"] == "tiny-llama"
    assert not [path for path in adapter.iterdir() if str(tmp_path).encode() in path.read_bytes()]
    base = AutoModelForCausalLM.from_pretrained(bases["llama"], dtype=torch.float32)
    tuned = AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "model", dtype=torch.float32)
    ids = AutoTokenizer.from_pretrained(bases["llama"])("the cat sings in", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        before = base(input_ids=ids).logits
        together = PeftModel.from_pretrained(base, adapter)(input_ids=ids).logits
        merged = tuned(input_ids=ids).logits
    assert torch.allclose(together, merged, atol=0.05) and (before - merged).abs().max() > 0.5


def test_only_named_layers_get_adapters(tmp_path: Path, bases: dict[str, Path]) -> None:
    make_run(tmp_path / "run", "style", bases["llama"], method="lora", lora_targets=("q_proj",), max_steps=2)
    train(tmp_path / "run")
    from safetensors import safe_open

    with safe_open(tmp_path / "run" / "adapter" / "adapter_model.safetensors", "pt") as file:
        assert {key.split(".")[-3] for key in file.keys()} == {"q_proj"}  # noqa: SIM118


def test_training_asks_as_serving_does(bases: dict[str, Path]) -> None:
    """Prompts of the tuned model's own backend and of its lessons are the same tokens."""
    from transformers import AutoTokenizer

    from engine.requests import Generate, Message
    from engine.training.lessons.causal import prompt_ids, response_ids

    backend = checkpoints.open_backend("causal", bases["llama"])
    served = backend._rows._prompt(Generate(messages=(Message("user", "where is the cat"),)))
    tokenizer = AutoTokenizer.from_pretrained(bases["llama"])
    row = {"prompt": "where is the cat", "response": "there"}
    assert prompt_ids(tokenizer, row) == served
    assert tokenizer.decode(response_ids(tokenizer, row)) == " there<|end|>"
    said = [Message("system", "brief"), Message("user", "hello"), Message("assistant", "there")]
    served = backend._rows._prompt(Generate(messages=(*said, Message("user", "where is the cat"))))
    history = json.dumps([{"role": turn.role, "content": turn.content} for turn in said])
    assert prompt_ids(tokenizer, row | {"history": history}) == served
    assert tokenizer.decode(response_ids(tokenizer, row | {"history": history})) == " there<|end|>"
    backend.close()


def test_a_gguf_file_is_a_base(tmp_path: Path) -> None:
    from engine.backends.ggml.writing import to_gguf

    (tmp_path / "base").mkdir()
    file = to_gguf(tame(checkpoints.llama(tmp_path / "plain")), tmp_path / "base" / "tiny.gguf", dtype="f16")
    make_run(tmp_path / "run", "instructions", file, method="lora", max_steps=20, is_bf16=True, base_id="tiny")
    train(tmp_path / "run")
    status = read_status(tmp_path / "run")
    assert status["metrics"]["eval_loss"] < status["baseline"]["eval_loss"]
    assert "chat_template" in " ".join(path.name for path in (tmp_path / "run" / "model").iterdir())


FAULTS: dict[str, tuple[str, str, dict[str, Any], str, str]] = {
    "missing": ("style", "nowhere", {}, "not on this machine", "base"),
    "misfit": ("style", "bert", {}, "does not fit", "base"),
    "no encoder-decoder": ("summary", "gpt2", {}, "does not fit", "base"),
    "targets": (
        "style", "gpt2", {"method": "lora", "lora_targets": ("wings",)}, "names 'wings'.*c_attn", "lora_targets",
    ),
    "no mask": ("style", "gpt2", {"token_dropout": 0.1}, "no mask token", "token_dropout"),
    "no language": ("translation", "m2m100", {}, "give source_language", "source_language"),
    "unknown language": (
        "translation", "m2m100", {"source_language": "en", "target_language": "qq"}, "does not know the language qq",
        "target_language",
    ),
    "unknown to T5": (
        "translation", "t5", {"source_language": "en", "target_language": "qq"}, "does not know the language qq",
        "target_language",
    ),
    "unknown label": ("classification", "bert", {"labels": ("good", "fine")}, "label 'bad' is none of", "label"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FAULTS)
def test_what_cannot_be_trained_gets_a_sentence(tmp_path: Path, bases: dict[str, Path], kind: str) -> None:
    task, base, changes, sentence, field = FAULTS[kind]
    make_run(tmp_path / "run", task, bases.get(base, tmp_path / base), **changes)
    with pytest.raises(PeopleError, match=sentence) as caught:
        train(tmp_path / "run")
    assert caught.value.param == field


def test_a_damaged_base_and_data_that_cannot_be_judged_get_a_sentence(tmp_path: Path, bases: dict[str, Path]) -> None:
    make_run(tmp_path / "run", "answer", bases["bert"])
    row = {"question": "which animal", "passage": "nobody is here", "answer": ""}
    (tmp_path / "run" / "validation.jsonl").write_text(json.dumps(row))
    with pytest.raises(PeopleError, match="No validation row holds an answer"):
        train(tmp_path / "run")
    make_run(tmp_path / "other", "classification", bases["bert"])
    (tmp_path / "other" / "train.jsonl").write_text(json.dumps({"text": "a", "label": "good"}))
    with pytest.raises(PeopleError, match="nothing to tell apart"):
        train(tmp_path / "other")
    shutil.copytree(bases["gpt2"], tmp_path / "damaged")
    weights = tmp_path / "damaged" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    make_run(tmp_path / "third", "style", tmp_path / "damaged")
    with pytest.raises(PeopleError, match="damaged, incomplete or not safetensors"):
        train(tmp_path / "third")
