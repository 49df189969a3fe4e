"""Which models there are, what is on this machine, what is in memory."""

from __future__ import annotations

import streamlit as st

from engine.applications import APPLICATIONS
from engine.catalogue.models import Model
from pages.parts.engine import caller, get_engine, house, may
from pages.parts.errors import errors_shown
from pages.parts.picker import as_model_id, facts, fetch_button, title_of
from pages.parts.share import header
from pages.parts.sizes import size_in_words
from pages.parts.status import what_it_does
from pages.parts.text import plain

engine = get_engine()
STATES = {"ready": "on this machine", "fetching": "coming", "failed": "failed", "absent": "to download"}

header("Models", "Every model the pages can use: where it is, what it takes, under which licence.")
if not may("delete"):
    st.info("This is a public site: downloads and deletions are off.", icon=":material/lock:")


@st.fragment(run_every=2)
def in_memory() -> None:
    """What is loaded and how it does, redrawn on its own."""
    status = engine.status()
    device, memory, cache = st.columns(3)
    device.metric("Device", status.device.upper(), border=True)
    words = f"{size_in_words(status.used_bytes)} of {size_in_words(status.budget_bytes)}"
    memory.metric("Memory for models", words, border=True, help="Idle models make room for others.")
    cache.metric("Cache folder", size_in_words(house().store.size_bytes()), border=True, help="Weights kept on disk.")
    if not status.models:
        st.caption("Nothing is in memory. The first request loads its model.")
    for model in status.models:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{plain(model.title)}**  \n{what_it_does(model)}", width="stretch")
            if may("unload") and st.button("Unload", key=f"unload-{model.id}", icon=":material/eject:"):
                with errors_shown():
                    engine.unload(model.id, caller())
                    st.rerun(scope="fragment")


@st.dialog("Delete a model")
def confirm_deletion(model: Model) -> None:
    """Ask once more; the files are gone afterwards."""
    size = size_in_words(model.size_bytes)
    st.write(f"Delete {plain(model.title)} ({size}) from this machine? It can be downloaded again.")
    if st.button("Delete", type="primary", icon=":material/delete:"):
        with errors_shown():
            house().delete(model.id, caller())
            st.rerun()


in_memory()
st.subheader("Download or delete", anchor=False)
chosen = st.selectbox(
    "Model", list(engine.catalogue.models), format_func=title_of, key="managed", bind="query-params",
    accept_new_options=True, help="Or type the id of a model on the Hugging Face Hub, such as owner/name.",
)  # fmt: skip
with errors_shown():
    model = engine.catalogue.find(as_model_id(chosen or ""))
    state = house().store.availability(model.id).state
    size = f" · {size_in_words(model.size_bytes)}" if model.size_bytes else ""
    st.markdown(f"**{plain(model.title)}** · {STATES[state]}{size}")
    st.caption(facts(model))
    if state != "ready":
        fetch_button(model)
    elif model.source.kind == "local":
        is_run = model.id.startswith("run-")
        whose = "Trained here; delete its run on the page Fine-tune." if is_run else "Part of this repository."
        st.caption(f"{whose} It cannot be deleted here.")
    elif may("delete") and st.button("Delete", icon=":material/delete:"):
        confirm_deletion(model)

st.subheader("Catalogue", anchor=False)
used_for = st.pills(
    "For", list(APPLICATIONS), format_func=lambda id: str(APPLICATIONS[id].title), key="used_for", bind="query-params"
)
shown = APPLICATIONS[used_for].models(engine.catalogue) if used_for else list(engine.catalogue.models.values())
st.dataframe(
    [
        {
            "Model": model.title,
            "State": STATES[house().store.availability(model.id).state],
            "Size": size_in_words(model.size_bytes) if model.size_bytes else "",
            "Memory": size_in_words(model.memory_bytes),
            "Licence": model.licence,
            "Languages": ", ".join(model.languages),
            "For": ", ".join(str(each.title) for each in APPLICATIONS.values() if each.offers(model)),
            "Id": model.id,
        }
        for model in shown
    ],
    hide_index=True,
    height="content" if len(shown) < 14 else 460,
    alt="The catalogue of models, one row each.",
)
