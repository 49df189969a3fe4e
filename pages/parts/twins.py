"""A file's result beside that of another model or of other settings: begun here, and row by row where both differ."""

from __future__ import annotations

from dataclasses import asdict

import streamlit as st

from engine.jobs.files import comparing, desk
from engine.jobs.files.comparing import Comparison
from engine.jobs.work import JobView
from engine.messages import counted
from pages.parts.engine import caller, house
from pages.parts.errors import errors_shown
from pages.parts.labels import label_in_words
from pages.parts.language import _
from pages.parts.picker import title_of
from pages.parts.tables import as_csv

MOST_SHOWN = 300
"""Rows of the table on the page; its file has all."""
COMPARED = "compared_files"
"""In the session: the two that were compared last, and what came of it."""


def offer_other_model(job: JobView) -> str:
    """A popover in which to have another model do the same with the file; the id of the job where that was begun."""
    opened = st.popover(_("Compare"), icon=":material/compare:", key=f"compare-{job.id}", on_change="rerun")
    if not opened.open:
        return ""
    with opened, errors_shown():
        st.caption(_("Have another model do the same, or bring the file again with other settings. Where the results "
                     "differ is then told below, row by row."))  # fmt: skip
        models = [one.id for one in comparing.others(house(), job)]
        if not models:
            st.caption(_("No other model for this is on this machine yet; the page Models has some to download."))
            return ""
        model = st.selectbox(_("Model"), models, format_func=title_of, key=f"compare-model-{job.id}")
        if st.button(_("Work on the file with it too"), icon=":material/add:", key=f"compare-begin-{job.id}"):
            return comparing.begin_again(house(), job, model, caller())
    return ""


def show_twins(job: JobView) -> None:
    """Where the result differs from another of the same file, once that is chosen; nothing while there is none."""
    twins = {one.id: one for one in comparing.twins(house(), job, caller())}
    if not twins:
        return
    names = {id: f"{number}. {_what(one)}" for number, (id, one) in enumerate(twins.items(), 1)}
    chosen = st.selectbox(
        _("Compare with another result of this file"), list(twins), index=None, format_func=names.__getitem__,
        key=f"twin-{job.id}", placeholder=_("Choose one"),
    )  # fmt: skip
    if chosen is None:
        return
    pair = job.id, chosen
    if st.session_state.get(COMPARED, (None,))[0] != pair:
        with st.spinner(_("Comparing")):
            st.session_state[COMPARED] = pair, comparing.compare(job, twins[chosen])
    _draw(st.session_state[COMPARED][1], _what(job), _what(twins[chosen]), job.id)


def models_in_words(job: JobView) -> str:
    """Who did it: judges, or translators, one after the other through English."""
    names = [title_of(model_id) for model_id in job.result.get("models") or ()]
    if "target" in job.result and len(names) > 1:
        return _("{models}, through English", models=" → ".join(names))
    return ", ".join(names)


def _what(job: JobView) -> str:
    """Models and what was wished besides, as far as results may differ by it."""
    order = desk.order_of(job)
    parts = [models_in_words(job) or _("Model")]
    if getattr(order, "labels", ()):
        parts.append(_("Labels of my own"))
    if getattr(order, "glossary", ()):
        parts.append(_("Glossary"))
    return " · ".join(parts)


def _draw(found: Comparison, one: str, other: str, key: str) -> None:
    words = counted(
        "{same:,} of {count:,} row or paragraph is the same ({share:.0%}).",
        "{same:,} of {count:,} rows or paragraphs are the same ({share:.0%}).",
        found.rows, same=found.same, share=found.same / max(1, found.rows),
    )  # fmt: skip
    st.markdown(_(words))
    if not found.differences:
        return
    names = (one, other) if one != other else (_("This one"), _("The other"))
    table = [
        {
            _("Row"): each["row"], names[0]: label_in_words(each["one"]), names[1]: label_in_words(each["other"]),
            _("Source"): each["source"],
            _("Sure: {name}", name=names[0]): each["one_score"], _("Sure: {name}", name=names[1]): each["other_score"],
        }
        for each in map(asdict, found.differences)
    ]  # fmt: skip
    percent = st.column_config.NumberColumn(format="percent")
    shown = {_("Sure: {name}", name=name): percent for name in names}
    st.dataframe(table[:MOST_SHOWN], column_config=shown, hide_index=True, key=f"twins-{key}")
    if len(table) > MOST_SHOWN:
        st.caption(_("Shown are the first {count}; the file has all.", count=MOST_SHOWN))
    st.download_button(
        _("Differences as CSV"), lambda: as_csv(table), "differences.csv", "text/csv", icon=":material/table:",
        key=f"differences-{key}", on_click="ignore",
    )  # fmt: skip
