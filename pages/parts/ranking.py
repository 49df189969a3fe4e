"""Drafts that stand beside each other, ranked: each measure in a column, and what it says."""

from __future__ import annotations

import streamlit as st

from engine.applications.drafts import ranked
from engine.applications.ranking import EXPLAINED, NAMES
from pages.parts.beside import asked_beside, lead_of
from pages.parts.colours import tell_tokens
from pages.parts.drafts import note_beside, turn_to_beside
from pages.parts.language import _
from pages.parts.picker import title_of
from pages.parts.text import plain
from pages.parts.visits import Exchange, answer_of

WORDS = 60
"""Characters of a draft in the table."""


def rank_beside(key: str) -> None:
    """Below several drafts of one request, once all have come: which is best, by what."""
    main, others = answer_of(key), list(asked_beside(key).values())
    drafts = [one for one in (main, *others) if one and one.state == "done" and one.result and one.text]
    note_beside(key, others)
    if len(drafts) < 2:
        return
    if main and main.result and main.result.probability is None and not main.request.form:
        tell_tokens(main)
    found = ranked([(one.request, one.result) for one in drafts])
    order = [next(one for one in drafts if one.result is draft.written) for draft in found]
    has_models = len({one.result.model for one in drafts}) > 1
    rows = [
        {
            _("Draft"): _named(one, has_models=has_models),
            _("Score"): 100 * draft.score,
        }
        | {_(NAMES[name]): 100 * value for name, value in draft.measures.items()}
        for one, draft in zip(order, found, strict=True)
    ]
    bar = st.column_config.ProgressColumn(format="%d %%", min_value=0, max_value=100)
    first = st.column_config.TextColumn(width="medium")
    st.markdown(f"**{_('Ranked')}**")
    st.dataframe(
        rows, hide_index=True, key=f"{key}-ranked", alt=_("The drafts, the best first, with each measure."),
        column_config={_("Draft"): first} | {name: bar for name in rows[0] if name != _("Draft")},
    )  # fmt: skip
    told = "; ".join(f"{_(NAMES[name])}: {_(EXPLAINED[name])}" for name in found[0].measures)
    st.caption(plain(_("Score is the mean of these. {list}. None of them reads for sense: you do.", list=told)))
    if order[0] is not main:
        st.button(
            _("Go on with the best"), icon=":material/trophy:", key=f"{key}-best", on_click=turn_to_beside,
            args=(key, order[0]),
        )  # fmt: skip


def _named(draft: Exchange, *, has_models: bool) -> str:
    """How it begins, at which temperature, and by which model where there are several."""
    words = " ".join((lead_of(draft.request) + draft.text).split())
    short = words if len(words) <= WORDS else words[: WORDS - 1] + "…"
    value = f"{draft.request.temperature:g}"
    if has_models:
        return _("{model}, temperature {value}: {words}", model=title_of(draft.result.model), value=value, words=short)
    return _("temperature {value}: {words}", value=value, words=short)
