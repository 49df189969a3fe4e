"""The card of an exported model: what it is, from what, on what data, with which settings, and how good it is.

No paths of this machine go into it. Form: https://huggingface.co/docs/hub/model-cards
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.catalogue.checkpoints import STUDENT
from engine.catalogue.models import Model, hub_model, read_catalogue
from engine.catalogue.sources.hub import Hub
from engine.errors import NotFoundError
from engine.files import read_json
from engine.training import figures, tasks
from engine.training.config import TrainingConfig, read_config

LICENCES = {
    "Apache 2.0": "apache-2.0", "MIT": "mit", "CC BY 4.0": "cc-by-4.0", "CC BY-NC 4.0": "cc-by-nc-4.0",
    "Gemma": "gemma", "Gemma Terms of Use": "gemma", "MPL 2.0": "mpl-2.0",
}  # fmt: skip
"""The catalogue's words -> the Hub's."""
HIDDEN = ("train_file", "validation_file", "base", "task", "base_id", "threads", "sample_prompts", "sample_tokens")
SCRATCH_ONLY = ("layers", "width", "heads", "vocabulary_size", "tokenizer")
LIBRARIES = {"adapter": "peft", "safetensors": "transformers"}
USES = {
    "safetensors": (
        "```python\nfrom transformers import AutoTokenizer, {auto_class}\n\n"
        'tokenizer = AutoTokenizer.from_pretrained("{folder}")\nmodel = {auto_class}.from_pretrained("{folder}")\n```'
    ),
    "adapter": (
        "```python\nfrom peft import PeftModel\nfrom transformers import AutoTokenizer, {auto_class}\n\n"
        '{labels}base = {auto_class}.from_pretrained("{base}"{options})\n'
        'model = PeftModel.from_pretrained(base, "{folder}")\n'
        'tokenizer = AutoTokenizer.from_pretrained("{folder}")\n```'
    ),
    "student": (
        'Parlance\'s runtime "marian" reads the folder: a catalogue of your own (`PARLANCE_EXTENSIONS`) names it with\n'
        'that runtime, the architecture "seq2seq" and the pair.'
    ),
    "gguf": "```\nllama-cli -m {file}\n```",
    "gguf-adapter": "```\nllama-cli -m BASE.gguf --lora {file}\n```\n\n`BASE.gguf` is {base} in GGUF.",
    "onnx": (
        '```python\nimport onnxruntime\n\nsession = onnxruntime.InferenceSession("{file}")\n'
        "print([each.name for each in session.get_inputs()])\n```"
    ),
}


LABELLED = ", num_labels=len(labels), id2label=dict(enumerate(labels)), ignore_mismatched_sizes=True"
"""A base takes the head of an adapter only where it is told the labels."""


@dataclass(frozen=True)
class Facts:
    """What a card tells of a run, read from its folder."""

    id: str
    title: str
    note: str
    config: TrainingConfig
    status: Mapping[str, Any]
    about: Mapping[str, Any]
    base: Model | None
    """The base as the catalogue knows it."""
    labels: tuple[str, ...] = ()
    """Of a classifier, in the order of its outputs."""
    is_student: bool = False
    """A Marian student, in the files of its own runtime."""


def read_facts(run: Path) -> Facts:
    """Read a run's folder. Raises InputError for a config that cannot be read."""
    config, about = read_config(run / "config.json"), read_json(run / "about.json")
    model = read_json(run / "model" / "config.json")
    return Facts(
        id=run.resolve().name,
        title=str(about.get("title") or f"Run {run.resolve().name}"),
        note=str(about.get("note") or ""),
        config=config,
        status=read_json(run / "status.json"),
        about=about,
        base=find_base(config.base_id),
        labels=_labels(config, model),
        is_student=model.get("model_type") == STUDENT,
    )


def _labels(config: TrainingConfig, model: Mapping[str, Any]) -> tuple[str, ...]:
    names = model.get("id2label") if "labels" in tasks.find(config.task).settings else None
    return tuple(str(names[number]) for number in sorted(names, key=int)) if isinstance(names, dict) else ()


def find_base(base_id: str) -> Model | None:
    """The base in the catalogue, or what its id says of a Hub model; None for others."""
    if not base_id:
        return None
    catalogue = read_catalogue()
    try:
        found = catalogue.find(base_id)
    except NotFoundError:
        return None
    return hub_model(base_id) if found.id.startswith("hub:") else found


def card(facts: Facts, kind: str, file: str = "") -> str:
    """The card in Markdown for one kind of export; `file` is the main file's name."""
    return "\n".join(
        [_front(facts, kind), *_introduction(facts), *_figures(facts), *_making(facts), *_use(facts, kind, file)]
    )


def hub_name(base: Model | None) -> str:
    """The base's `owner/name` on the Hub, or ""."""
    if base is None:
        return ""
    if isinstance(base.source, Hub):
        return base.source.repository
    found = re.fullmatch(r"https://huggingface\.co/([\w.-]+/[\w.-]+)/?", base.licence_url)
    return found[1] if found else ""


def _front(facts: Facts, kind: str) -> str:
    """What the Hub reads: licence, base, task, languages."""
    from huggingface_hub.utils import yaml_dump  # type: ignore[attr-defined]

    licence, name = facts.base.licence if facts.base else "", hub_name(facts.base)
    fields = {
        "license": licence and LICENCES.get(licence, "other"),
        "license_name": "" if licence in LICENCES else licence,
        "base_model": name,
        "base_model_relation": name and ("adapter" if "adapter" in kind else "finetune"),
        "pipeline_tag": tasks.find(facts.config.task).pipeline,
        "library_name": None if facts.is_student else LIBRARIES.get(kind),
        "language": [code for code in (facts.config.source_language, facts.config.target_language) if code],
        "tags": ["parlance", "gguf" if "gguf" in kind else kind],
    }
    kept = {name: value for name, value in fields.items() if value}
    return f"---\n{yaml_dump(kept, sort_keys=False)}---\n"


def _introduction(facts: Facts) -> list[str]:
    config = facts.config
    what = f"This model {tasks.find(config.task).description}."
    if config.source_language:
        what = f"This model translates from {config.source_language} to {config.target_language}."
    if config.mean_of:
        what += f" Its weights are the mean of those of {len(config.mean_of)} runs (model soup, Wortsman et al. 2022)."
    if config.step_of:
        what += f" Its weights are those of step {config.step} of the run {config.step_of}."
    note = ["", *(f"> {_plain(line)}" for line in facts.note.split("\n"))] if facts.note else []
    return [f"# {_plain(facts.title)}", "", what, *note, "", "## Base and licence", "", _licence(facts), ""]


def _licence(facts: Facts) -> str:
    config, base = facts.config, facts.base
    if not config.base:
        return "Trained from scratch; nobody else's weights are in it. Its licence is for its maker to choose."
    if base is None:
        return f"Base: {_plain(config.base_id) or 'a model of its maker'}. Its licence applies to this model too."
    link = f" ({base.licence_url})" if base.licence_url else ""
    return f"Base: {base.title}. Licence of the base, which applies to this model too: {base.licence}{link}."


def _figures(facts: Facts) -> list[str]:
    """Metrics of the untrained base and of the kept model on the same held-out rows."""
    before, after = (facts.status.get(name) or {} for name in ("baseline", "metrics"))
    chosen = f"eval_{tasks.find(facts.config.task).metric}"
    names = [name for name in after if name.startswith("eval_") and not name.endswith(("runtime", "_per_second"))]
    if not names:
        return []
    names.sort(key=lambda name: (name != chosen, name != "eval_loss", name))
    step = facts.status.get("best_step")
    rows = [
        f"| {name.removeprefix('eval_')} | {_number(before.get(name))} | {_number(after[name])} |" for name in names
    ]
    many = facts.about.get("validation_rows")
    held = [f"Measured on {many:,} rows held out of training."] if many else []
    told = [*held, *(_plain(str(words)) for words in figures.remarks(facts.status, facts.config.task, many))]
    head = f"| metric | base, untrained | this model{f', step {step}' if step else ''} |"
    return ["## Figures", "", *(f"{words}\n" for words in told), head, "|---|---:|---:|", *rows, ""]


def _making(facts: Facts) -> list[str]:
    about, config = facts.about, facts.config
    data = f"{about['train_rows']:,} rows" if about.get("train_rows") else "Rows"
    digest = f" (sha256 of both files begins with `{about['data']}`)" if about.get("data") else ""
    step = facts.status.get("best_step")
    best = f" The weights are those of step {step}, the best on the held-out rows." if step else ""
    whose = ["The settings are those of the first of the runs; `mean_of` names them all.", ""] if config.mean_of else []
    table = [f"| {name} | {_plain(_value(value))} |" for name, value in _settings(config).items()]
    return [
        "## How it was made", "",
        f"{data} of the task *{config.task}*{digest}, which stayed with its maker.{best}", "", *whose,
        "| setting | value |", "|---|---|", *table, "",
        "The same again, with the run's folder:", "", f"```\npython -m engine.training.train runs/{facts.id}\n```", "",
    ]  # fmt: skip


def _settings(config: TrainingConfig) -> dict[str, Any]:
    """The settings that had a say in this run."""
    idle = {*HIDDEN} | ({"stride", "max_target_length"} - tasks.find(config.task).settings)
    idle |= set(SCRATCH_ONLY if config.base else ()) | set(() if config.step_of else ("step",))
    return {
        name: value
        for name, value in asdict(config).items()
        if name not in idle and value not in ((), "") and (config.method == "lora" or not name.startswith("lora_"))
    }


def _use(facts: Facts, kind: str, file: str) -> list[str]:
    words = {
        "auto_class": tasks.find(facts.config.task).auto_class,
        "folder": ".",
        "file": file,
        "base": hub_name(facts.base) or facts.config.base_id or "BASE",
        "labels": f"labels = {_as_code(facts.labels)}\n" if facts.labels else "",
        "options": LABELLED if facts.labels else "",
    }
    limits = (
        "The figures hold for rows like those it learned from. Judge it on texts of your own before you rely on it; "
        "what its base gets wrong, it may get wrong too."
    )
    way = "student" if facts.is_student and kind == "safetensors" else kind
    return ["## Use", "", USES[way].format(**words), "", "## Limits", "", limits, ""]


def _as_code(names: tuple[str, ...]) -> str:
    """As Python, in which no backtick can end the block of code."""
    return repr(list(names)).replace("`", "\\x60")


def _value(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else ""


def _plain(text: str) -> str:
    """A person's words on one line, as text and not as Markdown or HTML."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))
