"""By which models a pair of languages is translated here, and what a download would make better."""

from __future__ import annotations

import streamlit as st

from engine.applications.languages import NAMED
from engine.applications.routes import Route, best_route, better_route, missing, unmeasured_pair
from engine.applications.translate import APPLICATION
from engine.catalogue.models import Model
from pages.parts.engine import house
from pages.parts.language import _
from pages.parts.picker import fetch_button, offer
from pages.parts.sizes import size_in_words
from pages.parts.text import plain


def show_route(source: str, target: str) -> Route | None:
    """Say in a line what translates the pair, offer what is clearly better, and return what is here."""
    if source not in NAMED or source == target:  # nothing to tell it by yet, or nothing to translate
        return None
    catalogue, models = house().catalogue, APPLICATION.models(house().catalogue)
    at_hand = catalogue.ready(models)
    here, better = best_route(at_hand, source, target), better_route(at_hand, models, source, target)
    coming = [model for model in models if model.is_embedded and model not in at_hand]
    if here:
        st.caption(_way(here))
    elif able := [model for model in coming if model.pair in (None, (source, target))]:
        offer(able[0])
    elif not better:
        words = _("No model here translates {source} to {target}.", source=NAMED[source], target=NAMED[target])
        st.caption(words)
        unmeasured = best_route(models, source, target)
        for leg in missing(catalogue, unmeasured) if unmeasured else ():
            offer(leg)
    if better:
        _offer(better, is_better=here is not None)
    elif here and (other := unmeasured_pair(here, models, source, target)):
        _offer_unmeasured(other)
    return here


def _way(route: Route) -> str:
    names = " → ".join(plain(leg.title) for leg in route.legs)
    if route.is_pivot:
        return _("{models}, through English", models=names)
    (model,) = route.legs
    if route.is_makeshift:
        return _("{model}, which translates by examples: makeshift", model=names)
    bleu = model.bleu_of(route.source, route.target)
    return f"{names} · {_measured(model, bleu)}" if bleu else names


def _offer(route: Route, *, is_better: bool) -> None:
    """Each leg that is missing, with what it costs and brings, and its button."""
    directions = {leg.id: direction for leg, direction in zip(route.legs, route.directions, strict=True)}
    for model in missing(house().catalogue, route):
        pair = " → ".join(_(NAMED[code]) for code in directions[model.id])
        named = {"pair": pair, "family": "Firefox Translations"}
        facts = [
            _("Better for {pair}: {family}", **named) if is_better else _("For {pair}: {family}", **named),
            size_in_words(model.source.download_bytes(model)),
            plain(_(model.licence)),
            _measured(model, model.bleu_of(*directions[model.id])),
        ]
        with st.container(horizontal=True, vertical_alignment="center", key=f"better-{model.id}"):
            st.caption(f":material/upgrade: {', '.join(facts)}", width="content")
            fetch_button(model, "secondary")


def _offer_unmeasured(model: Model) -> None:
    """A translator for this pair, beside what goes through English or translates by examples."""
    facts = [plain(model.title), size_in_words(model.source.download_bytes(model)), plain(_(model.licence))]
    facts.append(_("made for this pair, not measured here"))
    with st.container(horizontal=True, vertical_alignment="center", key=f"pair-{model.id}"):
        st.caption(f":material/upgrade: {', '.join(facts)}", width="content")
        fetch_button(model, "secondary")


def _measured(model: Model, bleu: float) -> str:
    return _("BLEU {bleu} on {lines}", bleu=f"{bleu:.1f}", lines=model.measured_on)
