"""Write stories, poems, lyrics, slogans or anything, and feel what temperature does."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from engine.applications import write
from engine.applications.languages import LANGUAGES
from engine.applications.write import GENRES, SAMPLES, TONES, WriteRequest
from pages.parts.decoding import decoding_controls, settings_in_words
from pages.parts.engine import get_engine
from pages.parts.picker import pick_model
from pages.parts.share import copy_text, header
from pages.parts.streaming import Answer, answer_of, ask, show_answer

KEY = "draft"
KINDS = {"story": "Story", "poem": "Poem", "lyrics": "Lyrics", "slogan": "Slogan", "free": "Free"}


def fill(sample: WriteRequest) -> None:
    """Take over a sample, its model and its settings."""
    values = {"kind": sample.kind, "about": sample.text, "genre": sample.genre, "tone": sample.tone, "language": "en"}
    values |= {"write_temperature": sample.temperature, "write_max_new_tokens": sample.max_new_tokens}
    st.session_state.update(values | {"writer": sample.model or write.default_model(sample.kind, "en")})


def fit_kind() -> None:
    """The model and the length that suit a newly chosen kind or language."""
    chosen = st.session_state["kind"] or "story"
    st.session_state["writer"] = write.default_model(chosen, st.session_state["language"])
    st.session_state["write_max_new_tokens"] = write.TOKENS[chosen]


def opening_of(answer: Answer) -> str:
    """What stands before the new text: a free text's own beginning, and what was written earlier."""
    return (answer.request.text if answer.request.kind == "free" else "") + str(answer.request.continuation)


header("Write", "Choose what to write, set the temperature, and watch the words arrive one by one.")
controls, page = st.columns([5, 7], gap="large")
with controls:
    kind = st.segmented_control(
        "Kind", list(KINDS), default="story", format_func=KINDS.get, key="kind", bind="query-params", on_change=fit_kind,
        required=True, wrap=True,
    ) or "story"  # fmt: skip
    with st.form("write", border=False):
        label = "Beginning, which the model continues" if kind == "free" else f"What is the {kind} about?"
        about = st.text_area(label, SAMPLES[0].text, height=110, key="about", bind="query-params")
        is_asked = st.form_submit_button("Write", type="primary", icon=":material/edit:", help="Ctrl+Enter in the text")
    errors = st.container()
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center"):
        st.caption("Examples", width="content")
        for number, sample in enumerate(SAMPLES):
            name = "GPT-2: Once upon a time" if sample.model else KINDS[sample.kind]
            st.button(name, on_click=fill, args=(sample,), key=f"example-{number}", type="tertiary")
    left, middle, right = st.columns(3)
    language = left.selectbox(
        "Language", list(LANGUAGES)[:5], format_func=LANGUAGES.get, key="language", bind="query-params",
        on_change=fit_kind,
    )  # fmt: skip
    genre = middle.selectbox(
        "Genre", GENRES, format_func=lambda g: g or "any", key="genre", bind="query-params", disabled=kind == "free"
    )
    tone = right.selectbox(
        "Tone", TONES, format_func=lambda t: t or "any", key="tone", bind="query-params", disabled=kind == "free"
    )
    model = pick_model("write", write.default_model(kind, language), "writer")
    sampling = decoding_controls("write", write.TOKENS[kind])

if kind == "free":
    genre = tone = ""
request = WriteRequest(about, kind, genre, tone, language, model=model.id if model else None, **sampling)
with page:
    if model and (is_asked or st.session_state.pop("again", False)):
        ask(KEY, request)
    elif model and st.session_state.pop("on", False) and (draft := answer_of(KEY)):
        ask(KEY, replace(draft.request, continuation=str(draft.request.continuation) + draft.text, **sampling))
    draft = answer_of(KEY)
    with st.container(border=True, key="answer-box"):
        answer = show_answer(
            KEY,
            lambda wanted: write.stream(get_engine(), wanted),
            prefix=opening_of(draft) if draft else "",
            errors=errors,
        )
        if answer is None:
            st.caption("Press Write. The text appears here as the model writes it.")
    if answer is None:
        st.stop()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Continue", icon=":material/arrow_forward:", key="on", disabled=not (answer.text and model))
        st.button("New draft", icon=":material/refresh:", key="again", disabled=model is None)
        copy_text(opening_of(answer) + answer.text, "draft")
    if answer.result:
        result = answer.result
        facts = [f"{result.new_tokens} tokens"]
        facts += [f"{result.tokens_per_second:.0f} a second"] if result.tokens_per_second else []
        facts += [f"first after {result.first_token_seconds:.2f} s"] if result.first_token_seconds is not None else []
        st.caption(" · ".join([*facts, f"ended by {result.finish_reason}"]))
        st.caption(settings_in_words(result.settings))
