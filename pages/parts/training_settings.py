"""Every setting of a run as a widget: its docstring is the help, its bounds are the limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from types import MappingProxyType
from typing import Any
from zlib import crc32

import streamlit as st

from engine.errors import InputError
from engine.messages import NOTHING, Text, label
from engine.training import tasks
from engine.training.config import SETTINGS, TrainingConfig, bounds, defaults, parse_config
from pages.parts.engine import may
from pages.parts.language import _
from pages.parts.text import plain

FIELDS = {field.name: field for field in fields(TrainingConfig)}
CHOSEN_ABOVE = (
    "task", "base", "train_file", "validation_file", "base_id", "source_language", "target_language", "mean_of",
    "step_of", "step",
)  # fmt: skip
"""Not drawn here: what to learn, from what, and in which languages; a mean is made where runs are compared."""
GROUPS: dict[Text, tuple[str, ...]] = {
    Text("How long"): (
        "epochs", "max_steps", "batch_size", "accumulation_steps", "evaluations_per_epoch", "patience",
        "kept_checkpoints",
    ),
    Text("How"): (
        "method", "learning_rate", "schedule", "warmup_ratio", "weight_decay", "label_smoothing", "max_grad_norm",
        "average_decay", "attention_dropout", "token_dropout",
    ),
    Text("LoRA"): ("lora_rank", "lora_alpha", "lora_dropout", "lora_targets"),
    Text("Texts"): ("max_length", "max_target_length", "stride", "labels", "sample_prompts", "sample_tokens"),
    Text("Machine"): ("is_bf16", "is_length_grouped", "is_gradient_checkpointed", "threads", "seed"),
    Text("From scratch"): ("layers", "width", "heads", "vocabulary_size", "tokenizer"),
}  # fmt: skip
CONFIG_FILE, CONFIG_FAULT = "tune_config", "tune_config_fault"
LONG = ("sample_prompts",)
"""Lists with one entry a line; the others are separated by commas."""


def acts(name: str, task_id: str, method: str, has_base: bool) -> bool:
    """Whether a setting does anything in such a run."""
    rules: dict[Any, bool] = {"LoRA": method == "lora", "From scratch": not has_base, "method": has_base}
    rules |= dict.fromkeys(tasks.PARTICULAR, False) | dict.fromkeys(tasks.find(task_id).settings, True)
    group = next((group for group, names in GROUPS.items() if name in names), NOTHING)
    return rules.get(name, True) and rules.get(group, True)


def draw_settings(task: str, of_data: Mapping[str, Any], *, has_base: bool) -> dict[str, Any]:
    """Draw them all, starting from what suits task and data, and return those that act, by name.

    What cannot act in this run is there, but switched off.
    """
    values = start = defaults(task, has_base=has_base) | dict(of_data)
    rest = [name for name in FIELDS if name not in CHOSEN_ABOVE and not any(name in names for names in GROUPS.values())]
    for group, names in (GROUPS | ({Text("More"): tuple(rest)} if rest else {})).items():
        with st.expander(_(group), expanded=group == "How long", key=f"tune-{group}"):
            columns = st.columns(2)
            for number, name in enumerate(names):
                can_act = acts(name, task, values["method"], has_base)
                place = columns[number % 2] if name not in LONG else st
                key = key_of(name, task, values["method"], has_base, of_data)
                value = _widget(place, name, task, start, key, is_off=not can_act)
                if can_act:
                    values = values | {name: value}
                if name == "method" and can_act:
                    start = defaults(task, value) | dict(of_data)
    return values


def key_of(name: str, task: str, method: str, has_base: bool, of_data: Mapping[str, Any] = MappingProxyType({})) -> str:
    """The widget's key: another one wherever another value is the one to start from."""
    parts = ["tune", task, name]
    if name == "learning_rate":
        parts += [method, "" if has_base else "scratch"]
    if name in of_data:
        parts.append(f"{crc32(repr(of_data[name]).encode()):x}")
    return "_".join(filter(None, parts))


def fill_settings(config: TrainingConfig) -> None:
    """Put the settings of an earlier run into the widgets."""
    for name in FIELDS:
        value, is_list = getattr(config, name), SETTINGS[name]["type"] == "array"
        mark = "\n" if name in LONG else ","
        if name in CHOSEN_ABOVE or (is_list and any(mark in entry for entry in value)):
            continue
        key = key_of(name, config.task, config.method, bool(config.base))
        st.session_state[key] = (mark if name in LONG else ", ").join(value) if is_list else value


def offer_settings_file() -> None:
    """Take all settings from the config.json of a run or a recipe; what is wrong with it is said."""
    if not may("upload"):
        return
    st.file_uploader(
        _("Settings from a config.json (optional)"), ["json"], key=CONFIG_FILE, on_change=_take_settings,
        help=_("Of another run, or written by a recipe with --prepare. Base and data stay as chosen here."),
    )  # fmt: skip
    if fault := st.session_state.get(CONFIG_FAULT):
        st.error(plain(_(fault)), icon=":material/error:")


def _take_settings() -> None:
    file = st.session_state[CONFIG_FILE]
    st.session_state[CONFIG_FAULT] = ""
    if file is None:
        return
    try:
        config = parse_config(file.getvalue())
    except InputError as error:
        st.session_state[CONFIG_FAULT] = error.text
        return
    fill_settings(config)
    st.session_state["tune_task"] = config.task


def _widget(place: Any, name: str, task: str, start: Mapping[str, Any], key: str, *, is_off: bool) -> Any:
    value, setting = start.get(name, FIELDS[name].default), SETTINGS[name]
    assert value is not MISSING
    shared: dict[str, Any] = {
        "help": _(setting["description"]), "key": key, "disabled": is_off, "persist_state": "session",
        "on_change": "ignore",
    }  # fmt: skip
    said = _(label(name))
    if choices := setting.get("enum"):
        shared["on_change"] = "rerun" if name == "method" else "ignore"
        return place.selectbox(said, choices, choices.index(value), **shared)
    if setting["type"] == "boolean":
        return place.toggle(said, value, **shared)
    if name in LONG:
        text = place.text_area(_("{setting} (one a line)", setting=said), "\n".join(value), height=100, **shared)
        return tuple(line.strip() for line in text.split("\n") if line.strip())
    if setting["type"] == "array":
        text = place.text_input(_("{setting} (with commas between)", setting=said), ", ".join(value), **shared)
        return tuple(part.strip() for part in text.split(",") if part.strip())
    low, high = bounds(name, task)
    if setting["type"] == "integer":
        return place.number_input(said, int(low), int(high), int(value), 1, **shared)
    step = value / 10 if name == "learning_rate" else 0.5 if name == "epochs" else 0.01
    form = "%.1e" if name == "learning_rate" else "%.5g" if name == "average_decay" else "%g"
    return place.number_input(said, float(low), float(high), float(value), float(step), format=form, **shared)
