"""Write stories, poems, lyrics, slogans or anything, and feel what temperature does."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from engine.applications import write
from engine.applications.languages import LANGUAGES
from engine.applications.write import GENRES, SAMPLES, TONES, WriteRequest
from pages.parts.decoding import decoding_controls
from pages.parts.engine import get_engine
from pages.parts.picker import pick_model
from pages.parts.share import header
from pages.parts.streaming import Answer, ask, show_answer

KEY = "draft"
KINDS = {"story": "Story", "poem": "Poem", "lyrics": "Lyrics", "slogan": "Slogan", "free": "Free"}


def fill(sample: WriteRequest) -> None:
    """Take over a sample, its model and its settings."""
    values = {"kind": sample.kind, "about": sample.text, "genre": sample.genre, "tone": sample.tone, "language": "en"}
    values |= {"write_temperature": sample.temperature, "write_max_new_tokens": sample.max_new_tokens}
    st.session_state.update(values | {"writer": sample.model or write.default_model(sample.kind, "en")})


def default_writer() -> None:
    st.session_state["writer"] = write.default_model(st.session_state["kind"] or "story", st.session_state["language"])


header("Write", "Choose what to write, set the temperature, and watch the words arrive one by one.")
settings, page = st.columns([2, 3], gap="large")
with settings:
    kind = st.segmented_control(
        "Kind", list(KINDS), default="story", format_func=KINDS.get, key="kind", bind="query-params",
        on_change=default_writer, required=True,
    )  # fmt: skip
    kind = kind or "story"
    with st.form("write", border=False):
        about = st.text_area(
            "Text to continue" if kind == "free" else "About", SAMPLES[0].text, height=110, key="about",
            bind="query-params", max_chars=20_000,
        )  # fmt: skip
        is_asked = st.form_submit_button("Write", type="primary", icon=":material/edit:")
    language = st.selectbox(
        "Language", list(LANGUAGES)[:5], format_func=LANGUAGES.get, key="language", bind="query-params",
        on_change=default_writer,
    )  # fmt: skip
    if kind != "free":
        left, right = st.columns(2)
        genre = left.selectbox("Genre", GENRES, format_func=lambda g: g or "any", key="genre", bind="query-params")
        tone = right.selectbox("Tone", TONES, format_func=lambda t: t or "any", key="tone", bind="query-params")
    else:
        genre = tone = ""
    sampling = decoding_controls("write", write.TOKENS["free"])
    model = pick_model("write", write.default_model(kind, language), "writer")
    st.caption("Examples")
    with st.container(horizontal=True):
        for number, sample in enumerate(SAMPLES):
            name = "GPT-2: Once upon a time" if sample.model else KINDS[sample.kind]
            st.button(name, on_click=fill, args=(sample,), key=f"example-{number}")

request = WriteRequest(about, kind, genre, tone, language, model=model.id if model else None, **sampling)


def text_so_far(answer: Answer) -> str:
    return str(answer.request.continuation) + answer.text


draft: Answer | None = st.session_state.get(KEY)
with page:
    with st.container(horizontal=True):
        is_continued = st.button(
            "Continue", icon=":material/arrow_forward:", disabled=not (draft and draft.text and model)
        )
        is_new = st.button("New draft", icon=":material/refresh:", disabled=not (draft and model))
    if model and (is_asked or is_new):
        ask(KEY, request)
    elif model and is_continued and draft:
        ask(KEY, replace(request, text=draft.request.text, kind=draft.request.kind, continuation=text_so_far(draft)))
    with st.container(border=True):
        draft = st.session_state.get(KEY)
        shown = (
            (draft.request.text if draft.request.kind == "free" else "") + draft.request.continuation if draft else ""
        )
        answer = show_answer(KEY, lambda wanted: write.stream(get_engine(), wanted), prefix=shown)
        if answer is None:
            st.caption("Press Write. The text appears here as the model writes it.")
    if answer and answer.result:
        result = answer.result
        speed = f"{result.tokens_per_second:.0f} tokens a second · " if result.tokens_per_second else ""
        first = f"first after {result.first_token_seconds:.2f} s · " if result.first_token_seconds is not None else ""
        st.caption(f"{result.new_tokens} tokens · {speed}{first}ended by {result.finish_reason}")
        with st.expander("Settings that acted, and the text to copy"):
            st.code(shown + answer.text, language=None, wrap_lines=True)
            st.json(result.settings, expanded=False)
