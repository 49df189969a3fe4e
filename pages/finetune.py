"""Teach a small model something: choose, watch it learn, compare, use it everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from engine.messages import Text
from engine.training import runs as jobs
from engine.training import tasks
from engine.training.findings import Finding
from engine.training.splits import Splits
from pages.parts.after import show_after
from pages.parts.dataset import choose_columns, choose_data, show_rows, split
from pages.parts.engine import house, may
from pages.parts.errors import errors_shown
from pages.parts.findings import show_findings
from pages.parts.language import _, labelled
from pages.parts.launch import (
    choose_base,
    choose_languages,
    choose_task,
    find_faults,
    find_in_data,
    settings_of,
    show_check,
    start_check,
    start_run,
)
from pages.parts.live import show_live
from pages.parts.runs import ask_deletion, id_in, name_of, open_run, show_list
from pages.parts.share import header
from pages.parts.training_settings import draw_settings, offer_settings_file

VIEWS = {"new": Text("New run"), "runs": Text("Runs"), "one": Text("A run")}
MODES = {"beginner": Text("Beginner"), "expert": Text("Expert")}
NOTHING = Finding("note", "file", Text("Nothing is wrong with the rows."))
settings = house().settings


def new_run() -> None:
    """Three fields and a button; all settings for who wants them; what the data is, beside it."""
    left, right = st.columns([5, 7], gap="large")
    with left:
        mode = st.segmented_control(
            _("View"), list(MODES), default="beginner", format_func=labelled(MODES, "tune_mode"), key="tune_mode",
            bind="query-params", required=True, label_visibility="collapsed",
        )  # fmt: skip
        task = choose_task()
        base = choose_base(task)
        data = choose_data(task)
        found, buttons = st.container(), st.container(horizontal=True)
        errors = st.container()
    is_ready = base is not None and data is not None and may("train")
    is_started = buttons.button(
        _("Start"), type="primary", icon=":material/model_training:", key="start", disabled=not is_ready
    )
    is_checked = buttons.button(_("Check"), icon=":material/fact_check:", key="check", disabled=not is_ready)
    if data is None or base is None:
        right.caption(_("What the data looks like, and what the check says of it, appears here."))
        return
    with left:
        mapping, share, keeps_repeats = choose_columns(task, data)
        learned = tasks.find(task)
        of_data = {**data.settings, **learned.settings_in(mapping)}
        languages = choose_languages(base, of_data) if "target_language" in learned.settings else {}
        chosen = None
        if mode == "expert":
            offer_settings_file()
            chosen = draw_settings(task, data.settings, has_base=base != "")
    with right, errors_shown(errors):
        values = settings_of(task, base, data.settings, languages, chosen)
        splits = split(task, data, mapping, share, keeps_repeats, values["seed"])
        if is_started:
            run_id = start_run(values, splits, f"{_(tasks.find(task).title)}: {data.name}")
            open_run(run_id)
        if is_checked:
            st.session_state["checked"] = True
            start_check(values, splits)
        show_data(task, values, splits, found)


def show_data(task: str, values: Mapping[str, Any], splits: Splits, found: Any) -> None:
    """What changes the meaning of the rows, in its place; all that a check finds, once it was asked for; the rows."""
    is_checked = st.session_state.get("checked")
    told = find_faults(values, splits) if is_checked else find_in_data(values, splits)
    with found:
        show_findings(told or ([NOTHING] if is_checked else []))
    if is_checked:
        show_check(values, splits, told)
    show_rows(task, splits)


def one_run() -> None:
    """The chosen run: its curves, and once it has a model, what to do with it."""
    names = {view.id: name_of(view) for view in jobs.listed(settings)}
    if not names:
        st.caption(_("No run yet. The first one starts under New run."))
        return
    if "run" not in st.session_state and "run" not in st.query_params:
        open_run(next(iter(names)))
    chosen = st.selectbox(
        _("Run"), list(names), None, format_func=lambda id: names.get(id, id), key="run", bind="query-params",
        accept_new_options=True, placeholder=_("Choose a run"),
    )  # fmt: skip
    if not chosen:
        return
    with errors_shown():
        run = jobs.read(settings, id_in(chosen))
        show_live(run)
        if run.has_model and not run.is_alive:
            show_after(run)


header(
    _("Fine-tune"), _("Teach a small model a style, labels or a language, watch it learn, and use it on every page.")
)
if not may("see runs"):
    VIEWS = {"new": VIEWS["new"]}
if not may("train"):
    st.info(
        _("This is a public site: runs are not shown, and starting or changing them is off."), icon=":material/lock:"
    )
if "go_to" in st.session_state:
    st.session_state["tune_view"] = st.session_state.pop("go_to")
view = st.segmented_control(
    _("Part"), list(VIEWS), default="new", format_func=labelled(VIEWS, "tune_view"), key="tune_view",
    bind="query-params", required=True, label_visibility="collapsed",
)  # fmt: skip
ask_deletion()
PARTS = {"new": new_run, "runs": show_list, "one": one_run}
PARTS[view if view in VIEWS else "new"]()
