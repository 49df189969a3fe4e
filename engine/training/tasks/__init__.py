"""Training tasks, one file each: what a run can teach, told in one value that everything else reads.

A file of this folder (or of the host's, see `engine.extensions`) has one `TASK`. Nothing here loads torch: what needs
it is imported when it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from engine.catalogue.models import Architecture, Catalogue, Model
from engine.errors import NotFoundError, not_among
from engine.extensions import modules
from engine.messages import Text
from engine.requests import Event, Generate, Sampling
from engine.serving.protocol import Caller, Engine
from engine.settings import current
from engine.training.data import Row
from engine.training.findings import Data, Finding
from engine.training.formats import Table
from engine.training.lessons import Lesson
from engine.training.verdicts import Report, Verdict

Config = Any
"""A TrainingConfig, which is checked against its task, and so knows this module."""
SAMPLES = Path(__file__).parent.with_name("samples")
"""The samples' files, written for this project."""
Chosen = Mapping[str, str | None]
"""The column of each role."""
Cells = dict[str, Any]
"""A row by role: as a person's file has it once its columns are known, and as it goes into a run's train.jsonl."""


@dataclass(frozen=True)
class Sample:
    """A file of data and what it is good for. `prompts` show how a model learns it."""

    id: str
    title: Text
    description: Text
    file: Path
    prompts: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    """Fields of the config that belong to the data, such as the languages."""


def lazily(module: str, name: str) -> Callable[..., Any]:
    """A function of `engine.training.lessons`, whose modules load torch: imported when it is called."""

    def call(*arguments: Any) -> Any:
        return getattr(import_module(f"engine.training.lessons.{module}"), name)(*arguments)

    return call


def _asked(model: Model, config: Config, text: str, sampling: Sampling) -> Generate:
    return Generate(text, sampling=sampling)


@dataclass(frozen=True)
class TrainingTask:
    """One thing that a model can be taught."""

    id: str
    """As in `config.json`."""
    title: Text
    summary: Text
    """What goes in, and on which page the model then works, in a sentence or two."""
    roles: tuple[str, ...]
    """Keys of a row."""
    lesson: Callable[[Config, Path], Lesson]
    """From the config and the run's folder: its model, its features and how it is judged."""
    judge: Callable[[Config, Path, Sequence[Row], Report], Verdict]
    """One model on each held-out row, for the comparison of base and tuned model."""
    architecture: Architecture
    """What its models are to the catalogue."""
    applications: tuple[str, ...]
    """Whose pickers offer its models."""
    order: int = 100
    """Its place among the others on the page."""

    bases: tuple[Architecture, ...] = ()
    """Architectures that can learn it; none where it always starts from scratch."""
    first_base: str = ""
    """The model that is offered first; "" is none, from scratch."""
    scratch: Mapping[str, Any] | None = None
    """Settings of a run without base, where they differ; None where it needs one."""
    continued_as: str = ""
    """Of a task that takes no base: the one by which its models go on learning."""
    is_headed: bool = False
    """Its model has a head, which a base may lack."""

    metric: str = "perplexity"
    """Chooses the best checkpoint; `eval_<metric>` in the files."""
    score: str = "perplexity"
    """What a compared row's score is."""
    is_lower_better: bool = False
    """Of metric and score."""
    compared_rows: int = 200
    """Rows that base and tuned model are compared on, unless told otherwise."""

    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Settings for a beginner."""
    learning_rates: Mapping[str, float] = field(default_factory=dict)
    """By method."""
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Lowest and highest value of settings for which the task has its own."""
    settings: frozenset[str] = frozenset()
    """Those of `PARTICULAR` that do something in it."""

    optional_roles: tuple[str, ...] = ()
    """May stay without a column."""
    can_be_empty: tuple[str, ...] = ()
    """Roles whose text may be empty."""
    split_by: str = ""
    """The role of whose every value a share is held out."""
    is_running_text: bool = False
    """Rows are one stream of text, in blocks."""
    cuts_rows: bool = True
    """Rows longer than `max_length` lose their end."""
    guess: Callable[[Table], Mapping[str, str]] = lambda table: {}
    """Columns that its own knowledge finds, before their names are looked at."""
    finish: Callable[[Cells], Cells] = lambda row: row
    """A row with its texts cleaned becomes what training reads."""
    check_table: Callable[[Sequence[Mapping[str, Any]]], None] = lambda rows: None
    """Raises InputError for columns that cannot be meant."""
    fits: Callable[[Mapping[str, Any]], bool] = lambda row: True
    """Whether a row without empty texts can be learned from."""
    settings_in: Callable[[Chosen], Mapping[str, Any]] = lambda mapping: {}
    """Settings that follow from the names of the chosen columns."""
    check_columns: Callable[[Table, Mapping[str, str | None], Mapping[str, Any]], Iterator[Finding]] = lambda *_: iter(
        ()
    )
    """Findings on what the chosen columns are, beside the settings."""
    check_part: Callable[[Data, Any], Iterator[Finding]] = lambda rows, part: iter(())
    """Findings on the rows to learn from, or on those held out; `part` says which, in words."""
    check_both: Callable[[Data, Data, Config | None], Iterator[Finding]] = lambda train, held, config: iter(())
    """Findings on both."""

    read: Callable[[Path], list[Row]] | None = None
    """Held-out rows for the comparison; None reads the roles."""
    shown: Callable[[Row], tuple[str, str]] | None = None
    """What a person is shown of a row: what went in, and what is right. None shows the first and the last role."""

    ask: Callable[[Model, Config, str, Sampling], Generate] = _asked
    """How a model that writes is asked, in the form that the run teaches."""
    stream: Callable[[Engine, Model, Config, Mapping[str, Any], Caller], Iterator[Event]] | None = None
    """How any other model is asked to try it; the mapping has what `inputs` names."""
    inputs: Mapping[str, Text] = field(default_factory=lambda: {"text": Text("Text")})
    """What a person gives to try a model: name and label of each field."""
    prompt_style: str | None = ""
    """As in the catalogue; None is its base's."""

    description: str = ""
    """What its model does, for the card: "This model …"."""
    pipeline: str = "text-generation"
    """The Hub's word for it."""
    auto_class: str = "AutoModelForCausalLM"
    """The class of transformers that loads its model."""
    samples: tuple[Sample, ...] = ()
    """Built-in data, the one to begin with first."""

    @property
    def takes_base(self) -> bool:
        """Whether a run may start from a model."""
        return bool(self.bases)

    def can_be_done_by(self, model: Model) -> bool:
        """Whether the model can do what the task teaches, however well: a new head can do nothing yet."""
        return not self.is_headed or model.architecture == self.architecture

    def known_bases(self, catalogue: Catalogue) -> list[str]:
        """Ids of the catalogue's models that a run can start from, the likeliest kind first."""
        models = [model for model in catalogue.models.values() if self._reads(model, catalogue)]
        return [model.id for kind in self.bases for model in models if model.architecture == kind]

    def _reads(self, model: Model, catalogue: Catalogue) -> bool:
        """Those of a large family only once they are here; students only where sentences are translated, and the
        multilingual encoder only where a head is put on it, itself or with the head of an application."""
        is_fit = model.runtime != "marian" or "source_language" in self.settings
        is_fit &= model.runtime != "packed" or (self.is_headed and bool(model.applications))
        is_offered = model.source.is_listed or catalogue.is_ready(model.id)
        return model.runtime in READ_BY_TRAINING and is_fit and is_offered

    @property
    def is_language_model(self) -> bool:
        """Whether its model goes on with any text, so that its answers can be sampled and llama.cpp can run it."""
        return self.architecture == "causal"


READ_BY_TRAINING = ("transformers", "llamacpp", "marian", "packed")
"""Runtimes whose weights a run can start from: folders as `transformers` writes them, GGUF, Marian students, and the
multilingual encoder."""
PARTICULAR = (
    "max_target_length", "stride", "labels", "label_smoothing", "sample_prompts", "sample_tokens", "source_language",
    "target_language",
)  # fmt: skip
"""Settings that act only in the tasks that name them."""


def registry() -> Mapping[str, TrainingTask]:
    """All tasks by id, in the page's order."""
    return _found(current().extensions)


@cache
def _found(extensions: Path | None) -> Mapping[str, TrainingTask]:
    found = [module.TASK for module in modules("training/tasks")]
    return {task.id: task for task in sorted(found, key=lambda task: task.order)}


def find(task_id: str) -> TrainingTask:
    """A task by its id. Raises InputError with the choices."""
    tasks = registry()
    if task_id not in tasks:
        raise not_among("task", task_id, tasks)
    return tasks[task_id]


def find_sample(id: str) -> Sample:
    """A built-in sample by its id. Raises NotFoundError."""
    for task in registry().values():
        for sample in task.samples:
            if sample.id == id:
                return sample
    raise NotFoundError("There is no such built-in sample. Choose one of the list.", param="sample")
