"""Which models there are, what is on this machine, what is in memory."""

from __future__ import annotations

import streamlit as st

from engine.catalogue import Model
from pages.parts.engine import get_engine
from pages.parts.errors import errors_shown
from pages.parts.picker import fetch_button
from pages.parts.share import header
from pages.parts.sizes import size_in_words

engine = get_engine()
header("Models", "Every model the pages can use: where it is, what it costs, under which licence.")
if engine.settings.is_public:
    st.info("This is a public site: downloads and deletions are off.", icon=":material/lock:")


@st.fragment(run_every="2s")
def in_memory() -> None:
    """What is loaded and how it does, redrawn on its own."""
    status = engine.status()
    used, cache = st.columns(2)
    used.metric("Memory for models", size_in_words(status.used_bytes), border=True)
    used.caption(f"of {size_in_words(status.budget_bytes)}; idle models make room for others")
    cache.metric("Cache folder", size_in_words(engine.store.size_bytes()), border=True)
    cache.caption("weights kept on disk")
    if not status.models:
        st.caption("Nothing is loaded. The first request loads its model.")
    for model in status.models:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            speed = f" · {model.tokens_per_second:.0f} tokens a second" if model.tokens_per_second else ""
            first = f" · first token {model.first_token_seconds:.2f} s" if model.first_token_seconds else ""
            st.markdown(
                f"**{model.title}** · {model.state} · {model.device} {model.dtype}"
                f" · {size_in_words(model.memory_bytes)}"
                f" · {model.running} at work, {model.queued} waiting{speed}{first}",
                width="stretch",
            )
            with errors_shown():
                if st.button("Unload", key=f"unload-{model.id}"):
                    engine.unload(model.id)
                    st.rerun(scope="fragment")


@st.dialog("Delete a model")
def confirm_deletion(model: Model) -> None:
    """Ask once more; the files are gone afterwards."""
    st.write(f"Delete {model.title} ({size_in_words(model.size_bytes)}) from this machine? It can be downloaded again.")
    with errors_shown():
        if st.button("Delete", type="primary"):
            engine.delete(model.id)
            st.rerun()


st.subheader("In memory", anchor=False)
in_memory()
st.subheader("Catalogue", anchor=False)
states = {id: engine.store.availability(id) for id in engine.catalogue.models}
st.dataframe(
    [
        {
            "Model": model.title,
            "State": {"ready": "ready", "fetching": "coming", "failed": "failed"}.get(states[model.id].state, ""),
            "For": ", ".join(model.applications),
            "Languages": ", ".join(model.languages),
            "Size": size_in_words(model.size_bytes) if model.size_bytes else "",
            "Memory": size_in_words(model.memory_bytes),
            "Licence": model.licence,
            "Id": model.id,
        }
        for model in engine.catalogue.models.values()
    ],
    hide_index=True,
    height=420,
)
st.subheader("Download or delete", anchor=False)
chosen = st.selectbox(
    "Model",
    list(engine.catalogue.models),
    format_func=lambda id: engine.catalogue.models[id].title if id in engine.catalogue.models else id,
    key="managed",
    bind="query-params",
    accept_new_options=True,
    help="Or type the id of a model on the Hugging Face Hub, such as owner/name.",
)
with errors_shown():
    typed = chosen or ""
    model = engine.catalogue.find(typed if typed in engine.catalogue.models or ":" in typed else f"hub:{typed}")
    terms = f"[{model.licence}]({model.licence_url})" if model.licence_url else model.licence
    st.caption(f"{size_in_words(model.size_bytes)} · {terms} · {model.note}")
    if engine.store.availability(model.id).state != "ready":
        fetch_button(model)
    elif model.source.kind != "local" and st.button("Delete", icon=":material/delete:"):
        confirm_deletion(model)
