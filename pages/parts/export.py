"""A trained model as a file to keep: a zip of each kind, or a repository on the Hub."""

from __future__ import annotations

import streamlit as st

from engine.jobs import work
from engine.messages import Text
from engine.training import publish, tasks
from engine.training import runs as jobs
from engine.training.config import TrainingConfig
from engine.training.export import Kind
from engine.training.runs import RunView
from pages.parts.engine import caller, house, may
from pages.parts.errors import errors_shown
from pages.parts.jobs import show_failure, show_job
from pages.parts.language import _, labelled
from pages.parts.sizes import size_in_words
from pages.parts.text import plain

EXPORT_NAMES: dict[Kind, Text] = {
    "safetensors": Text("Merged weights (safetensors)"),
    "adapter": Text("LoRA adapter (peft)"),
    "gguf": Text("GGUF, for llama.cpp"),
    "gguf-adapter": Text("LoRA adapter as GGUF"),
    "onnx": Text("ONNX"),
}


def kinds_for(config: TrainingConfig) -> list[Kind]:
    """Kinds that make sense for a run."""
    rules: dict[Kind, bool] = {
        "adapter": config.method == "lora",
        "gguf": tasks.find(config.task).is_language_model,
        "gguf-adapter": config.method == "lora" and tasks.find(config.task).is_language_model,
    }
    return [kind for kind in EXPORT_NAMES if rules.get(kind, True)]


def show_export(run: RunView, config: TrainingConfig) -> None:
    """Make a zip with its model card, and offer it for download; below, the way to the Hub."""
    kind: Kind = st.selectbox(
        _("Kind"), kinds_for(config), format_func=labelled(EXPORT_NAMES, "export_kind"), key="export_kind"
    )
    job = work.latest(house().settings, "export", f"{run.id}/{kind}")
    if job and job.is_alive:
        show_job(job, _("Writing the files"))
    else:
        show_failure(job)
        _file(run, kind)
    st.divider()
    _push(run, kind)


def _file(run: RunView, kind: Kind) -> None:
    settings = house().settings
    target = jobs.run_folder(settings, run.id) / "exports" / kind
    made = max(target.glob("*.zip"), key=lambda path: path.stat().st_mtime, default=None)
    with st.container(horizontal=True, vertical_alignment="center"):
        words = _("Make it again") if made else _("Make the zip")
        if st.button(words, icon=":material/archive:", key="export", disabled=not may("export")):
            config = {"run": run.id, "kind": kind}
            work.begin(settings, "export", config, title=run.title, subject=f"{run.id}/{kind}", caller=caller())
            st.rerun()
        if made:
            size = size_in_words(made.stat().st_size)
            st.download_button(
                _("Download ({size})", size=size), lambda: made.open("rb"), made.name,
                "application/zip", icon=":material/download:", type="primary", key="zip", on_click="ignore",
            )  # fmt: skip
    st.caption(_("With a model card that tells base, data, settings, figures and how it was made."))


def _push(run: RunView, kind: Kind) -> None:
    """To a repository of one's own; the token goes with this one click and is kept nowhere."""
    st.markdown(f"**{_('Push to the Hugging Face Hub')}**")
    name = st.text_input(_("Repository"), placeholder=_("your-name/model-name"), key="push_name", on_change="ignore")
    is_private = st.toggle(_("Private"), True, key="push_private", on_change="ignore")
    with st.form("push", border=False, clear_on_submit=True):
        token = st.text_input(
            _("Token"), type="password", key="push_token", autocomplete="off",
            help=_("An access token that may write. It is used for this push and kept nowhere."),
        )  # fmt: skip
        is_asked = st.form_submit_button(_("Push"), icon=":material/cloud_upload:", disabled=not may("publish"))
    if is_asked:
        with errors_shown():
            publish.push(house().settings, run.id, name, token, is_private, kind, caller())
    job = work.latest(house().settings, "publish", run.id)
    if job and job.is_alive:
        show_job(job, _("Pushing"))
    elif job:
        show_failure(job)
        if job.state == "finished":
            words = _("It is at {address}", address=job.result["address"])
            st.success(plain(words), icon=":material/check_circle:")
