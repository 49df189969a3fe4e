"""What one run is to do: a dataclass that checks itself and goes to and from `config.json`."""

from __future__ import annotations

import json
import math
import re
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from engine.errors import InputError

Task = Literal["style", "instructions", "classification", "answer", "translation", "summary", "pretraining"]
Method = Literal["full", "lora", "head"]
Schedule = Literal["linear", "cosine", "constant"]
Tokenizer = Literal["bpe", "sentencepiece"]

CHOICES: dict[str, tuple[str, ...]] = {
    "task": ("style", "instructions", "classification", "answer", "translation", "summary", "pretraining"),
    "method": ("full", "lora", "head"),
    "schedule": ("linear", "cosine", "constant"),
    "tokenizer": ("bpe", "sentencepiece"),
}
BOUNDS: dict[str, tuple[float, float]] = {
    "epochs": (0.01, 1000),
    "max_steps": (0, 10_000_000),
    "batch_size": (1, 4096),
    "accumulation_steps": (1, 1024),
    "max_length": (8, 8192),
    "max_target_length": (4, 4096),
    "stride": (0, 4096),
    "learning_rate": (1e-8, 1.0),
    "warmup_ratio": (0, 1),
    "weight_decay": (0, 1),
    "label_smoothing": (0, 0.9),
    "max_grad_norm": (0, 1e6),
    "attention_dropout": (0, 0.9),
    "token_dropout": (0, 0.9),
    "lora_rank": (1, 1024),
    "lora_alpha": (1, 4096),
    "lora_dropout": (0, 0.9),
    "evaluations_per_epoch": (1, 100),
    "average_decay": (0, 0.99999),
    "patience": (0, 1000),
    "seed": (0, 2**32 - 1),
    "threads": (0, 1024),
    "sample_tokens": (1, 1000),
    "layers": (1, 64),
    "width": (16, 4096),
    "heads": (1, 64),
    "vocabulary_size": (300, 200_000),
}
"""Lowest and highest value of each number; a page takes its widgets' limits from here."""
RUN_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
MAX_SAMPLE_PROMPTS, MAX_PROMPT_CHARACTERS = 10, 2_000
MAX_LABELS, MAX_NAME_CHARACTERS = 1_000, 200

METRICS: dict[Task, str] = {
    "style": "perplexity",
    "instructions": "perplexity",
    "classification": "accuracy",
    "answer": "f1",
    "translation": "chrf",
    "summary": "chrf",
    "pretraining": "perplexity",
}
"""The metric that chooses the best checkpoint; `eval_<metric>` in the files. Perplexity is better when lower."""
ROLES: dict[Task, tuple[str, ...]] = {
    "style": ("text",),
    "instructions": ("prompt", "response"),
    "classification": ("text", "label"),
    "answer": ("question", "passage", "answer"),
    "translation": ("source", "target"),
    "summary": ("text", "summary"),
    "pretraining": ("text",),
}
"""Keys of a row; answer may have "answer_start" too, and an empty answer says that the passage holds none."""
SCRATCH_TASKS: tuple[Task, ...] = ("pretraining", "translation", "summary")
"""Tasks that can start without a base."""
CAUSAL_TASKS: tuple[Task, ...] = ("style", "instructions", "pretraining")
SEQ2SEQ_TASKS: tuple[Task, ...] = ("translation", "summary")

DEFAULTS: dict[Task, dict[str, Any]] = {
    "style": {"method": "lora", "epochs": 3.0, "batch_size": 4, "max_length": 128},
    "instructions": {"method": "lora", "epochs": 3.0, "batch_size": 4, "max_length": 256},
    "classification": {"method": "full", "epochs": 4.0, "batch_size": 16, "max_length": 128},
    "answer": {
        "method": "full", "epochs": 3.0, "batch_size": 16, "max_length": 256, "stride": 96, "evaluations_per_epoch": 2,
    },
    "translation": {
        "method": "full", "epochs": 4.0, "batch_size": 16, "max_length": 128, "max_target_length": 128,
        "label_smoothing": 0.1,
    },
    "summary": {"method": "full", "epochs": 4.0, "batch_size": 8, "max_length": 512, "max_target_length": 96},
    "pretraining": {
        "method": "full", "epochs": 20.0, "batch_size": 16, "max_length": 128, "schedule": "cosine",
        "weight_decay": 0.1, "layers": 4, "width": 192, "heads": 4, "vocabulary_size": 2000,
    },
}  # fmt: skip
"""What a beginner gets for each task; `defaults` adds the learning rate of the method."""
LEARNING_RATES: dict[Task, dict[Method, float]] = {
    "style": {"full": 3e-5, "lora": 5e-4, "head": 1e-4},
    "instructions": {"full": 3e-5, "lora": 5e-4, "head": 1e-4},
    "classification": {"full": 1e-4, "lora": 1e-3, "head": 2e-3},
    "answer": {"full": 2e-4, "lora": 1e-3, "head": 2e-3},
    "translation": {"full": 1e-4, "lora": 1e-3, "head": 3e-4},
    "summary": {"full": 1e-4, "lora": 1e-3, "head": 3e-4},
    "pretraining": {"full": 1e-3, "lora": 1e-3, "head": 1e-3},
}
SCRATCH_LEARNING_RATE = 7e-4
"""Of a translator or summariser that starts from nothing."""
SCRATCH_EPOCHS = 25.0
"""As above: after 4 it has hardly seen a word often enough to use it."""


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides a run; the same config and data give the same run on one machine.

    Raises InputError with the field's name for a value that cannot be.
    """

    task: Task
    """What the model learns."""
    base: str
    """Folder or GGUF file of the model to start from; empty starts from scratch (pretraining, translation, summary)."""
    train_file: str
    """Rows to learn from: JSONL (or CSV, TSV with a header) with the task's keys; answer also takes SQuAD JSON."""
    validation_file: str
    """Rows held out, in the same form."""
    base_id: str = ""
    """The base's id in the catalogue or on the Hub, for show and for what is exported."""
    method: Method = "full"
    """full trains all weights, lora low-rank adapters (merged at the end), head only the last layers."""
    epochs: float = 3.0
    """Passes over the training rows."""
    max_steps: int = 0
    """Stop after this many steps; 0 goes by epochs."""
    batch_size: int = 16
    """Rows that are computed at once."""
    accumulation_steps: int = 1
    """Batches whose gradients are added up to one step: a larger batch in the memory of a small one."""
    max_length: int = 256
    """Longest input in tokens; longer ones are cut (answer: into windows; running text: into blocks)."""
    max_target_length: int = 128
    """Longest translation or summary in tokens; longer ones are cut."""
    stride: int = 96
    """Tokens that neighbouring windows share (answer)."""
    learning_rate: float = 2e-4
    """Peak learning rate of AdamW."""
    schedule: Schedule = "linear"
    """How the learning rate falls after the warm-up."""
    warmup_ratio: float = 0.06
    """Share of the steps in which the learning rate rises."""
    weight_decay: float = 0.01
    """Decay of weights (not of biases and norms)."""
    label_smoothing: float = 0.0
    """Share of probability given to all other outcomes (labels, or tokens), against overconfidence."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this norm; 0 never clips."""
    attention_dropout: float = 0.0
    """Dropout of attention weights; at 0 attention runs fused, which makes a step a fifth cheaper on a processor."""
    token_dropout: float = 0.0
    """Share of the input's tokens hidden behind the mask token at each reading, so that few rows last more epochs."""
    is_gradient_checkpointed: bool = False
    """Compute activations twice instead of keeping them: about half the memory for a third more time."""
    lora_rank: int = 16
    """Rank of the adapters (lora)."""
    lora_alpha: int = 32
    """Scale of the adapters (lora)."""
    lora_dropout: float = 0.05
    """Dropout before the adapters (lora)."""
    lora_targets: tuple[str, ...] = ()
    """Names (or their ends) of the layers that get adapters (lora); empty takes all linear layers but the head."""
    evaluations_per_epoch: int = 1
    """Validations and checkpoints an epoch; the best checkpoint is kept."""
    average_decay: float = 0.0
    """Decay a step of an exponential moving average of the weights, which is then judged and saved; 0 is off."""
    patience: int = 0
    """Stop after this many validations without a better one; 0 never stops early."""
    seed: int = 13
    """Of data order, dropout and new layers."""
    is_bf16: bool = True
    """bfloat16 autocast, where the processor has it."""
    is_length_grouped: bool = True
    """Batches of similar lengths."""
    threads: int = 0
    """Threads for computing; 0 takes all cores."""
    labels: tuple[str, ...] = ()
    """Label names in the order of the model's outputs (classification); empty takes those in train_file, sorted."""
    source_language: str = ""
    """ISO 639-1 code that is translated from (translation)."""
    target_language: str = ""
    """ISO 639-1 code that is translated to (translation)."""
    sample_prompts: tuple[str, ...] = ()
    """Texts that the model continues, answers or translates at every validation, to show how it learns."""
    sample_tokens: int = 60
    """Longest sample in tokens."""
    layers: int = 4
    """Layers of a model from scratch (a translator has as many in encoder and decoder)."""
    width: int = 256
    """Width of a model from scratch; a multiple of twice the heads."""
    heads: int = 4
    """Attention heads of a model from scratch."""
    vocabulary_size: int = 4000
    """Most tokens of a tokenizer from scratch."""
    tokenizer: Tokenizer = "bpe"
    """Kind of a tokenizer from scratch: byte-level BPE as GPT-2's, or sentencepiece as Llama's."""
    mean_of: tuple[str, ...] = ()
    """Runs beside this one whose models' mean is its model: nothing is trained then, and the mean only judged."""

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise InputError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(allowed)}.", param=name)
        for name, (low, high) in BOUNDS.items():
            _check_number(name, getattr(self, name), low, high)
        for name in SWITCHES:
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name} is {getattr(self, name)!r}; choose true or false.", param=name)
        for name in ("train_file", "validation_file"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise InputError(f"{name} must be the path of a file.", param=name)
        _check_start(self)
        _check_names(self)
        _check_languages(self)
        if any(not RUN_ID.fullmatch(name) for name in self.mean_of):
            raise InputError("mean_of takes the names of runs.", param="mean_of")
        if self.task == "answer" and self.stride > self.max_length // 2:
            raise InputError("stride must be at most half of max_length.", param="stride")

    def save(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


WHOLE_NUMBERS = {field.name for field in fields(TrainingConfig) if field.type == "int"}
SWITCHES = tuple(field.name for field in fields(TrainingConfig) if field.type == "bool")
LISTS = tuple(field.name for field in fields(TrainingConfig) if str(field.type).startswith("tuple"))


def count_steps(config: TrainingConfig, inputs: int) -> tuple[int, int]:
    """Steps of the whole run (none without inputs), and of one epoch, for so many inputs (rows, blocks, windows)."""
    of_epoch = max(1, math.ceil(math.ceil(inputs / config.batch_size) / config.accumulation_steps))
    steps = config.max_steps or math.ceil(of_epoch * config.epochs)
    return steps if inputs else 0, of_epoch


def steps_between_validations(config: TrainingConfig, inputs: int) -> int:
    """Steps from one validation and checkpoint to the next, for so many training inputs."""
    steps, of_epoch = count_steps(config, inputs)
    return min(steps, max(1, of_epoch // config.evaluations_per_epoch))


def defaults(task: Task, method: Method | None = None, *, has_base: bool = True) -> dict[str, Any]:
    """Settings for a beginner: those of the task, with the method's learning rate. None takes the task's method."""
    values = DEFAULTS[task] | ({"method": method} if method else {})
    if has_base:
        return values | {"learning_rate": LEARNING_RATES[task][values["method"]]}
    if task == "pretraining":
        return values | {"method": "full", "learning_rate": LEARNING_RATES[task]["full"]}
    return values | {"method": "full", "learning_rate": SCRATCH_LEARNING_RATE, "epochs": SCRATCH_EPOCHS}


def _check_number(name: str, value: Any, low: float, high: float) -> None:
    kinds = int if name in WHOLE_NUMBERS else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        kind = "whole number" if name in WHOLE_NUMBERS else "number"
        raise InputError(f"{name} is {value!r}; choose a {kind} from {low:g} to {high:g}.", param=name)


def _check_start(config: TrainingConfig) -> None:
    """What the model starts from, and whether the method makes sense for it."""
    if not isinstance(config.base, str):
        raise InputError("base must be the path of a folder or GGUF file.", param="base")
    if config.base and config.task == "pretraining":
        raise InputError("Pretraining starts from scratch: leave base empty, or choose task style.", param="base")
    if config.base:
        return
    if config.task not in SCRATCH_TASKS:
        raise InputError(f"The task {config.task} needs a base: choose the model to start from.", param="base")
    if config.method != "full":
        raise InputError(
            f"A model from scratch has nothing to keep: choose method full, not {config.method}.", "method"
        )
    if config.width % (2 * config.heads):
        raise InputError(
            f"width must be a multiple of twice the heads; {config.width} is none of {2 * config.heads}.", param="width"
        )


def _check_names(config: TrainingConfig) -> None:
    """The lists of texts: their kinds, numbers and lengths."""
    for name in LISTS:
        value = getattr(config, name)
        if not isinstance(value, tuple) or not all(isinstance(text, str) and text.strip() for text in value):
            raise InputError(f"{name} must be a list of texts, none of them empty.", param=name)
        longest = MAX_PROMPT_CHARACTERS if name == "sample_prompts" else MAX_NAME_CHARACTERS
        if any(len(text) > longest for text in value):
            raise InputError(f"{name} takes texts of at most {longest:,} characters.", param=name)
    if len(config.sample_prompts) > MAX_SAMPLE_PROMPTS:
        raise InputError(f"sample_prompts takes at most {MAX_SAMPLE_PROMPTS} texts.", param="sample_prompts")
    if len(config.labels) > MAX_LABELS:
        raise InputError(f"labels takes at most {MAX_LABELS:,} names.", param="labels")
    if len(set(config.labels)) != len(config.labels) or len(config.labels) == 1:
        raise InputError("labels needs at least two different names, or none to take the file's.", param="labels")


def _check_languages(config: TrainingConfig) -> None:
    for name in ("source_language", "target_language"):
        value = getattr(config, name)
        if not isinstance(value, str) or not re.fullmatch(r"([a-z]{2,3})?", value):
            raise InputError(f"{name} is {value!r}; give a code of two letters, such as en.", param=name)
    if config.source_language and config.source_language == config.target_language:
        raise InputError("target_language must differ from source_language.", param="target_language")
    if not isinstance(config.base_id, str) or len(config.base_id) > MAX_NAME_CHARACTERS:
        raise InputError(f"base_id must be a name of at most {MAX_NAME_CHARACTERS} characters.", param="base_id")


def read_config(path: Path) -> TrainingConfig:
    """Read `config.json`. Raises InputError for a missing file, broken JSON, and an unknown, missing or wrong field."""
    try:
        return parse_config(path.read_bytes())
    except OSError as error:
        raise InputError(f"The run's config cannot be read ({error}).", param="config") from None


def parse_config(data: bytes) -> TrainingConfig:
    """The config in the bytes of a `config.json`. Raises InputError as `read_config`."""
    try:
        values = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"The config cannot be read as JSON ({error}).", param="config") from None
    return make_config(values)


def located(config: TrainingConfig, folder: Path) -> TrainingConfig:
    """The config with its files as they are reached from here: a relative one is looked for in the run's folder first.

    So a run's folder can move, and holds no paths of its machine but the base's.
    """
    train, validation = folder / config.train_file, folder / config.validation_file
    return replace(
        config,
        train_file=str(train) if train.exists() else config.train_file,
        validation_file=str(validation) if validation.exists() else config.validation_file,
    )


def make_config(values: Any) -> TrainingConfig:
    """A config from what JSON holds. Raises InputError for an unknown, missing or wrong field."""
    if not isinstance(values, dict):
        raise InputError("The run's config must be a JSON object.", param="config")
    if unknown := sorted(set(values) - {field.name for field in fields(TrainingConfig)}):
        raise InputError(f"The config has unknown fields: {', '.join(unknown)}.", param=unknown[0])
    needed = [field.name for field in fields(TrainingConfig) if field.default is MISSING]
    if missing := [name for name in needed if name not in values]:
        raise InputError(f"The config lacks {', '.join(missing)}.", param=missing[0])
    lists = {name: tuple(value) for name in LISTS if isinstance(value := values.get(name), list)}
    return TrainingConfig(**values | lists)
