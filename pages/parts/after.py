"""What becomes of a trained model: compared with its base, tried beside it, used, exported, published."""

from __future__ import annotations

from typing import Any

import streamlit as st

from engine.applications import APPLICATIONS
from engine.catalogue.models import Model
from engine.jobs import work
from engine.messages import Text
from engine.training import compare, serving, tasks
from engine.training import runs as jobs
from engine.training.compare import ComparedRow, Comparison
from engine.training.config import TrainingConfig
from engine.training.runs import RunView
from pages.parts.applications import page_of
from pages.parts.charts import probability_bars
from pages.parts.decoding import main_controls
from pages.parts.demo import show_demo
from pages.parts.engine import caller, house, may
from pages.parts.errors import errors_shown
from pages.parts.export import show_export
from pages.parts.jobs import show_failure, show_job
from pages.parts.language import _, labelled
from pages.parts.picker import title_of
from pages.parts.runs import show_metric
from pages.parts.sizes import percent_in_words
from pages.parts.streaming import ask, show_answer
from pages.parts.text import plain, show_passage

STEPS = {
    "compare": Text("Base against tuned"),
    "try": Text("Try"),
    "use": Text("Use"),
    "export": Text("Export"),
}
SHOWN_CARDS, SHOWN_CHANGES = 4, 25
SHOWN_CHARACTERS = 400
"""Of a text in a card; the table has it whole."""


def show_after(run: RunView) -> None:
    """The four things to do with a model, one at a time."""
    st.subheader(_("The model"), anchor=False)
    chosen = st.segmented_control(
        _("What next"), list(STEPS), default="compare", format_func=labelled(STEPS, "after"), key="after",
        bind="query-params", required=True, label_visibility="collapsed",
    )  # fmt: skip
    if run.config is None:
        return
    parts = {"compare": _show_comparison, "try": _show_try, "use": _show_use, "export": show_export}
    with errors_shown():
        parts[chosen or "compare"](run, run.config)


# Base against tuned.


def _show_comparison(run: RunView, config: TrainingConfig) -> None:
    settings = house().settings
    job = work.latest(settings, "compare", run.id)
    if job and job.is_alive:
        show_job(job, _("Both models work on the rows held out"))
        return
    found = compare.read(jobs.run_folder(settings, run.id))
    words = _("Compare again") if found else _("Compare")
    if st.button(words, icon=":material/compare:", key="compare", disabled=not may("compare")):
        work.begin(settings, "compare", {"run": run.id}, title=run.title, subject=run.id, caller=caller())
        st.rerun()
    show_failure(job)
    if found is None:
        st.caption(
            _("Base and tuned model work on the same rows held out; figures and answers then stand side by side.")
        )
    else:
        _draw_comparison(found)


def _draw_comparison(found: Comparison) -> None:
    with st.container(horizontal=True):
        for name, value in found.tuned.items():
            before = found.base.get(name)
            change = value - before if before is not None else None
            show_metric(name, value, change, _(" against the base"))
    if found.has_new_head:
        st.caption(":material/info: " + _("The base brings no head for this task: what it says is chance."))
    better = _("lower is better") if found.is_lower_better else _("higher is better")
    words = _(
        "{count} of {all} rows held out, the most changed first. Score: {score}, {better}.",
        count=len(found.rows), all=found.held_out_rows, score=found.score, better=better,
    )  # fmt: skip
    st.caption(words if found.step is None else words + " " + _("Tuned: step {step}.", step=f"{found.step:,}"))
    for row in found.rows[:SHOWN_CARDS]:
        _draw_change(row)
    rows = [
        {_("Input"): row.input, _("Expected"): row.expected, _("Base"): row.base, _("Tuned"): row.tuned,
         _("Base score"): row.base_score, _("Tuned score"): row.tuned_score}
        for row in found.rows[:SHOWN_CHANGES]
    ]  # fmt: skip
    number = st.column_config.NumberColumn(format="%.3g")
    with st.expander(_("The {count} most changed as a table", count=len(rows)), icon=":material/table:", key="changes"):
        st.dataframe(
            rows, hide_index=True, column_config={_("Base score"): number, _("Tuned score"): number},
            alt=_("Answers of base and tuned model to the same rows."),
        )  # fmt: skip


def _draw_change(row: ComparedRow) -> None:
    """What was asked and expected, and below it both answers beside each other."""
    with st.container(border=True):
        st.caption(plain(_short(row.input)))
        sides = {_("Expected"): (row.expected, None), _("Base"): (row.base, row.base_score)}
        sides |= {_("Tuned"): (row.tuned, row.tuned_score)}
        for place, (name, (text, score)) in zip(st.columns(3), sides.items(), strict=True):
            place.markdown(f"**{name}**" + (f" · {score:.3g}" if score is not None else ""))
            place.markdown(plain(_short(text)) or "–")


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + " …"


# The same question to both.


def _show_try(run: RunView, config: TrainingConfig) -> None:
    if not run.is_used:
        st.caption(_("To be asked, the model has to be in use first: its page then offers it."))
        _use_button(run)
        return
    inputs = _inputs(config)
    if inputs is not None:
        for side in ("base", "tuned"):
            ask(f"try-{side}-{run.id}", inputs)
    tuned = house().catalogue.find(run.model_id)
    base = house().catalogue.find(config.base_id) if config.base_id else None
    places = st.columns(2 if base else 1)
    if base:
        with places[0], st.container(border=True):
            st.markdown(f"**{_('Base')}** · {plain(base.title)}")
            _side("base", run, config, base)
    with places[-1], st.container(border=True):
        st.markdown(f"**{_('Tuned')}** · {plain(tuned.title)}")
        _side("tuned", run, config, tuned)


def _inputs(config: TrainingConfig) -> dict[str, Any] | None:
    """The form of the task; its values when it was just sent."""
    task = tasks.find(config.task)
    with st.form("try", border=False):
        values: dict[str, Any] = {}
        for name, label in task.inputs.items():
            field = st.text_area if name == "text" else st.text_input
            values[name] = field(_(label), key=f"try_{name}")
        is_asked = st.form_submit_button(
            _("Ask both") if config.base_id else _("Ask"), type="primary", icon=":material/send:"
        )
    values |= main_controls("try", serving.TRIED_TOKENS) if task.is_language_model else {"temperature": 0.0}
    return values if is_asked else None


def _side(side: str, run: RunView, config: TrainingConfig, model: Model) -> None:
    task = tasks.find(config.task)
    if not task.can_be_done_by(model):
        st.caption(_("Before training this model has no head for the task, so it has nothing to say."))
        return
    given = show_answer(
        f"try-{side}-{run.id}",
        lambda engine, inputs, caller: serving.stream(engine, model, config, inputs, caller),
    )
    if given is None:
        st.caption(_("The answer appears here."))
    elif hasattr(given.result, "results"):
        (score,) = given.result.results
        probability_bars(score.scores, key=f"try-bars-{side}")
    elif hasattr(given.result, "answer"):
        found = given.result
        sure = percent_in_words(found.score)
        st.markdown(f"{plain(found.answer) or _('No answer in this text')} · {sure}")
        show_passage(given.request["text"], found.start, found.end)


# Into the pickers.


def _show_use(run: RunView, config: TrainingConfig) -> None:
    if not run.is_used:
        st.caption(_("Has the model offered on its page, for everybody on this machine, now and after a restart."))
        _use_button(run)
        show_demo(run)
        return
    model = house().catalogue.find(run.model_id)
    if run.is_outdated:
        st.warning(
            _("The pages offer the model from before this run went on. Use it again to bring in the one kept now."),
            icon=":material/update:",
        )
        _use_button(run)
    else:
        st.success(
            _("{title} is in use: these pages offer it.", title=plain(model.title)), icon=":material/check_circle:"
        )
    with st.container(horizontal=True):
        for application in (each for each in APPLICATIONS.values() if each.offers(model)):
            label, link = _("Open {title}", title=application.title), {application.picker: title_of(model.id)}
            st.page_link(page_of(application), label=label, icon=":material/arrow_forward:", query_params=link)
        if st.button(_("Take it out"), icon=":material/remove_circle:", key="retire"):
            jobs.retire(house().settings, house().engine, run.id, caller())
            st.rerun()
    show_demo(run)


def _use_button(run: RunView) -> None:
    settings = house().settings
    job = work.latest(settings, "use", run.id)
    if job and job.is_alive:
        show_job(job, _("Getting it ready to answer"))
        return
    if job and jobs.read(settings, run.id).is_used:  # it ended while the page was drawn
        st.rerun()
    if st.button(_("Use it"), type="primary", icon=":material/check:", key="use", disabled=not may("train")):
        jobs.begin_use(settings, house(), run.id, caller())
        st.rerun()
    show_failure(job)
