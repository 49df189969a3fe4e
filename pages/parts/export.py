"""A trained model as a file to keep: a zip of each kind, or a repository on the Hub."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from engine.jobs import queue as jobs
from engine.jobs.queue import RunView
from engine.training import publish, tasks
from engine.training.config import TrainingConfig
from engine.training.export import Kind
from pages.parts.children import child_of, show_child, start_child
from pages.parts.engine import get_engine
from pages.parts.errors import errors_shown
from pages.parts.sizes import size_in_words
from pages.parts.text import plain

KINDS: dict[Kind, str] = {
    "safetensors": "Merged weights (safetensors)",
    "adapter": "LoRA adapter (peft)",
    "gguf": "GGUF, for llama.cpp",
    "gguf-adapter": "LoRA adapter as GGUF",
    "onnx": "ONNX",
}


def kinds_for(config: TrainingConfig) -> list[Kind]:
    """Kinds that make sense for a run."""
    rules: dict[Kind, bool] = {
        "adapter": config.method == "lora",
        "gguf": tasks.find(config.task).is_language_model,
        "gguf-adapter": config.method == "lora" and tasks.find(config.task).is_language_model,
    }
    return [kind for kind in KINDS if rules.get(kind, True)]


def show_export(run: RunView, config: TrainingConfig) -> None:
    """Make a zip with its model card, and offer it for download; below, the way to the Hub."""
    kind: Kind = st.selectbox("Kind", kinds_for(config), format_func=KINDS.__getitem__, key="export_kind")
    key = f"export-{run.id}-{kind}"
    target = jobs.run_folder(get_engine().settings, run.id) / "exports" / kind
    child = child_of(key)
    if child and child.is_alive:
        show_child(key, "Writing the files")
    else:
        if child:
            with errors_shown():
                child.check()
        _file(kind, key, target)
    st.divider()
    _push(run, kind)


def _file(kind: Kind, key: str, target: Path) -> None:
    made = max(target.glob("*.zip"), key=lambda path: path.stat().st_mtime, default=None)
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Make it again" if made else "Make the zip", icon=":material/archive:", key="export"):
            target.mkdir(parents=True, exist_ok=True)
            start_child(key, "engine.training.export", [str(target.parents[1]), kind, str(target)])
            st.rerun()
        if made:
            st.download_button(
                f"Download ({size_in_words(made.stat().st_size)})", lambda: made.open("rb"), made.name,
                "application/zip", icon=":material/download:", type="primary", key="zip", on_click="ignore",
            )  # fmt: skip
    st.caption("With a model card that tells base, data, settings, figures and how it was made.")


def _push(run: RunView, kind: Kind) -> None:
    """To a repository of one's own; the token goes with this one click and is kept nowhere."""
    st.markdown("**Push to the Hugging Face Hub**")
    name = st.text_input("Repository", placeholder="your-name/model-name", key="push_name", on_change="ignore")
    is_private = st.toggle("Private", True, key="push_private", on_change="ignore")
    with st.form("push", border=False, clear_on_submit=True):
        token = st.text_input(
            "Token", type="password", key="push_token", autocomplete="off",
            help="An access token that may write. It is used for this push and kept nowhere.",
        )  # fmt: skip
        is_asked = st.form_submit_button("Push", icon=":material/cloud_upload:")
    if is_asked:
        with errors_shown(), st.spinner("Pushing…"):
            address = publish.push(get_engine().settings, run.id, name, token, is_private, kind)
            st.success(f"It is at {plain(address)}", icon=":material/check_circle:")
