"""Write stories, poems, lyrics, slogans or anything, and feel what temperature does."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from engine.applications import write
from engine.applications.languages import LANGUAGES
from engine.applications.write import APPLICATION, GENRES, SAMPLES, TONES, Kind, WriteRequest, WriteResult
from pages.parts.decoding import decoding_controls, settings_in_words
from pages.parts.engine import get_engine
from pages.parts.examples import offer_examples
from pages.parts.picker import pick_model, title_of
from pages.parts.share import copy_text, header
from pages.parts.streaming import Answer, answer_of, ask, show_answer

KEY = "draft"
KINDS: dict[Kind, str] = {"story": "Story", "poem": "Poem", "lyrics": "Lyrics", "slogan": "Slogan", "free": "Free"}


def fill(sample: WriteRequest) -> None:
    """Take over a sample, its model and its settings."""
    words = {"kind": sample.kind, "about": sample.text, "genre": sample.genre, "tone": sample.tone}
    numbers = {
        "write_temperature": sample.temperature,
        "write_max_new_tokens": sample.max_new_tokens or write.TOKENS[sample.kind],
    }
    writer = sample.model or write.default_model(sample.kind, sample.language)
    st.session_state.update(words | numbers | {"language": sample.language, "writer": writer})


def example_name(sample: WriteRequest) -> str:
    if sample.model:
        return f"{title_of(sample.model)}: {sample.text}"
    return KINDS[sample.kind] + ("" if sample.language == "en" else f" in {LANGUAGES[sample.language]}")


def fit_kind() -> None:
    """The model and the length that suit a newly chosen kind or language."""
    chosen = st.session_state["kind"] or "story"
    st.session_state["writer"] = write.default_model(chosen, st.session_state["language"])
    st.session_state["write_max_new_tokens"] = write.TOKENS[chosen]


def opening_of(answer: Answer) -> str:
    """What stands before the new text: a free text's own beginning, and what was written earlier."""
    beginning = answer.request.text if answer.request.kind == "free" else ""
    model = get_engine().catalogue.models.get(answer.request.model or "")
    if beginning and model and write.is_asked(model):
        beginning += "\n\n"
    return beginning + str(answer.request.continuation)


def facts_in_words(result: WriteResult) -> str:
    """How the text came about: length, speed, first token, end."""
    facts = [f"{result.new_tokens} tokens", *(["repeated from memory"] if result.is_repeated else [])]
    facts += [f"{result.tokens_per_second:.0f} a second"] if result.tokens_per_second else []
    facts += [f"first after {result.first_token_seconds:.2f} s"] if result.first_token_seconds is not None else []
    ends = {
        "stop": "the model ended it",
        "length": "ended at the length you set",
        "deadline": "ended by the time limit",
    }
    return " · ".join([*facts, ends.get(result.finish_reason, result.finish_reason)])


header("Write", "Choose what to write, set the temperature, and watch the words arrive one by one.")
controls, page = st.columns([5, 7], gap="large")
with controls:
    kind = st.pills(
        "Kind", list(KINDS), default="story", format_func=KINDS.__getitem__, key="kind", bind="query-params",
        on_change=fit_kind, required=True,
    ) or "story"  # fmt: skip
    form, errors, examples = st.container(), st.container(), st.container()
    left, middle, right = st.columns(3)
    language = left.selectbox(
        "Language", list(LANGUAGES)[:5], format_func=LANGUAGES.__getitem__, key="language", bind="query-params",
        on_change=fit_kind,
    )  # fmt: skip
    is_free = kind == "free"
    genre = middle.selectbox(
        "Genre", GENRES, format_func=lambda g: g or "any", key="genre", bind="query-params", disabled=is_free
    )
    tone = right.selectbox(
        "Tone", TONES, format_func=lambda t: t or "any", key="tone", bind="query-params", disabled=is_free
    )
    model = pick_model(APPLICATION, write.default_model(kind, language))
    sampling = decoding_controls("write", write.TOKENS[kind])
with form, st.form("write", border=False):
    label = "Beginning, which the model continues" if is_free else f"What is the {kind} about?"
    about = st.text_area(label, SAMPLES[0].text, height=110, key="about", bind="query-params")
    is_asked = st.form_submit_button("Write", type="primary", icon=":material/edit:", disabled=model is None)
with examples:
    offer_examples({example_name(sample): sample for sample in SAMPLES}, fill, "write_example")

if is_free:
    genre = tone = ""
with page:
    draft = answer_of(KEY)
    if model and (is_asked or st.session_state.get("again")):
        ask(KEY, WriteRequest(about, kind, genre, tone, language, model=model.id, **sampling))
    elif model and draft and st.session_state.get("continue"):
        so_far = str(draft.request.continuation) + draft.text
        ask(KEY, replace(draft.request, continuation=so_far, model=model.id, **sampling))
    draft = answer_of(KEY)
    with st.container(border=True, key="answer-box"):
        before = opening_of(draft) if draft else ""
        show_answer(KEY, APPLICATION.stream, prefix=before, errors=errors)
        if draft is None:
            st.caption("Press Write. The text appears here as the model writes it.")
    if draft is None:
        st.stop()
    with st.container(horizontal=True, vertical_alignment="center"):
        is_ready = bool(draft.text) and model is not None
        st.button("Continue", icon=":material/arrow_forward:", key="continue", disabled=not is_ready)
        st.button("New draft", icon=":material/refresh:", key="again", disabled=model is None)
        copy_text(before + draft.text, "draft")
    if draft.result:
        st.caption(facts_in_words(draft.result))
        st.caption(settings_in_words(draft.result.settings))
