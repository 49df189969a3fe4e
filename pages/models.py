"""Which models there are, what is on this machine, what is in memory."""

from __future__ import annotations

import streamlit as st

from engine import __version__
from engine.applications import APPLICATIONS
from engine.messages import Text
from pages.parts.engine import house, may
from pages.parts.errors import errors_shown
from pages.parts.language import _, labelled
from pages.parts.picker import as_model_id, facts, fetch_button, title_of
from pages.parts.share import header
from pages.parts.sizes import size_in_words
from pages.parts.stock import confirm_deletion, in_memory, show_card, size_in_memory, size_on_disk
from pages.parts.text import plain

engine = house().engine
STATES = {
    "ready": Text("on this machine"),
    "fetching": Text("coming"),
    "failed": Text("failed"),
    "absent": Text("to download"),
}

header(_("Models"), _("Every model the pages can use: where it is, what it takes, under which licence."))
if not may("delete"):
    st.info(_("This is a public site: downloads and deletions are off."), icon=":material/lock:")

in_memory()
st.subheader(_("Download or delete"), anchor=False)
chosen = st.selectbox(
    _("Model"), list(engine.catalogue.models), format_func=title_of, key="managed", bind="query-params",
    accept_new_options=True, help=_("Or type the id of a model on the Hugging Face Hub, such as owner/name."),
)  # fmt: skip
with errors_shown():
    model = engine.catalogue.find(as_model_id(chosen or ""))
    state = house().store.availability(model.id).state
    size = size_on_disk(model) or (
        _("a download of {size}", size=size_in_words(model.size_bytes)) if model.size_bytes else ""
    )
    st.markdown(" · ".join(filter(None, [f"**{plain(model.title)}**", _(STATES[state]), size])))
    st.caption(facts(model))
    if state != "ready":
        fetch_button(model)
    elif not model.source.is_fetched:
        st.caption(_(model.source.keeper()))
    elif may("delete") and st.button(_("Delete"), icon=":material/delete:"):
        confirm_deletion(model)
    show_card(model)

st.subheader(_("Catalogue"), anchor=False)
used_for = st.pills(
    _("For"),
    list(APPLICATIONS),
    key="used_for",
    bind="query-params",
    format_func=labelled({id: application.title for id, application in APPLICATIONS.items()}, "used_for"),
)
shown = APPLICATIONS[used_for].models(engine.catalogue) if used_for else list(engine.catalogue.models.values())
st.dataframe(
    [
        {
            _("Model"): model.title,
            _("State"): _(STATES[house().store.availability(model.id).state]),
            _("On disk"): size_on_disk(model),
            _("In memory"): size_in_memory(model),
            _("Licence"): _(model.licence),
            _("Languages"): ", ".join(model.languages),
            _("For"): ", ".join(_(each.title) for each in APPLICATIONS.values() if each.offers(model)),
            _("Id"): model.id,
        }
        for model in shown
    ],
    hide_index=True,
    column_config={
        _("In memory"): st.column_config.TextColumn(
            help=_(
                "Measured when it was last loaded: of llama.cpp its process, of others what they took from the "
                "memory of this one."
            )
        )
    },
    height="content" if len(shown) < 14 else 460,
    alt=_("The catalogue of models, one row each."),
)
st.caption(f"Parlance {__version__}")
