"""What can be done here, an example of each, and what this machine has ready."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st

from engine.applications import APPLICATIONS, Application
from pages.parts.applications import page_of, show_example
from pages.parts.engine import house
from pages.parts.language import _
from pages.parts.picker import show_progress
from pages.parts.share import header
from pages.parts.sizes import size_in_words
from pages.parts.text import plain

header(
    _("What language models are for"),
    _("Take an example or your own text, and watch a real model work on this machine."),
)


def show_application(application: Application[Any, Any]) -> None:
    """What it is for, and an example with what came of it."""
    st.subheader(f":material/{application.icon}: {_(application.title)}", anchor=False)
    st.write(_(application.summary))
    if words := next(iter(application.example.values()), ""):
        show_example(application, words)
    else:
        st.page_link(page_of(application), label=_("Open"), icon=":material/arrow_forward:")


def show_explore() -> None:
    st.subheader(":material/visibility: " + _("Explore"), anchor=False)
    st.write(_("See inside the models: how text becomes numbers, and numbers become the next word."))
    st.page_link("explore.py", label=_("Begin the lesson"), icon=":material/arrow_forward:")


def show_tuning() -> None:
    st.subheader(":material/model_training: " + _("Fine-tune"), anchor=False)
    st.write(_("Teach a small model a style, labels of your own or a language, and watch it learn."))
    st.page_link("finetune.py", label=_("Start with built-in data"), icon=":material/arrow_forward:")


cards = [partial(show_application, one) for one in APPLICATIONS.values()] + [show_explore, show_tuning]
for first in range(0, len(cards), 2):
    row = cards[first : first + 2]  # a last one alone has the whole width
    for column, show in zip(st.columns(len(row)), row, strict=True):
        with column.container(border=True, height="stretch"):
            show()


@st.fragment(run_every=2)
def machine() -> None:
    """Device, memory, and how far the embedded models are; on its own, so that the page waits for no download."""
    engine = house().engine
    status = engine.status()
    embedded = [model for model in engine.catalogue.models.values() if model.is_embedded]
    states = {model.id: house().store.availability(model.id) for model in embedded}
    ready = [model for model in embedded if states[model.id].state == "ready"]
    device, memory, models = st.columns(3)
    device.metric(_("Device"), status.device.upper(), border=True)
    memory.metric(_("Memory set aside"), size_in_words(status.used_bytes), border=True)
    words = _("{part} of {whole}", part=len(ready), whole=len(embedded))
    models.metric(_("Embedded models ready"), words, border=True)
    if loaded := dict.fromkeys(model.title for model in status.models if model.state == "ready"):
        st.caption(_("In memory: {models}.", models=plain(", ".join(loaded))))
    for model in embedded:
        now = states[model.id]
        if now.state == "fetching":
            show_progress(now, model.title)
        elif now.state != "ready":
            st.caption(f":material/cloud_off: {plain(_(now.message))}")


st.subheader(_("This machine"), anchor=False)
machine()
