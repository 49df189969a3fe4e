"""Which models there are, what is on this machine, what is in memory."""

from __future__ import annotations

import re

import streamlit as st

from engine import __version__
from engine.applications import APPLICATIONS
from engine.catalogue.cards import card_of
from engine.catalogue.models import Model
from engine.messages import Text
from engine.serving import footprints
from pages.parts.engine import caller, house, may
from pages.parts.errors import errors_shown
from pages.parts.language import _, labelled
from pages.parts.picker import as_model_id, facts, fetch_button, title_of
from pages.parts.share import header
from pages.parts.sizes import size_in_words
from pages.parts.status import part_of, what_it_does
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


@st.fragment(run_every=2)
def in_memory() -> None:
    """What is loaded and how it does, redrawn on its own."""
    status = engine.status()
    footprints.note(house(), status)
    device, memory, cache = st.columns(3)
    device.metric(_("Device"), status.device.upper(), border=True)
    words = part_of(status.used_bytes, status.budget_bytes)
    memory.metric(
        _("Memory for models"), words, border=True, help=_("What is set aside for models. Idle ones make room.")
    )
    words = size_in_words(house().store.size_bytes())
    cache.metric(_("Cache folder"), words, border=True, help=_("Weights kept on disk."))
    if not status.models:
        st.caption(_("Nothing is in memory. The first request loads its model."))
    for model in status.models:
        with st.container(border=True):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"**{plain(model.title)}**", width="stretch")
                key = f"unload-{model.id}-{model.runtime}"
                if may("unload") and st.button(_("Unload"), key=key, icon=":material/eject:"):
                    with errors_shown():
                        engine.unload(model.id, caller())
                        st.rerun(scope="fragment")
            st.caption(what_it_does(model))


@st.dialog(_("Delete a model"))
def confirm_deletion(model: Model) -> None:
    """Ask once more; the files are gone afterwards."""
    facts = {"model": plain(model.title), "size": size_in_words(house().store.disk_bytes(model.id))}
    st.write(_("Delete {model} ({size}) from this machine? It can be downloaded again.", **facts))
    if st.button(_("Delete"), type="primary", icon=":material/delete:"):
        with errors_shown():
            house().delete(model.id, caller())
            st.rerun()


def size_on_disk(model: Model) -> str:
    """What its files take; "" while there are none."""
    is_here = house().store.availability(model.id).state == "ready"
    return size_in_words(house().store.disk_bytes(model.id)) if is_here else ""


def size_in_memory(model: Model) -> str:
    """What it took when it was last in memory; "" while it was not."""
    measured = footprints.measured(house(), model.id)
    return size_in_words(measured) if measured else ""


def show_card(model: Model) -> None:
    """Data, licence, figures, limits and credits, once somebody wants to read them."""
    with st.expander(_("Its card"), icon=":material/article:", key="card", on_change="rerun") as opened:
        if opened.open:
            card = card_of(model)
            st.markdown(
                re.sub(r"^#+ ", "#### ", card, flags=re.MULTILINE)
                if card
                else _("Its makers keep its card: {page}", page=model.licence_url)
            )


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
