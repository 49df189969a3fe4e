"""Models in memory and on disk: how they do, what they take, their cards, and their deletion."""

from __future__ import annotations

import re

import streamlit as st

from engine.catalogue.cards import card_of
from engine.catalogue.models import Model
from engine.serving import footprints
from pages.parts.engine import caller, house, may
from pages.parts.errors import errors_shown
from pages.parts.language import _
from pages.parts.sizes import size_in_words
from pages.parts.status import part_of, what_it_does
from pages.parts.text import plain


@st.fragment(run_every=2)
def in_memory() -> None:
    """What is loaded and how it does, redrawn on its own."""
    status = house().engine.status()
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
                        house().engine.unload(model.id, caller())
                        st.rerun(scope="fragment")
            st.caption(what_it_does(model))


def confirm_deletion(model: Model) -> None:
    """Ask once more; the files are gone afterwards."""
    st.dialog(_("Delete a model"))(_confirm)(model)


def _confirm(model: Model) -> None:
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
