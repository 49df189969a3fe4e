"""Runs as rows, their curves laid over one another, and the dialogs that change them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import streamlit as st

from engine.errors import ConflictError
from engine.messages import Text
from engine.training import runs as jobs
from engine.training import tasks
from engine.training.runs import RunView
from pages.parts import curves
from pages.parts.engine import caller, house, may
from pages.parts.errors import errors_shown
from pages.parts.language import _
from pages.parts.picker import title_of
from pages.parts.sizes import seconds_in_words
from pages.parts.text import day_of, in_short, plain

REFRESH_SECONDS = 2
A_PAGE = 10
MAX_COMPARED = 6
STATES = {
    "queued": (Text("waiting"), ":material/schedule:", "grey"),
    "preparing": (Text("preparing"), ":material/hourglass_top:", "blue"),
    "running": (Text("running"), ":material/play_arrow:", "blue"),
    "finished": (Text("finished"), ":material/check_circle:", "green"),
    "stopped": (Text("stopped"), ":material/stop_circle:", "orange"),
    "failed": (Text("failed"), ":material/error:", "red"),
}
METRIC_NAMES: dict[str, Text | str] = {
    "loss": Text("Validation loss"), "perplexity": Text("Perplexity"), "accuracy": Text("Accuracy"),
    "f1": "F1", "exact_match": Text("Exact match"), "f1_of_all": Text("F1 of all"), "bleu": "BLEU", "chrf": "chrF",
    "f1_with_abstention": Text("F1 with abstention"), "null_f1": Text("F1 without answer"),
    "null_recall": Text("Recall without answer"), "null_threshold": Text("Threshold without answer"),
    "probability": Text("Probability"),
}  # fmt: skip
METHODS = {"full": Text("all weights"), "lora": Text("LoRA"), "head": Text("head only")}
SHARES = ("accuracy", "f1", "exact_match")
"""Metrics from 0 to 100 percent."""


def name_of(run: RunView) -> str:
    """The name of a run in lists and links: its id tells it apart, whatever its title becomes.

    Of the title as much as a select shows on a phone, without the task that stands before what was given.
    """
    return f"{in_short(run.title.rpartition(': ')[2], 12)} ({run.id})"


def id_in(name: str) -> str:
    """The id in such a name, or what was typed."""
    return name[:-1].rpartition("(")[2] if name.endswith(")") else name.strip()


def metric_name(field: str) -> str:
    """eval_f1 or f1 -> "F1"."""
    name = field.removeprefix("eval_")
    return _(METRIC_NAMES.get(name, name.replace("_", " ").capitalize()))


def figure_in_words(value: Any, field: str = "") -> str:
    """A metric's value, four figures of it, in percent where it is a share."""
    if not isinstance(value, int | float):
        return "–"
    return f"{value:.4g} %" if field.removeprefix("eval_") in SHARES else f"{value:.4g}"


def show_metric(field: str, value: Any, change: float | None, words: str = "") -> None:
    """A figure and how it changed, green where that is for the better; `words` say since when."""
    told = None
    if change is not None:
        told = (f"{change:+,.0f}" if abs(change) >= 1000 else f"{change:+.3g}") + words
    is_lower_better = field.endswith(("loss", "perplexity"))
    st.metric(
        metric_name(field), figure_in_words(value, field), told,
        delta_color="inverse" if is_lower_better else "normal", border=True, height="stretch",
    )  # fmt: skip


def state_badge(run: RunView) -> None:
    """The state in its colour."""
    text, icon, colour = STATES[run.state]
    words = _(text)
    if run.queue_position:
        words = _("waiting, {place} in the queue", place=run.queue_position)
    if run.is_silent:
        words, icon, colour = _("does not answer"), ":material/heart_broken:", "orange"
    st.badge(words, icon=icon, color=colour)  # type: ignore[arg-type]


def facts_of(run: RunView) -> str:
    """What a run learns, from what, since when and how well, as Markdown."""
    parts = [day_of(datetime.fromtimestamp(run.created), "%Y-%m-%d, %H:%M")]
    if run.config:
        start = title_of(run.config.base_id) if run.config.base_id else _("a base of one's own")
        method = _("mean of runs") if run.config.mean_of else _(METHODS[run.config.method])
        if run.config.step_of:
            method = _("a step of the run {name}", name=run.config.step_of)
        origin = [plain(start), method] if run.config.base else [_("from scratch")]
        parts = [_(tasks.find(run.config.task).title), *origin, *parts]
        field = f"eval_{tasks.find(run.config.task).metric}"
        if (best := (run.status.get("metrics") or {}).get(field)) is not None:
            before = (run.status.get("baseline") or {}).get(field)
            was = (
                " " + _("(at the start {figure})", figure=figure_in_words(before, field)) if before is not None else ""
            )
            parts.append(f"{metric_name(field)} {figure_in_words(best, field)}{was}")
            if step := run.status.get("best_step"):
                parts.append(_("step {step}", step=f"{step:,}"))
    return " · ".join(parts)


def show_progress(run: RunView) -> None:
    """How far a live run is."""
    step, steps = run.status.get("step") or 0, run.status.get("max_steps") or 0
    words = (
        _("Step {step} of {steps}", step=f"{step:,}", steps=f"{steps:,}")
        if steps
        else _(STATES[run.state][0]).capitalize()
    )
    if run.queue_position:
        words = _("Waiting: one run trains at a time, and the others follow by themselves")
    if run.seconds_left is not None:
        words += " · " + _("about {time} left", time=seconds_in_words(run.seconds_left))
    st.progress(run.progress, text=words)


def open_run(run_id: str) -> None:
    """Draw the page anew with that run, while its picker is not on the page.

    Streamlit puts a choice into the link only when it was made in the picker itself; here the link gets it by hand.
    """
    run = jobs.read(house().settings, run_id)
    st.session_state["go_to"], st.session_state["run"] = "one", run_id
    st.query_params["run"] = name_of(run)
    st.rerun()


def show_list() -> None:
    """All runs, newest first, redrawn by itself while one is alive."""
    views = jobs.listed(house().settings)
    clock = REFRESH_SECONDS if any(view.is_alive for view in views) else None
    st.fragment(_list, run_every=clock)()
    if len(views) > 1:
        st.fragment(_compare, run_every=clock)(views)


def _list() -> None:
    views = jobs.listed(house().settings)
    if not views:
        st.caption(_("No run yet. The first one starts under New run."))
    pages = -(-len(views) // A_PAGE)
    number = st.session_state.get("tune_page", 1) if pages > 1 else 1
    for run in views[(number - 1) * A_PAGE : number * A_PAGE]:
        with st.container(border=True, key=f"run-{run.id}"):
            _row(run)
    if pages > 1:
        st.pagination(pages, key="tune_page")


def _row(run: RunView) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{plain(run.title)}**", width="stretch")
        state_badge(run)
        if st.button(_("Open"), key=f"open-{run.id}", icon=":material/open_in_full:"):
            open_run(run.id)
        delete_button(run)
    st.caption(facts_of(run))
    if run.note:
        st.caption(plain(run.note[:300]))
    if run.is_alive:
        show_progress(run)
    elif run.error:
        st.caption(f":material/error: {plain(_(run.error))}")


def delete_button(run: RunView) -> None:
    """A button that has the page ask; the dialog is the page's, because a list that redraws itself would close it."""
    if st.button(_("Delete"), key=f"icon-delete-{run.id}", icon=":material/delete:", disabled=run.is_alive):
        st.session_state["deleting"] = (run.id, run.title)
        st.rerun()


def ask_deletion() -> None:
    """Ask, where a button was pressed."""
    if asked := st.session_state.pop("deleting", None):
        st.dialog(_("Delete a run"))(_confirm_deletion)(*asked)


def _confirm_deletion(run_id: str, title: str) -> None:
    """Ask once more; curves, checkpoints and model are gone afterwards."""
    st.markdown(
        _("Delete {title} with its curves, checkpoints and model? This cannot be undone.", title=f"**{plain(title)}**")
    )
    if st.button(_("Delete"), type="primary", icon=":material/delete:", key="delete-now"):
        with errors_shown():
            jobs.delete(house().settings, run_id, house().engine, caller())
            if st.session_state.get("tune_view") == "one":
                st.session_state["go_to"] = "runs"
            st.rerun()


def _compare(views: Sequence[RunView]) -> None:
    """Curves of chosen runs in one chart, and the settings in which they differ."""
    st.subheader(_("Compare"), anchor=False)
    names = {view.id: name_of(view) for view in views}
    chosen = st.multiselect(
        _("Runs"), list(names), format_func=names.__getitem__, key="compared", bind="query-params",
        max_selections=MAX_COMPARED, placeholder=_("Choose two or more"),
    )  # fmt: skip
    if len(chosen) < 2:
        return
    with errors_shown():
        settings = house().settings
        runs = [jobs.read(settings, run_id) for run_id in chosen]
        fields = [
            "eval_loss",
            *dict.fromkeys(f"eval_{tasks.find(run.config.task).metric}" for run in runs if run.config),
            "loss",
        ]
        titles = {field: metric_name(field) if field != "loss" else _("Training loss") for field in fields}
        left, right = st.columns([3, 2])
        field = left.segmented_control(
            _("Curve"), fields, default="eval_loss", format_func=titles.__getitem__, key="compared_curve", required=True
        )
        is_log = right.toggle(_("Log axis"), key="compared_log")
        traces = [
            curves.line(f"{run.title} ({run.id[-6:]})", points, curves.PALETTE[number % len(curves.PALETTE)])
            for number, run in enumerate(runs)
            if (points := curves.points_of(run.metrics, field or "eval_loss"))
        ]
        title = titles[field or "eval_loss"]
        words = _("{title} of {count} runs.", title=title, count=len(runs))
        curves.draw(curves.lines(title, traces, is_log=is_log, height=380), key="overlay", alt=words)
        _kept_figures(runs, titles)
        rows = jobs.differing(settings, chosen)
        shown = [{_("Setting"): row["setting"]} | {names[id]: _cell(row[id]) for id in chosen} for row in rows]
        st.caption(_("Settings that differ") if shown else _("The settings are the same."))
        if shown:
            st.dataframe(shown, hide_index=True, alt=_("Settings in which the runs differ."))
        _offer_mean(chosen)


def _kept_figures(runs: Sequence[RunView], titles: Mapping[str, str]) -> None:
    """The figures of the models that are kept, each with its step."""
    rows = []
    for run in runs:
        kept = run.status.get("metrics") or {}
        shown = {titles[name]: figure_in_words(kept.get(name), name) for name in titles if name != "loss"}
        rows.append({_("Run"): name_of(run), _("Step"): run.status.get("best_step")} | shown)
    st.caption(_("Figures of the models that are kept"))
    st.dataframe(rows, hide_index=True, alt=_("Figures of the models that are kept."))


def _offer_mean(run_ids: Sequence[str]) -> None:
    """A button that makes a run of the mean of these runs' models; why not, where they have none."""
    settings, fault = house().settings, ""
    try:
        jobs.check_mean(settings, run_ids)
    except ConflictError as error:
        fault = _(error)
    words = fault or _("One model of the same size, often better than each; it appears among the runs, judged.")
    if st.button(
        _("Make the mean of these models"), key="mean", icon=":material/join_inner:", help=words,
        disabled=bool(fault) or not may("train"),
    ):  # fmt: skip
        run_id = jobs.create_mean(settings, run_ids, caller())
        jobs.start(settings, run_id, caller())
        open_run(run_id)


def _cell(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else "" if value is None else str(value)
