"""Choosing a model, and getting it where it is not there yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import streamlit as st

from engine.applications import Application
from engine.catalogue.models import Model
from engine.catalogue.sources import Availability
from engine.messages import Text
from pages.parts.engine import caller, house, may
from pages.parts.errors import errors_shown
from pages.parts.language import _, labelled
from pages.parts.sizes import parameters_in_words, seconds_in_words, size_in_words
from pages.parts.status import part_of
from pages.parts.text import plain

MAX_NAMED = 3
AUTOMATIC = "automatic"
"""The choice that leaves the model to the application."""


def pick_model(
    application: Application[Any, Any],
    default: str = "",
    *,
    place: Any = None,
    below: Any = None,
) -> Model | None:
    """A picker over the application's models and any Hub id; None (and what to do) while the choice is not there.

    `default` is another model than the application's own. The picker is drawn at `place`, and at `below`, which should
    be near the button, what to do about a model that is not there.
    """
    return pick_way(application, default or application.default_model, None, place=place, below=below)[1]


def pick_way(
    application: Application[Any, Any],
    default: str,
    automatic: Text | None,
    *,
    place: Any = None,
    below: Any = None,
    width: int | Literal["stretch"] = "stretch",
) -> tuple[bool, Model | None]:
    """As `pick_model`, with a first choice, of that name, which leaves the model to the application: says whether it
    was taken, and the model of another."""
    models = application.models(house().catalogue)
    here = {model.id for model in house().catalogue.ready(one for one in models if not one.source.is_listed)}
    listed = [one.id for one in models if one.id != default and (one.source.is_listed or one.id in here)]
    ids = [default, *listed]
    labels = {AUTOMATIC: automatic} if automatic else {}
    title = labelled(labels, application.picker)
    chosen = (place or st).selectbox(
        _("Model"), [*labels, *ids], format_func=lambda id: title(id) if id in labels else title_of(id),
        key=application.picker, bind="query-params", accept_new_options=True, width=width,
        help=_("Choose from the list, or type the id of any model on the Hugging Face Hub, such as owner/name."),
    )  # fmt: skip
    if chosen in labels:
        return True, None
    about = st.container()
    with below or about, errors_shown():
        model = house().catalogue.find(as_model_id(chosen or default))
        if house().store.availability(model.id).state == "ready":
            about.caption(facts(model))
            return False, model
        offer(model)
        _offer_others(application, ids)
    return False, None


def _offer_others(application: Application[Any, Any], ids: Sequence[str]) -> None:
    """What works here meanwhile, one click away."""
    ready = [id for id in ids if house().store.availability(id).state == "ready"]
    if ready:
        names = plain(", ".join(map(title_of, ready[:MAX_NAMED])))
        st.markdown(_("On this machine already, and ready: {models}.", models=names))
        st.button(
            _("Use {model}", model=plain(title_of(ready[0]))), key="use-ready", icon=":material/undo:",
            on_click=_choose, args=(application.picker, ready[0]),
        )  # fmt: skip


def _choose(key: str, model_id: str) -> None:
    st.session_state[key] = model_id


def as_model_id(typed: str) -> str:
    """What a person chose or typed as a model id: owner/name is a Hub model."""
    typed = typed.strip()
    is_known = typed in house().catalogue.models or typed.startswith("hub:")
    return typed if is_known or "/" not in typed else f"hub:{typed}"


def title_of(model_id: str) -> str:
    """The name in lists and links; the same on every machine, so that links carry over."""
    model = house().catalogue.models.get(model_id)
    return model.title if model else model_id


def facts(model: Model) -> str:
    """Size, licence and purpose as Markdown."""
    licence = plain(_(model.licence))
    parts = [
        _("{number} parameters", number=parameters_in_words(model.parameters)) if model.parameters else "",
        f"[{licence}]({model.licence_url})" if model.licence_url else licence,
        plain(_(model.note)),
    ]
    return " · ".join(part for part in parts if part)


def offer(model: Model) -> None:
    """What a model that is not there costs, a button that fetches it, and the progress while it comes.

    Of a head its base is fetched.
    """
    model = house().catalogue.find(model.source.carrier or model.id)
    with st.container(border=True):
        named = {"model": f"**{plain(model.title)}**", "size": size_in_words(model.size_bytes)}
        if model.size_bytes:
            st.markdown(_("{model} is not on this machine yet, a download of {size}.", **named))
        else:
            st.markdown(_("{model} is not on this machine yet.", **named))
        st.caption(facts(model))
        fetch_button(model)


def fetch_button(model: Model, kind: Literal["primary", "secondary"] = "primary") -> None:
    """The button, or the progress, or what went wrong, or why there is nothing to press."""
    now = house().store.availability(model.id)
    if now.state == "fetching":
        _progress(model.id)
        return
    if now.state == "failed":
        st.warning(plain(_(now.message)), icon=":material/cloud_off:")
    if not model.source.is_fetched:
        st.caption(plain(_(now.message)))
    elif not may("fetch embedded" if model.is_embedded else "fetch"):
        words = _("Downloads are off on this public site. Choose an embedded model.")
        st.caption(f":material/lock: {words}")
    elif st.button(_("Try again") if now.state == "failed" else _("Download"), key=f"fetch-{model.id}", type=kind):
        with errors_shown():
            house().fetch(model.id, caller())
            st.rerun()


@st.fragment(run_every=1)
def _progress(model_id: str) -> None:
    now = house().store.availability(model_id)
    if now.state != "fetching":
        st.rerun()
    show_progress(now)


def show_progress(now: Availability, title: str = "") -> None:
    """A bar with bytes, speed and time left."""
    share = min(1.0, now.done_bytes / now.total_bytes) if now.total_bytes else 0.0
    words = part_of(now.done_bytes, now.total_bytes) if now.total_bytes else _("Starting")
    if now.bytes_per_second:
        words += f" · {size_in_words(now.bytes_per_second)}/s"
    if now.seconds_left is not None:
        words += " · " + _("{time} left", time=seconds_in_words(now.seconds_left))
    st.progress(share, text=f"{plain(title)} · {words}" if title else words)
