"""The lesson's last step: what a run wrote before, in the middle of and after its training, and what it cost."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from engine.jobs import work
from engine.training import retelling, views
from engine.training.views import RunView
from pages.parts.curves import points_of, smoothed
from pages.parts.engine import caller, house, may
from pages.parts.errors import errors_shown
from pages.parts.jobs import show_failure, show_job
from pages.parts.language import _
from pages.parts.live import alt_of, figures_of
from pages.parts.looking import show_behind, show_plot
from pages.parts.sizes import seconds_in_words
from pages.parts.text import plain, show_text

SMOOTHING = 0.6
"""Of the curve, as on Fine-tune: how much of the steps before each counts."""
GPT3 = 6 * 175e9 * 300e9
"""Operations of training GPT-3: 175 billion weights, 300 billion tokens (Brown et al. 2020)."""


def show_phases() -> None:
    """A run that has come to its end, of those that this visitor may see."""
    runs = [run for run in views.listed(house().settings) if run.state == "finished"] if may("see runs") else []
    told = [run for run in (views.read(house().settings, one.id) for one in runs[:8]) if run.samples]
    if not told:
        st.caption(
            _(
                "No run that kept what it wrote is here yet. Start one: a tiny model learns in minutes on this "
                "computer. Then come back here."
            )
        )
        st.page_link("finetune.py", label=_("Start a run on Fine-tune"), icon=":material/model_training:")
        return
    titles = {run.id: run.title for run in told}
    chosen = st.selectbox(_("Run"), list(titles), format_func=lambda id: titles[id], key="run8", bind="query-params")
    run = next(one for one in told if one.id == chosen)
    _show_samples(run.samples)
    if run.past_weights and may("compare"):
        _retell(run)
    if run.metrics:
        figure = figures_of(run, SMOOTHING, False)["loss"]
        show_plot(figure, "phases-loss", alt_of(figure))
        st.caption(_("*Training*: of the texts that it learns from; smoothed, the faint line is as measured. "
                     "*Validation*: of texts that are held back, from which it never learns."))  # fmt: skip
        training, validation = (dict(points_of(run.metrics, name)) for name in ("loss", "eval_loss"))
        smooth = dict(smoothed(list(training.items()), SMOOTHING))
        rows = [
            {_("Step"): step, _("Training, as measured"): training.get(step), _("Training, smoothed"): smooth.get(step),
             _("Validation"): validation.get(step)}
            for step in sorted({*training, *validation})
        ]  # fmt: skip
        show_behind(rows, "phases-loss")
    _show_cost(run)
    st.page_link("finetune.py", label=_("Start another on Fine-tune"), icon=":material/model_training:")


def _show_samples(samples: Sequence[Mapping[str, Any]]) -> None:
    steps = sorted({int(row["step"]) for row in samples})
    prompt = next(row["prompt"] for row in samples if row["step"] == steps[0])
    st.caption(plain(_("Beginning: {prompt}", prompt=str(prompt)[:300])))
    moments = {steps[0]: _("Before"), steps[len(steps) // 2]: _("In the middle"), steps[-1]: _("After")}
    for column, (step, words) in zip(st.columns(len(moments)), moments.items(), strict=True):
        with column:
            st.markdown(f"**{words}** · " + _("step {number:,}", number=step))
            written = next((row["text"] for row in samples if row["step"] == step and row["prompt"] == prompt), "")
            show_text(str(written))


def _retell(run: RunView) -> None:
    """A beginning of the visitor's own, answered now from the weights that the run has kept."""
    with st.form("retell", border=False):
        prompt = st.text_input(
            _("A beginning of your own"), key="prompt8", bind="query-params", max_chars=retelling.MOST_CHARACTERS
        )
        is_asked = st.form_submit_button(_("Let the kept weights go on"), icon=":material/history:")
    if not prompt.strip():
        return
    subject = f"{run.id} {hashlib.sha256(prompt.encode('utf-8', 'replace')).hexdigest()[:16]}"
    job = work.latest(house().settings, retelling.KIND, subject)
    with errors_shown():
        if is_asked and not (job and (job.is_alive or job.state == "finished")):
            config = {"run": run.id, "prompt": prompt}
            work.begin(house().settings, retelling.KIND, config, subject=subject, caller=caller())
            job = work.latest(house().settings, retelling.KIND, subject)
        if job is None:
            return
        if job.is_alive:
            show_job(job, _("Reading the kept weights, one after the other"))
            return
        show_failure(job)
        if samples := job.result.get("samples"):
            _show_samples(samples)
            if len({row["step"] for row in samples}) < 3:
                st.caption(_("No weights from the middle of this run are kept. Keep some under Expert on Fine-tune."))


def _show_cost(run: RunView) -> None:
    """About 6 operations a weight and token: two forwards, four backwards (Kaplan et al. 2020)."""
    models, base = house().catalogue.models, run.config.base_id if run.config else ""
    model = models.get(run.model_id) or models.get(base)
    seen = run.tokens_seen
    count = model.parameters if model else run.parameters
    if not count or not seen:
        return
    cost = 6 * count * seen
    facts = {
        "n": f"{count:,}",
        "d": f"{seen:,.0f}",
        "cost": _power(cost),
        "times": _power(GPT3 / cost),
        "large": _power(GPT3),
    }
    started, ended = (run.metrics[place].get("time") for place in (0, -1))
    if started and ended:
        st.markdown(_("It took {time} on this computer.", time=seconds_in_words(float(ended) - float(started))))
    words = _(
        "What it cost: 6 · N · D, six operations for each of N = {n} weights and each of about D = {d} tokens that "
        "were read: {cost} operations. GPT-3 took about {large}, {times} times as many: that is why the cost of a "
        "large model is called very high.",
        **facts,
    )
    st.markdown(words)


def _power(number: float) -> str:
    """As 3.5·10¹²."""
    digits, exponent = f"{number:.1e}".split("e")
    return f"{digits.removesuffix('.0')}·10" + str(int(exponent)).translate(str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"))
