"""A run's model comes into the pickers: its catalogue entry, its conversion for llama.cpp, and the way back.

`served/` in the run's folder is what `catalogue.tuned` reads at the next start: model.json, and a GGUF file for
llama.cpp.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from engine.applications.completing import CompleteRequest, complete
from engine.backends.gguf import read_header
from engine.catalogue import tuned
from engine.catalogue.checkpoints import STUDENT, TRANSLATION_STYLES, context_tokens
from engine.catalogue.models import PROMPT_STYLES, Model
from engine.catalogue.sources.folder import Folder
from engine.errors import ConflictError, InputError, PeopleError, UnsupportedError
from engine.files import folder_bytes, placed, read_json, remove, write_json
from engine.jobs import process
from engine.jobs.folder import Job, Stopped
from engine.messages import Text
from engine.requests import Event, Sampling
from engine.serving.protocol import Caller
from engine.settings import Settings
from engine.training import tasks
from engine.training.config import TrainingConfig
from engine.training.export import base_gguf
from engine.training.run import shapes

if TYPE_CHECKING:
    from engine.serving.protocol import Engine
    from engine.training.views import RunView

log = logging.getLogger(__name__)

GGUF_FILE = "model.q8_0.gguf"
CONVERSION_SECONDS, LOOK_SECONDS = 900, 0.1
TRIED_TOKENS = 80
MAX_NAMED_LABELS = 6
ENCODER_BYTES = 340_000_000
"""Memory of the multilingual encoder's tokenizer and table, without its layers."""


def use(settings: Settings, engine: Engine, view: RunView, folder: Path, caller: Caller, job: Job | None = None) -> str:
    """Write `served/`, whole or not at all, and add the model to the engine's catalogue; returns its id.

    Raises ConflictError without a model, or while an earlier one is answering; UnsupportedError, InputError; Stopped
    where the job was stopped.
    """
    config = check_model(view)
    engine.unload(view.model_id, caller)
    with placed(folder / "served") as part:
        entry = _entry(settings, engine, view, config, folder)
        is_writer = tasks.find(config.task).is_language_model
        if is_writer and engine.status().device == "cpu" and _convert(config, folder, part, job):
            entry = _with_gguf(entry, part / GGUF_FILE, settings)
        write_json(part / "model.json", as_json(entry))
    engine.catalogue.add(tuned.read(folder))
    return entry.id


def as_json(entry: Model) -> dict[str, Any]:
    """An entry as `model.json` has it."""
    return asdict(entry) | {"note": entry.note.as_json(), "measured_on": entry.measured_on.as_json()}


def check_model(view: RunView) -> TrainingConfig:
    """The run's config. Raises ConflictError where it has no model."""
    if view.config is None or not view.has_model:
        raise ConflictError("This run has no model yet. Wait until it has saved one.", param="run")
    return view.config


def stream(
    engine: Engine, model: Model, config: TrainingConfig, inputs: Mapping[str, Any], caller: Caller
) -> Iterator[Event]:
    """Ask a base or a run's model, in the form that a run of this config teaches (or would have).

    `inputs` are the task's, a temperature, and the most tokens.
    """
    task = tasks.find(config.task)
    if task.stream:
        yield from task.stream(engine, model, config, inputs, caller)
        return
    temperature = float(inputs.get("temperature", 0.0))
    longest = int(inputs.get("max_new_tokens", TRIED_TOKENS))
    sampling = Sampling(longest, temperature, repetition_penalty=1.05, seed=config.seed)
    asked = task.ask(model, config, str(inputs["text"]), sampling)
    items = complete(engine, CompleteRequest(model.id, asked.prompt, asked.messages, asked.sampling), caller)
    with closing(items):  # type: ignore[type-var]
        for _, event in items:
            yield event


def retire(engine: Engine, run_id: str, folder: Path, caller: Caller) -> None:
    """Unload the model, take it out of the catalogue, and delete `served/`. Raises ConflictError while it answers."""
    forget(engine, run_id, caller)
    (folder / "served" / "model.json").unlink(missing_ok=True)  # what makes it one in use
    remove(folder / "served")


def forget(engine: Engine, run_id: str, caller: Caller) -> None:
    """Unload a run's model and take it out of the catalogue. Raises ConflictError while it answers."""
    engine.unload(f"run-{run_id}", caller)
    engine.catalogue.remove(f"run-{run_id}")


def _entry(settings: Settings, engine: Engine, view: RunView, config: TrainingConfig, folder: Path) -> Model:
    """The model's catalogue entry as `transformers` serves it."""
    task, facts, base = tasks.find(config.task), read_json(folder / "model" / "config.json"), _base(engine, config)
    pair = _pair(config) if "target_language" in task.settings else None
    names = _labels(facts) if "labels" in task.settings else ()
    size, parameters = folder_bytes(folder / "model"), count_parameters(folder / "model")
    carrier = str(facts["base"]) if facts.get("is_packed") else ""
    return Model(
        id=view.model_id,
        title=_unique(engine, view),
        family=base.family if base else str(facts.get("model_type") or "Fine-tuned"),
        architecture=task.architecture,
        runtime=_runtime(facts),
        parameters=parameters,
        languages=pair or (() if base is None or task.is_headed else base.languages),
        licence=base.licence if base else str(Text("as its base") if config.base else Text("yours")),
        licence_url=base.licence_url if base else "",
        size_bytes=size,
        memory_bytes=int(max(size, 4 * parameters) * 1.25) + (ENCODER_BYTES if carrier else 150_000_000),
        applications=task.applications,
        source=Folder("model", base=carrier),
        context_tokens=context_tokens(facts, config.max_length),
        is_chat=_has_template(folder / "model") and task.is_language_model,
        prompt_style=_prompt_style(config, facts),
        pair=pair,
        labels=names,
        base_id=config.base_id,
        note=_note(view, config, base, names),
    )


def _runtime(facts: Mapping[str, Any]) -> str:
    if facts.get("is_packed"):
        return "packed"
    return "marian" if facts.get("model_type") == STUDENT else "transformers"


def _base(engine: Engine, config: TrainingConfig) -> Model | None:
    with suppress(PeopleError):
        return engine.catalogue.find(config.base_id) if config.base_id else None
    return None


def _unique(engine: Engine, view: RunView) -> str:
    """The run's title; pickers tell models by it, so one that is taken gets the end of the run's id."""
    others = {model.title for model in engine.catalogue.models.values() if model.id != view.model_id}
    return view.title if view.title not in others else f"{view.title} ({view.id[-6:]})"


def _pair(config: TrainingConfig) -> tuple[str, str]:
    from engine.applications.languages import NAMED

    for name in ("source_language", "target_language"):
        if getattr(config, name) not in NAMED:
            raise UnsupportedError(
                "The page Translate does not know {field} {code}, so it cannot use this model. It knows {known}.",
                name, field=name, code=repr(getattr(config, name)), known=list(NAMED),
            )  # fmt: skip
    return config.source_language, config.target_language


def _labels(facts: Mapping[str, Any]) -> tuple[str, ...]:
    names = facts.get("id2label")
    if not isinstance(names, dict) or not names:
        raise InputError("The run's model does not name its labels; its folder is damaged. Train it again.")
    return tuple(str(names[number]) for number in sorted(names, key=int))


def _has_template(folder: Path) -> bool:
    return (folder / "chat_template.jinja").is_file() or bool(
        read_json(folder / "tokenizer_config.json").get("chat_template")
    )


def _prompt_style(config: TrainingConfig, facts: Mapping[str, Any]) -> str:
    """As in training, which notes the style of an encoder-decoder in the model's config."""
    task = tasks.find(config.task)
    if task.prompt_style is None:
        style = facts.get("prompt_style") or TRANSLATION_STYLES.get(str(facts.get("model_type")), "pair")
        return str(style) if style in PROMPT_STYLES else "pair"
    return task.prompt_style


def _note(view: RunView, config: TrainingConfig, base: Model | None, names: tuple[str, ...]) -> Text:
    """Where it comes from, and for a classifier what it tells apart."""
    day = time.strftime("%Y-%m-%d", time.localtime(view.created))
    if base:
        note = Text("Your own: trained from {base} on {day}.", base=base.title, day=day)
    elif config.base:
        note = Text("Your own: trained from a base of your own on {day}.", day=day)
    else:
        note = Text("Your own: trained from scratch on {day}.", day=day)
    if not names:
        return note
    shown = [*names[:MAX_NAMED_LABELS], *(["…"] if len(names) > MAX_NAMED_LABELS else [])]
    return Text("{note} Tells apart: {labels}.", note=note, labels=shown)


def count_parameters(folder: Path) -> int:
    """Weights in a folder's safetensors files, from their headers. Raises InputError for damaged or missing ones."""
    total = 0
    with suppress(SafetensorError, OSError):
        total = sum(math.prod(shape) for file in folder.glob("*.safetensors") for shape in shapes(file).values())
    if not total:
        raise InputError("The run's model is damaged: its weights cannot be read. Train it again.", param="run")
    return total


def _convert(config: TrainingConfig, folder: Path, target: Path, job: Job | None) -> bool:
    """Write a GGUF file in a process of its own, because it takes torch; says whether llama.cpp can have it."""
    from engine.backends.ggml.writing import can_export

    if not can_export(folder / "model"):
        return False
    base, said = base_gguf(config), target / "said.txt"
    arguments = [str(folder / "model"), str(target / GGUF_FILE), *(["--base", str(base)] if base else [])]
    child = process.start(process.python("engine.training.gguf_export", *arguments), log=said)
    try:
        with process.watched(child):
            status = _wait(child, job)
        if status == 0:
            read_header(target / GGUF_FILE)
            return True
        words = said.read_text(encoding="utf-8", errors="replace").strip()[-500:]
        log.warning("run %s stays with transformers: %s", folder.name, words)
    except PeopleError as error:
        log.warning("run %s stays with transformers: %s", folder.name, error)
    finally:
        process.end(child)
        said.unlink(missing_ok=True)
    return False


def _wait(child: process.Process, job: Job | None) -> int | None:
    """The child's exit status; None where it takes too long. Raises Stopped where the job is asked to stop."""
    end = time.monotonic() + CONVERSION_SECONDS
    while child.poll() is None and time.monotonic() < end:
        if job and job.is_stop_asked:
            raise Stopped
        time.sleep(LOOK_SECONDS)
    return child.poll()


def _with_gguf(entry: Model, file: Path, settings: Settings) -> Model:
    header = read_header(file)
    context = header.context_tokens(settings)
    memory = header.size_bytes + header.cache_bytes(context, settings.slots) + 200_000_000
    return replace(
        entry,
        runtime="llamacpp",
        size_bytes=header.size_bytes,
        memory_bytes=memory,
        context_tokens=header.trained_context,
        source=Folder(f"served/{file.name}"),
    )
