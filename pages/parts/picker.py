"""Choosing a model, and getting it where it is not there yet."""

from __future__ import annotations

import streamlit as st

from engine.catalogue import Model
from engine.errors import PeopleError
from engine.store import Availability
from pages.parts.engine import get_engine
from pages.parts.errors import errors_shown
from pages.parts.sizes import parameters_in_words, seconds_in_words, size_in_words


def pick_model(application: str, default: str, key: str, *, label: str = "Model") -> Model | None:
    """A picker over the application's models and any Hub id; None (and what to do) while the choice is not there."""
    engine = get_engine()
    models = engine.catalogue.for_application(application)
    ids = [default, *(model.id for model in models if model.id != default)]
    chosen = st.selectbox(
        label,
        ids,
        format_func=_label,
        key=key,
        bind="query-params",
        accept_new_options=True,
        help="Choose from the list, or type the id of any model on the Hugging Face Hub, such as owner/name.",
    )
    with errors_shown():
        model = engine.catalogue.find(_typed(chosen or default))
        if engine.store.availability(model.id).state == "ready":
            _facts(model)
            return model
        offer(model)
    return None


def _typed(text: str) -> str:
    """What a person typed into the picker as a model id: owner/name is a Hub model."""
    known = get_engine().catalogue.models
    return text if text in known or text.startswith("hub:") or "/" not in text else f"hub:{text.strip()}"


def _label(model_id: str) -> str:
    model = get_engine().catalogue.models.get(model_id)
    if model is None:
        return model_id
    where = (
        "" if get_engine().store.availability(model_id).state == "ready" else f" · {size_in_words(model.size_bytes)}"
    )
    return f"{model.title}{where}"


def _facts(model: Model) -> None:
    licence = f"[{model.licence}]({model.licence_url})" if model.licence_url else model.licence
    st.caption(f"{parameters_in_words(model.parameters)} parameters · {licence} · {model.note}")


def offer(model: Model) -> None:
    """What a model that is not there costs, a button that fetches it, and the progress while it comes."""
    with st.container(border=True):
        st.markdown(f"**{model.title}** is not on this machine yet.")
        facts = [size_in_words(model.size_bytes)] if model.size_bytes else []
        licence = f"[{model.licence}]({model.licence_url})" if model.licence_url else model.licence
        st.caption(" · ".join([*facts, f"licence: {licence or 'see its page'}", model.note]))
        fetch_button(model)


def fetch_button(model: Model) -> None:
    """The button, or the progress, or what went wrong."""
    now = get_engine().store.availability(model.id)
    if now.state == "fetching":
        _progress(model.id)
        return
    if now.state == "failed":
        st.warning(now.message, icon=":material/cloud_off:")
    if model.source.kind == "local":
        return
    if st.button("Try again" if now.state == "failed" else "Download", key=f"fetch-{model.id}", type="primary"):
        try:
            get_engine().store.fetch(model.id)
        except PeopleError as error:
            st.warning(str(error))
        else:
            st.rerun()


@st.fragment(run_every="1s")
def _progress(model_id: str) -> None:
    now = get_engine().store.availability(model_id)
    if now.state != "fetching":
        st.rerun()
    show_progress(now)


def show_progress(now: Availability) -> None:
    """A bar with bytes, speed and time left."""
    share = min(1.0, now.done_bytes / now.total_bytes) if now.total_bytes else 0.0
    words = f"{size_in_words(now.done_bytes)} of {size_in_words(now.total_bytes)}" if now.total_bytes else "Starting"
    if now.bytes_per_second:
        words += f" · {size_in_words(now.bytes_per_second)}/s"
    if now.seconds_left is not None:
        words += f" · {seconds_in_words(now.seconds_left)} left"
    st.progress(share, text=words)
