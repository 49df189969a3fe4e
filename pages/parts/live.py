"""One run: how it stands, its curves as they grow, what it writes as it learns, and what can be done with it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import streamlit as st

from engine.jobs.work import when_it_ends
from engine.messages import Text
from engine.training import runs as jobs
from engine.training import tasks
from engine.training.figures import remarks, shown
from engine.training.runs import RunView
from pages.parts import curves
from pages.parts.engine import caller, house, may
from pages.parts.errors import errors_shown
from pages.parts.findings import show_findings
from pages.parts.jobs import show_silence, stop_button
from pages.parts.language import _
from pages.parts.notices import watch
from pages.parts.runs import (
    REFRESH_SECONDS,
    SHARES,
    delete_button,
    facts_of,
    figure_in_words,
    metric_name,
    open_run,
    show_metric,
    show_progress,
    state_badge,
)
from pages.parts.sizes import size_in_words
from pages.parts.tables import as_csv
from pages.parts.text import plain, show_text
from pages.parts.training_settings import fill_settings

SHOWN_STEPS = 12
"""Steps whose samples can be looked at; the latest ones."""
OTHERS = {
    "learning_rate": Text("Learning rate"),
    "grad_norm": Text("Gradient norm"),
    "tokens_per_second": Text("Tokens a second"),
}


def show_live(run: RunView) -> None:
    """The run, redrawn by itself while it lives; once it has ended the page is drawn anew, without the clock."""
    if run.is_alive:
        watch(jobs.run_folder(house().settings, run.id))
    st.fragment(_live, run_every=REFRESH_SECONDS if run.is_alive else None)(run.id, run.is_alive)


def _live(run_id: str, was_alive: bool) -> None:
    with errors_shown():
        run = jobs.read(house().settings, run_id)
        if run.is_alive != was_alive:
            st.rerun()
        _head(run)
        _cause(run)
        if run.is_silent:
            show_silence()
        if run.is_alive:
            show_progress(run)
        _figures(run)
        _charts(run)
        _samples(run.samples)
        _past(run)
        if run.findings and may("train"):
            with st.expander(_("What was found in the data"), icon=":material/rule:", key="found"):
                show_findings(run.findings)
        _details(run)


def _head(run: RunView) -> None:
    settings = house().settings
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(plain(run.title), anchor=False, width="stretch")
        state_badge(run)
        is_off = not may("train")
        if run.is_alive:
            keeps = _("Keeps the best so far.")
            stop_button("stop", run.is_stopping, lambda is_now: jobs.stop(settings, run.id, is_now, caller()), keeps)
        if run.can_resume and st.button(_("Resume"), key="resume", icon=":material/play_arrow:", disabled=is_off):
            with errors_shown():
                jobs.start(settings, run.id, caller())
                st.rerun()
        _edit(run)
        delete_button(run)
    st.caption(facts_of(run))
    if run.is_stopping:
        st.caption(":material/stop_circle: " + plain(_(when_it_ends(run.state, run.seconds_a_step))))
    if run.note:
        st.caption(plain(run.note))


def _edit(run: RunView) -> None:
    with st.popover("", icon=":material/edit:", help=_("Title and note, or its settings for a new run")):
        with st.form(f"about-{run.id}", border=False):
            title = st.text_input(_("Title"), run.title, max_chars=jobs.MAX_TITLE_CHARACTERS)
            note = st.text_area(_("Note"), run.note, max_chars=jobs.MAX_NOTE_CHARACTERS)
            if st.form_submit_button(_("Save")):
                with errors_shown():
                    jobs.annotate(house().settings, run.id, title, note, caller())
                    st.rerun()
        if run.config and st.button(_("Use these settings for a new run"), key="again", on_click=_again, args=(run,)):
            st.rerun()


def _again(run: RunView) -> None:
    assert run.config
    fill_settings(run.config)
    if run.config.base_id:
        st.session_state[f"tune_base_{run.config.task}"] = run.config.base_id
    st.session_state.update({"tune_view": "new", "tune_task": run.config.task, "tune_mode": "expert"})


def _cause(run: RunView) -> None:
    """What went wrong and what to change; a word on a run that stopped."""
    if run.state == "failed":
        st.error(
            plain(_(run.error) if run.error else _("This run failed, and nothing says why.")), icon=":material/error:"
        )
        if run.advice:
            st.info(plain(_(run.advice)), icon=":material/lightbulb:")
    elif run.error:
        st.warning(plain(_(run.error)), icon=":material/warning:")
    elif run.state == "stopped":
        never = _("It was stopped before it had a model. Resume starts it again.")
        none = _(run.advice) if run.advice else never
        words = [_("The best model so far is kept.") if run.has_model else none]
        if run.checkpoint_step:
            words.append(_("Resume goes on from step {step}.", step=f"{run.checkpoint_step:,}"))
        st.info(plain(" ".join(words)), icon=":material/stop_circle:")


def _figures(run: RunView) -> None:
    """The figures of the model that is kept, each with what it was before training; what they leave out."""
    latest = shown(run.status, run.metrics)
    field = f"eval_{tasks.find(run.config.task).metric}" if run.config else "eval_loss"
    baseline = run.status.get("baseline") or {}
    with st.container(horizontal=True):
        for name in dict.fromkeys(("eval_loss", field)):
            if name in latest:
                change = latest[name] - baseline[name] if isinstance(baseline.get(name), int | float) else None
                show_metric(name, latest[name], change or None)
        if "loss" in latest:
            st.metric(_("Training loss"), figure_in_words(latest["loss"]), border=True, height="stretch")
        if (speed := run.status.get("tokens_per_second") or latest.get("tokens_per_second")) and run.is_alive:
            st.metric(_("Tokens a second"), f"{speed:,.0f}", border=True, height="stretch")
        if memory := run.status.get("memory_bytes"):
            st.metric(_("Memory"), size_in_words(memory), border=True, height="stretch")
    if run.config:
        for words in remarks(run.status, run.config.task, run.facts.get("validation_rows")):
            st.caption(":material/info: " + plain(_(words)))


def _charts(run: RunView) -> None:
    """Curves of everything that the run records, and their downloads; what was not trained has none."""
    if run.config and (run.config.mean_of or run.config.step_of):
        return
    if not run.metrics:
        if run.is_alive:
            st.caption(_("The curves begin with the first validation."))
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        weight = st.slider(
            _("Smoothing"), 0.0, 0.95, 0.6, 0.05, key="smoothing", bind="query-params", width=220,
            help=_("Weight of the past in the smoothed line of the training loss; the raw values stand behind it."),
        )  # fmt: skip
        is_log = st.toggle(_("Log axis"), key="log_axis", bind="query-params")
    figures = figures_of(run, weight, is_log)
    large = [name for name in figures if name not in OTHERS]
    small = [name for name in figures if name in OTHERS]
    places = [*st.columns([3, 2][: len(large)]), *(st.columns(len(small)) if small else ())]
    for name, place in zip([*large, *small], places, strict=True):
        with place:
            curves.draw(figures[name], key=f"curve-{name}", alt=alt_of(figures[name]))
    _downloads(run, list(figures.values()))


def figures_of(run: RunView, weight: float, is_log: bool) -> dict[str, dict[str, Any]]:
    """A chart each for loss, metrics, learning rate, gradient norm and speed, as far as there are figures."""
    rows = run.metrics
    raw = curves.points_of(rows, "loss")
    validation = curves.points_of(rows, "eval_loss")
    loss = [curves.line(_("training, raw"), raw, curves.TRAIN, is_faint=True)] if weight else []
    loss.append(curves.line(_("training"), curves.smoothed(raw, weight), curves.TRAIN))
    if validation:
        loss.append(curves.line(_("validation"), validation, curves.VALIDATION, has_dots=True))
    figures = {"loss": curves.lines(_("Loss"), loss, is_log=is_log, height=340)}
    names = sorted({name for row in rows for name in row if name.startswith("eval_") and name != "eval_loss"})
    main = f"eval_{tasks.find(run.config.task).metric}" if run.config else ""
    names.sort(key=lambda name: name != main)
    traces = [
        curves.line(
            metric_name(name) + (", %" if name[5:] in SHARES else ""), points, curves.PALETTE[number % 8], has_dots=True
        )
        for number, name in enumerate(names)
        if (points := curves.points_of(rows, name))
    ]
    if traces:
        title = traces[0]["name"] if len(traces) == 1 else _("Metrics")
        figures["metric"] = curves.lines(title, traces, is_log=is_log and main == "eval_perplexity", height=340)
    for name, title in OTHERS.items():
        if points := curves.points_of(rows, name):
            traces = [curves.line(_(title), points, curves.OTHER)]
            figures[name] = curves.lines(_(title), traces, is_log=is_log and name == "grad_norm", height=230)
    return figures


def alt_of(figure: Mapping[str, Any]) -> str:
    """What a chart of lines shows, for who does not see it: where each begins and ends."""
    ends = [
        _("{name} from {first} to {last}", name=t["name"], first=f"{t['y'][0]:.3g}", last=f"{t['y'][-1]:.3g}")
        for t in figure["data"]
        if t["y"]
    ]
    return f"{figure['layout']['title']['text']}: {', '.join(ends)}." if ends else _("No figures yet.")


def _downloads(run: RunView, figures: Sequence[Mapping[str, Any]]) -> None:
    rows = list(run.metrics)
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = [{name: row.get(name) for name in names} for row in rows]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            _("Metrics as CSV"), as_csv(table), f"{run.id}.csv", "text/csv", icon=":material/table:", key="csv",
            on_click="ignore",
        )  # fmt: skip
        st.download_button(
            _("Charts as HTML"), lambda: curves.as_html(figures, run.title), f"{run.id}.html", "text/html",
            icon=":material/download:", key="html", on_click="ignore",
        )  # fmt: skip
        st.caption(_("PNG: the camera above each chart"))


def _samples(samples: Sequence[Mapping[str, Any]]) -> None:
    """What the model makes of the same prompts, step by step."""
    if not samples:
        return
    steps = sorted({row["step"] for row in samples})[-SHOWN_STEPS:]
    st.markdown(f"**{_('As it learns')}**")
    step = steps[-1]
    if len(steps) > 1:
        step = st.select_slider(
            _("After step"), steps, steps[-1], format_func=lambda step: f"{step:,}", key=f"sample-of-{len(steps)}"
        )
    for row in [row for row in samples if row["step"] == step]:
        with st.container(border=True):
            st.caption(plain(str(row["prompt"])[:400]))
            show_text(str(row["text"]))


def _past(run: RunView) -> None:
    """The weights of earlier steps: each can become a run of its own, to be compared, tried and exported."""
    if run.is_alive or not run.config or len(run.past_weights) < 2:
        return
    judged = {row["step"]: row for row in run.metrics if "eval_loss" in row}
    field = f"eval_{tasks.find(run.config.task).metric}"
    with st.expander(_("Earlier steps"), icon=":material/history:", key="past"):
        st.caption(_("Make a run of an earlier step to compare, try or export the model as it was then."))
        for step, weights in run.past_weights.items():
            found = judged.get(step, {})
            told = [f"{metric_name(name)} {figure_in_words(found.get(name), name)}" for name in (field, "eval_loss")]
            parts = [_("step {step}", step=f"{step:,}"), *dict.fromkeys(told), size_in_words(weights.stat().st_size)]
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(plain(" · ".join(parts)), width="stretch")
                _past_buttons(run, step)


def _past_buttons(run: RunView, step: int) -> None:
    settings, is_off = house().settings, not may("train")
    if st.button(_("Make it a run"), key=f"past-{step}", icon=":material/alt_route:", disabled=is_off):
        with errors_shown():
            run_id = jobs.create_step(settings, run.id, step, caller())
            jobs.start(settings, run_id, caller())
            open_run(run_id)
    if st.button(
        _("Delete"), key=f"icon-forget-{step}", icon=":material/delete:", help=_("Delete"),
        disabled=is_off or not run.is_kept(step),
    ):  # fmt: skip
        with errors_shown():
            jobs.delete_step(settings, run.id, step, caller())
            st.rerun()


def _details(run: RunView) -> None:
    with st.expander(_("Log"), icon=":material/terminal:", key="log"):
        st.code(run.log_tail or _("Nothing yet."), language=None, height=260, wrap_lines=True)
    with st.expander(_("Command line and settings"), icon=":material/code:", key="command"):
        st.caption(
            _("Does the same as this page, from the project's folder; started again it goes on where it stopped.")
        )
        st.code(jobs.command(run.id, house().settings), language="bash")
        if run.config:
            st.code(json.dumps(asdict(run.config), indent=2, ensure_ascii=False), language="json", height=260)
