"""What one run is to do: a dataclass that checks itself and goes to and from `config.json`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass
from pydantic_core import ErrorDetails

from engine.errors import InputError
from engine.messages import Text
from engine.training import tasks

Method = Literal["full", "lora", "head"]
Schedule = Literal["linear", "cosine", "constant"]
Tokenizer = Literal["bpe", "sentencepiece"]

RUN_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
FileName = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(pattern=r"\S", max_length=200)]
Prompt = Annotated[str, Field(pattern=r"\S", max_length=2_000)]
RunId = Annotated[str, Field(pattern=f"^{RUN_ID.pattern}$")]
Language = Annotated[str, Field(pattern=r"^([a-z]{2,3})?$")]
AsTuple = Field(strict=False)
"""JSON has lists where a config has tuples."""


@dataclass(frozen=True, config=ConfigDict(use_attribute_docstrings=True, strict=True, extra="forbid"))
class TrainingConfig:
    """Everything that decides a run; the same config and data give the same run on one machine.

    Bounds, choices and sentences stand here once: `SETTINGS` has them for a page's widgets.
    Raises InputError with the field's name for a value that cannot be.
    """

    task: str
    """What the model learns."""
    base: str
    """Folder or GGUF file of the model to start from; empty starts from scratch, where the task can."""
    train_file: FileName
    """Rows to learn from: JSONL (or CSV, TSV with a header) with the task's keys; answer also takes SQuAD JSON."""
    validation_file: FileName
    """Rows held out, in the same form."""
    base_id: Annotated[str, Field(max_length=200)] = ""
    """The base's id in the catalogue or on the Hub, for show and for what is exported."""
    method: Method = "full"
    """full trains all weights, lora low-rank adapters (merged at the end), head only the last layers."""
    epochs: Annotated[float, Field(ge=0.01, le=1000)] = 3.0
    """Passes over the training rows."""
    max_steps: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    """Stop after this many steps; 0 goes by epochs."""
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 16
    """Rows that are computed at once."""
    accumulation_steps: Annotated[int, Field(ge=1, le=1024)] = 1
    """Batches whose gradients are added up to one step: a larger batch in the memory of a small one."""
    max_length: Annotated[int, Field(ge=8, le=8192)] = 256
    """Longest input in tokens; longer ones are cut (answer: into windows; running text: into blocks)."""
    max_target_length: Annotated[int, Field(ge=4, le=4096)] = 128
    """Longest translation or summary in tokens; longer ones are cut."""
    stride: Annotated[int, Field(ge=0, le=4096)] = 96
    """Tokens that neighbouring windows share (answer)."""
    learning_rate: Annotated[float, Field(ge=1e-8, le=1.0)] = 2e-4
    """Peak learning rate of AdamW."""
    schedule: Schedule = "linear"
    """How the learning rate falls after the warm-up."""
    warmup_ratio: Annotated[float, Field(ge=0, le=1)] = 0.06
    """Share of the steps in which the learning rate rises."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Decay of weights (not of biases and norms)."""
    label_smoothing: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    """Share of probability given to all other outcomes (labels, or tokens), against overconfidence."""
    max_grad_norm: Annotated[float, Field(ge=0, le=1e6)] = 1.0
    """Gradients are clipped to this norm; 0 never clips."""
    attention_dropout: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    """Dropout of attention weights; at 0 attention runs fused, which makes a step a fifth cheaper on a processor."""
    token_dropout: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    """Share of the input's tokens hidden behind the mask token at each reading, so that few rows last more epochs."""
    is_gradient_checkpointed: bool = False
    """Compute activations twice instead of keeping them: about half the memory for a third more time."""
    lora_rank: Annotated[int, Field(ge=1, le=1024)] = 16
    """Rank of the adapters (lora)."""
    lora_alpha: Annotated[int, Field(ge=1, le=4096)] = 32
    """Scale of the adapters (lora)."""
    lora_dropout: Annotated[float, Field(ge=0, le=0.9)] = 0.05
    """Dropout before the adapters (lora)."""
    lora_targets: Annotated[tuple[Name, ...], AsTuple] = ()
    """Names (or their ends) of the layers that get adapters (lora); empty takes all linear layers but the head."""
    evaluations_per_epoch: Annotated[int, Field(ge=1, le=100)] = 1
    """Validations and checkpoints an epoch; the best checkpoint is kept: by metric, then loss, then the later."""
    kept_checkpoints: Annotated[int, Field(ge=0, le=10)] = 0
    """Checkpoints kept besides best and last, evenly over the run, to look back at how it learned; at most 2 GB."""
    average_decay: Annotated[float, Field(ge=0, le=0.99999)] = 0.0
    """Decay a step of an exponential moving average of the weights, which is then judged and saved; 0 is off."""
    patience: Annotated[int, Field(ge=0, le=1000)] = 0
    """Stop after this many validations without a better metric, or at an equal one a lower loss; 0 never does."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 13
    """Of data order, dropout and new layers."""
    is_bf16: bool = True
    """bfloat16 autocast, where the processor has it."""
    is_length_grouped: bool = True
    """Batches of similar lengths."""
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """Threads for computing; 0 takes all cores."""
    labels: Annotated[tuple[Name, ...], AsTuple, Field(max_length=1_000)] = ()
    """Label names in the order of the model's outputs (classification); empty takes those in train_file, sorted."""
    source_language: Language = ""
    """ISO 639-1 code that is translated from (translation)."""
    target_language: Language = ""
    """ISO 639-1 code that is translated to (translation)."""
    sample_prompts: Annotated[tuple[Prompt, ...], AsTuple, Field(max_length=10)] = ()
    """Texts that the model continues, answers or translates at every validation, to show how it learns."""
    sample_tokens: Annotated[int, Field(ge=1, le=1000)] = 60
    """Longest sample in tokens."""
    layers: Annotated[int, Field(ge=1, le=64)] = 4
    """Layers of a model from scratch (a translator has as many in encoder and decoder)."""
    width: Annotated[int, Field(ge=16, le=4096)] = 256
    """Width of a model from scratch; a multiple of twice the heads."""
    heads: Annotated[int, Field(ge=1, le=64)] = 4
    """Attention heads of a model from scratch."""
    # The 256 bytes and special tokens come first, so that no text is unknown; the rest is for what the texts repeat.
    vocabulary_size: Annotated[int, Field(ge=300, le=200_000)] = 4000
    """Most tokens of a tokenizer from scratch."""
    tokenizer: Tokenizer = "bpe"
    """Kind of a tokenizer from scratch: byte-level BPE as GPT-2's, or sentencepiece as Llama's."""
    mean_of: Annotated[tuple[RunId, ...], AsTuple] = ()
    """Runs beside this one whose models' mean is its model: nothing is trained then, and the mean only judged."""
    step_of: Annotated[str, Field(pattern=f"^({RUN_ID.pattern})?$")] = ""
    """Run beside this one whose checkpoint of `step` is its model: nothing is trained then, and it is only judged."""
    step: Annotated[int, Field(ge=0)] = 0
    """The step of that checkpoint."""

    @model_validator(mode="wrap")
    @classmethod
    def _checked(cls, values: Any, check: Callable[[Any], TrainingConfig]) -> TrainingConfig:
        try:
            config = check(values)
        except ValidationError as error:
            raise _in_words(error.errors(include_url=False)) from None
        _check_together(config)
        return config

    def save(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


SETTINGS: Mapping[str, Mapping[str, Any]] = TypeAdapter(TrainingConfig).json_schema()["properties"]
"""Each field as JSON Schema: type, default, minimum and maximum or enum, and its sentence as description."""


def bounds(name: str, task_id: str) -> tuple[float, float]:
    """Lowest and highest value of a number; a task may have its own."""
    own = tasks.find(task_id).bounds.get(name)
    return own or (SETTINGS[name]["minimum"], SETTINGS[name]["maximum"])


def count_steps(config: TrainingConfig, inputs: int) -> tuple[int, int]:
    """Steps of the whole run (none without inputs), and of one epoch, for so many inputs (rows, blocks, windows)."""
    of_epoch = max(1, math.ceil(math.ceil(inputs / config.batch_size) / config.accumulation_steps))
    steps = config.max_steps or math.ceil(of_epoch * config.epochs)
    return steps if inputs else 0, of_epoch


def steps_between_validations(config: TrainingConfig, inputs: int) -> int:
    """Steps from one validation and checkpoint to the next, for so many training inputs."""
    steps, of_epoch = count_steps(config, inputs)
    return min(steps, max(1, of_epoch // config.evaluations_per_epoch))


def looked_back_at(config: TrainingConfig, inputs: int, most: int) -> list[int]:
    """Steps whose checkpoints are kept besides best and last, at most so many: evenly over the run, when it saves."""
    steps, _ = count_steps(config, inputs)
    every, count = steps_between_validations(config, inputs), min(config.kept_checkpoints, most)
    evenly = (math.ceil(steps * number / (count + 1) / every) * every for number in range(1, count + 1))
    return sorted({step for step in evenly if step < steps})


def defaults(task_id: str, method: str | None = None, *, has_base: bool = True) -> dict[str, Any]:
    """Settings for a beginner: those of the task, with the method's learning rate. None takes the task's method."""
    task = tasks.find(task_id)
    values = {"method": "full", **task.defaults} | ({"method": method} if method else {})
    if not has_base:
        values["method"] = "full"
    if rate := task.learning_rates.get(values["method"]):
        values["learning_rate"] = rate
    return values if has_base else values | dict(task.scratch or {})


def _in_words(errors: list[ErrorDetails]) -> InputError:
    """The first of pydantic's errors as a sentence; fields that are unknown or missing all in one."""
    of_kind: dict[str, list[str]] = {}
    for error in errors:
        of_kind.setdefault(error["type"], []).append(str(error["loc"][0]))
    if names := of_kind.get("unexpected_keyword_argument"):
        return InputError("The config has unknown fields: {names}.", param=names[0], names=names)
    if names := of_kind.get("missing"):
        return InputError("The config lacks {names}.", param=names[0], names=names)
    error = errors[0]
    name, setting = str(error["loc"][0]), SETTINGS[str(error["loc"][0])]
    facts: dict[str, Any] = {
        "field": name,
        "value": repr(error["input"])[:80],
        "choices": setting.get("enum"),
        "low": f"{setting.get('minimum', 0):g}",
        "high": f"{setting.get('maximum', 0):g}",
        "limit": error.get("ctx", {}).get("max_length"),
    }
    return InputError(_what_it_takes(name, setting, error["type"]).template, name, **facts)


def _what_it_takes(name: str, setting: Mapping[str, Any], error_type: str) -> Text:
    if "enum" in setting:
        return Text("{field} is {value}; choose one of {choices}.")
    if setting["type"] == "integer":
        return Text("{field} is {value}; choose a whole number from {low} to {high}.")
    if setting["type"] == "number":
        return Text("{field} is {value}; choose a number from {low} to {high}.")
    if setting["type"] == "boolean":
        return Text("{field} is {value}; choose true or false.")
    if error_type == "too_long":
        return Text("{field} takes at most {limit:,} texts.")
    if error_type == "string_too_long":
        return Text("{field} takes texts of at most {limit:,} characters.")
    if setting["type"] == "array":
        return Text("{field} must be a list of texts, none of them empty.")
    if name.endswith("_language"):
        return Text("{field} is {value}; give a code of two letters, such as en.")
    return Text("{field} must be a text, of a path or a name.")


def _check_together(config: TrainingConfig) -> None:
    """What no field says alone."""
    task = tasks.find(config.task)
    for name, (low, high) in task.bounds.items():
        if not low <= getattr(config, name) <= high:
            raise InputError(
                "{field} is {value}; for this task choose one from {low} to {high}.",
                name, field=name, value=getattr(config, name), low=f"{low:g}", high=f"{high:g}",
            )  # fmt: skip
    if config.base and not task.takes_base:
        raise InputError(
            "The task {task} starts from scratch: leave base empty, or choose task {other}.",
            "base", task=task.id, other=task.continued_as,
        )  # fmt: skip
    if not config.base:
        _check_scratch(config, task)
    if len(set(config.labels)) != len(config.labels) or len(config.labels) == 1:
        raise InputError("labels needs at least two different names, or none to take the file's.", "labels")
    if config.source_language and config.source_language == config.target_language:
        raise InputError("target_language must differ from source_language.", "target_language")
    if "stride" in task.settings and config.stride > config.max_length // 2:
        raise InputError("stride must be at most half of max_length.", "stride")


def _check_scratch(config: TrainingConfig, task: tasks.TrainingTask) -> None:
    """Whether there can be a model from nothing, and whether the method makes sense for it."""
    if task.scratch is None:
        raise InputError("The task {task} needs a base: choose the model to start from.", "base", task=task.id)
    if config.method != "full":
        raise InputError(
            "A model from scratch has nothing to keep: choose method full, not {method}.",
            "method", method=config.method,
        )  # fmt: skip
    if config.width % (2 * config.heads):
        raise InputError(
            "width must be a multiple of twice the heads; {width} is none of {twice}.",
            "width", width=config.width, twice=2 * config.heads,
        )  # fmt: skip


def read_config(path: Path) -> TrainingConfig:
    """Read `config.json`. Raises InputError for a missing file, broken JSON, and an unknown, missing or wrong field."""
    try:
        return parse_config(path.read_bytes())
    except OSError as error:
        raise InputError("The run's config cannot be read ({reason}).", "config", reason=error) from None


def parse_config(data: bytes) -> TrainingConfig:
    """The config in the bytes of a `config.json`. Raises InputError as `read_config`."""
    try:
        values = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError("The config cannot be read as JSON ({reason}).", "config", reason=error) from None
    return make_config(values)


def located(config: TrainingConfig, folder: Path) -> TrainingConfig:
    """The config with its files as they are reached from here: a relative one is looked for in the run's folder first.

    So a run's folder can move, and holds no paths of its machine but the base's.
    """
    files = {name: folder / getattr(config, name) for name in ("train_file", "validation_file")}
    found: dict[str, Any] = {name: str(file) for name, file in files.items() if file.exists()}
    return replace(config, **found)


def make_config(values: Any) -> TrainingConfig:
    """A config from what JSON holds. Raises InputError for an unknown, missing or wrong field."""
    if not isinstance(values, dict):
        raise InputError("The run's config must be a JSON object.", "config")
    return TrainingConfig(**values)
