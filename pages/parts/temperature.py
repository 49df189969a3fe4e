"""Why temperature matters, live: what could come next in a draft, by the settings with which it would be written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st

from engine.applications import write
from engine.explain import VIEWS
from engine.requests import Generate, Sampling
from pages.parts.engine import house
from pages.parts.language import _
from pages.parts.looking import is_here
from pages.parts.picker import title_of
from pages.parts.text import plain
from pages.parts.views import show_choice
from pages.parts.visits import Exchange

MOST_PLACES = 400
"""Words of a draft, the latest, at which it can be looked."""


def offer_temperature(draft: Exchange, settings: dict[str, Any]) -> None:
    """Below a draft: the choice of its next word, or of one in it, with the controls that make it."""
    model = house().catalogue.models.get(draft.result.model if draft.result else "")
    if model is not None and not VIEWS["next"].offers(model):
        model = house().catalogue.models.get(model.source.carrier)  # of an adapter alone its base's numbers are told
    if model is None or not VIEWS["next"].offers(model):
        return
    words = _("Why temperature matters")
    opened = st.expander(words, icon=":material/thermostat:", key="why-temperature", on_change="rerun")
    if opened.open and is_here(VIEWS["next"], model.id):
        with opened:
            _show(draft, settings, model.id)


@st.fragment
def _show(draft: Exchange, settings: dict[str, Any], model_id: str) -> None:
    """In a fragment of its own, so that a moved slider draws this and nothing else."""
    st.caption(
        _(
            "The model gives every token a number, its logit. Divided by the temperature and put through the softmax "
            "they are probabilities; top-k, top-p and min-p then drop the unlikely ones, and one of the rest is drawn."
        )
    )
    if model_id != draft.result.model:
        words = _("The numbers are those of {base}; the adapter that wrote this changes them.", base=title_of(model_id))
        st.caption(plain(words))
    places = _places(draft.text)
    place = st.selectbox(
        _("Where in the draft"), list(places), format_func=places.__getitem__, key="temperature-place",
        help=_("The draft up to there is what the model goes on from."),
    )  # fmt: skip
    start = Sampling(
        temperature=float(settings["temperature"]), top_p=float(settings["top_p"]), top_k=int(settings["top_k"]),
        min_p=float(settings["min_p"]),
    )  # fmt: skip
    show_choice(_asked(draft, draft.text[:place]), model_id, "temperature", start)


def _places(text: str) -> dict[int, str]:
    """Where a word of the draft begins, the end first, with the words before."""
    starts = [at for at in range(1, len(text)) if text[at - 1].isspace() and not text[at].isspace()][-MOST_PLACES:]
    before = {at: " ".join(text[max(0, at - 40) : at].split()) for at in [len(text), *reversed(starts)]}
    return {at: f"… {words} ▁" if at > 40 else f"{words} ▁" for at, words in before.items()}


def _asked(draft: Exchange, before: str) -> Generate:
    """What the model had been given and had written of it when it chose there."""
    model = house().catalogue.find(draft.result.model)
    request = replace(draft.request, continuation=(draft.request.continuation + before).rstrip())
    most = house().settings.max_text_characters + len(request.continuation)
    return write.ask(model, request, most)
