"""What can be done here, an example of each, and what this machine has ready."""

from __future__ import annotations

import streamlit as st

from engine.applications import APPLICATIONS
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
for number, application in enumerate(APPLICATIONS.values()):
    if number % 2 == 0:
        columns = st.columns(2, gap="medium")
    with columns[number % 2].container(border=True, height="stretch"):
        st.subheader(f":material/{application.icon}: {_(application.title)}", anchor=False)
        st.write(_(application.summary))
        if words := next(iter(application.example.values()), ""):
            show_example(application, words)
        else:
            st.page_link(page_of(application), label=_("Open"), icon=":material/arrow_forward:")


with st.container(border=True):
    st.subheader(":material/model_training: " + _("Fine-tune"), anchor=False)
    st.write(_("Teach a small model a style, labels of your own or a language, and watch it learn."))
    st.page_link("finetune.py", label=_("Start with built-in data"), icon=":material/arrow_forward:")


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
