"""Who judges on Sentiment: where there are several, the classifier that does best in a text's language, or one."""

from __future__ import annotations

from typing import Any

import streamlit as st

from engine.applications import emotions
from engine.applications.judges import best, judges, languages_of
from engine.applications.sentiment import APPLICATION
from engine.catalogue.models import Model
from engine.messages import Text
from pages.parts.engine import house
from pages.parts.language import _
from pages.parts.picker import offer, pick_way, title_of
from pages.parts.text import plain


def pick_judge(below: Any) -> tuple[bool, Model | None]:
    """A picker; says whether there is who judges, and the model where one was chosen and no language decides.

    What to do about a model that is not there is drawn at `below`.
    """
    known, coming = judges(house().engine, APPLICATION), _coming()
    automatic = Text("Best for its language") if coming or len(known) > 1 else None
    is_automatic, model = pick_way(
        APPLICATION, known[0].id if known else APPLICATION.default_model, automatic, below=below
    )  # fmt: skip
    if not is_automatic:
        return model is not None, model
    lines = [
        f"{plain(', '.join(_(name) for name in names))}: {plain(title_of(id))}"
        for id, names in languages_of(known).items()
    ]
    st.caption(" · ".join(lines))
    with below:
        for other in coming:
            offer(other)
    return True, None


def choose_emotions() -> bool:
    """Whether emotions are to be named too; asked only where their model is here."""
    if not emotions.is_there(house().engine):
        return False
    return st.toggle(
        _("Emotions too"), key="emotions", bind="query-params",
        help=_("27 emotions, of which several may be true. Learned from English comments; other languages suffer."),
    )  # fmt: skip


def _coming() -> list[Model]:
    """Those that do best in a language, and are not on this machine yet."""
    found = best(house().engine, APPLICATION)
    return [model for model in found if house().store.availability(model.id).state != "ready"]
