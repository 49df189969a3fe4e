"""Shorten a text: in its own sentences and in a model's words, side by side, each with where it comes from."""

from __future__ import annotations

import streamlit as st

from engine.applications import summarize
from engine.applications.summarize import (
    APPLICATION,
    ENCODER,
    MAX_CHARACTERS,
    MAX_WORDS,
    MAX_WRITTEN_CHARACTERS,
    MIN_WORDS,
    SAMPLES,
    SummarizeRequest,
)
from engine.messages import Text
from engine.requests import MAX_SEED
from pages.parts.actions import offer_actions
from pages.parts.again import ask_again, changes
from pages.parts.beside import ask_beside, asked_beside
from pages.parts.engine import house
from pages.parts.examples import offer_examples
from pages.parts.language import _, labelled
from pages.parts.picker import pick_model, title_of
from pages.parts.pressing import is_pressed
from pages.parts.share import header
from pages.parts.streaming import ask, show_answer
from pages.parts.summaries import doubts_of, show_facts
from pages.parts.text import plain
from pages.parts.uploads import press, put_text, text_of_document
from pages.parts.visits import answer_of, is_tried, resume

KEY = "summary"
NAMES = (
    Text("Science news"),
    Text("Minutes"),
    Text("An e-mail"),
    Text("A report in German"),
    Text("A notice in Chinese"),
)
AUTO, NOBODY = "auto", "nobody"
BESIDE = {AUTO: Text("The best writer at hand"), NOBODY: Text("Nothing")}


def fill(sample: SummarizeRequest) -> None:
    st.session_state.update(article=sample.text, words=sample.words, bullets=sample.is_bulleted)


def choose_beside(article: str, own: str) -> list[str]:
    """Whose summary stands beside the first."""
    ready = [one.id for one in house().catalogue.ready(APPLICATION.models(house().catalogue))]
    title = labelled(BESIDE, "beside")
    chosen = st.selectbox(
        _("Beside it"), [*BESIDE, *ready], format_func=lambda id: title(id) if id in BESIDE else title_of(id),
        key="beside", bind="query-params", on_change=changes(),
        help=_("Small models make things up; what they wrote is checked against the text, and marked."),
    )  # fmt: skip
    other = (summarize.writer_for(article) if own == ENCODER else ENCODER) if chosen == AUTO else chosen
    return [other] if other != own and other in ready else []


header(_(APPLICATION.title), _("The sentences that say most of a text, and a model's own words beside them."))
resume(
    APPLICATION, KEY, ["article"], ["words", "bullets", "beside", "summary_temperature", "summary_seed", "reference"]
)
left, right = st.columns([7, 5], gap="large")
with left:
    form, errors = st.container(), st.container()
    with st.container(horizontal=True, vertical_alignment="center", gap="large"):
        words = st.slider(
            _("Length in words"), MIN_WORDS, MAX_WORDS, SAMPLES[0].words, 5, key="words", bind="query-params",
            on_change=changes(), help=_("Kept within 10 %; in Chinese and Japanese, characters."),
        )  # fmt: skip
        bullets = st.toggle(_("Bullets"), key="bullets", bind="query-params", on_change=changes(), width="content")
with right:
    model = pick_model(APPLICATION, below=errors)
    beside_place = st.container()
    with st.expander(_("More settings"), icon=":material/tune:"):
        temperature = st.slider(
            _("Temperature"), 0.0, 2.0, 0.3, 0.05, key="summary_temperature", bind="query-params", on_change=changes(),
            help=_("For a model that writes. 0 always takes the likeliest word."),
        )  # fmt: skip
        seed = st.number_input(
            _("Seed"), 0, MAX_SEED, None, key="summary_seed", bind="query-params", on_change="ignore",
            placeholder=_("drawn anew each time"),
        )  # fmt: skip
        reference = st.text_area(
            _("Reference summary"), key="reference", height=90, on_change="ignore",
            help=_("A summary by a person; ROUGE tells how much the two have in common."),
        )  # fmt: skip
put_text("article")
with left:
    with form, st.form("summarize", border=False):
        article = st.text_area(
            _("Text"), SAMPLES[0].text, height="content", key="article", persist_state="session",
            help=_("Up to {most:,} characters; a model that writes reads {written:,}.", most=MAX_CHARACTERS,
                   written=MAX_WRITTEN_CHARACTERS),
        )  # fmt: skip
        st.form_submit_button(
            _("Summarize"), type="primary", icon=":material/short_text:", disabled=model is None,
            on_click=press, args=("article",),
        )  # fmt: skip
    offer_examples(dict(zip(map(_, NAMES), SAMPLES, strict=True)), fill, "summarize_example")
    text_of_document("article", errors)
with beside_place:
    others = choose_beside(article, model.id if model else "")

now = None
if model:
    wanted = None if model.base_id else words
    now = SummarizeRequest(article, wanted, bullets, model.id, temperature, seed, reference)
    if is_pressed("article") or is_tried(APPLICATION):
        ask(KEY, now)
        ask_beside(
            KEY, [SummarizeRequest(article, words, bullets, other, temperature, seed, reference) for other in others]
        )
    else:
        ask_again(KEY, now)
is_pair = len(asked_beside(KEY)) == 1
first, second = st.columns(2, gap="medium") if is_pair else (st.container(), None)
with first, st.container(border=True, key="answer-box"):
    if (shown := answer_of(KEY)) and is_pair:
        st.markdown(f"**{plain(title_of(shown.request.model))}**")
    answer = show_answer(KEY, APPLICATION.stream, errors=errors, now=now, names={"text": _("Text")}, doubts=doubts_of)
    if answer is None or answer.is_empty:
        st.caption(_("The summary appears here."))
    elif answer.result:
        show_facts(answer)
with first:
    offer_actions(KEY, show_facts, second, doubts_of)
