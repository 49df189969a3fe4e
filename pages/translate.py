"""Translate a text, sentence by sentence, and see how sure the model is of each."""

from __future__ import annotations

import streamlit as st

from engine.applications import translate
from engine.applications.languages import LANGUAGES
from engine.applications.sentiment import confidence_in_words
from engine.applications.translate import SAMPLES, TranslateRequest
from pages.parts.engine import get_engine
from pages.parts.picker import pick_model
from pages.parts.share import header
from pages.parts.streaming import ask, show_answer

KEY = "translation"
CODES = list(LANGUAGES)[:5]


def name_of(code: str) -> str:
    return LANGUAGES.get(code, "Detect language" if code == "auto" else code)


def swap() -> None:
    """Exchange the languages, and take the translation as the new text."""
    source, target = st.session_state["from"], st.session_state["to"]
    answer = st.session_state.get(KEY)
    if source == "auto":
        source = (
            answer.result.translations[0].source if answer and answer.result else ("en" if target != "en" else "fr")
        )
    st.session_state["from"], st.session_state["to"] = target, source
    if answer and answer.text:
        st.session_state["text"] = answer.text.strip()
        del st.session_state[KEY]


def fill(sample: TranslateRequest) -> None:
    st.session_state["text"] = sample.text
    st.session_state["from"], st.session_state["to"] = sample.source, sample.target


header("Translate", "A small model reads each sentence and writes it in another language, word by word.")
model = pick_model("translate", translate.DEFAULT_MODEL, "translator")
codes = (translate.languages_of(model) if model else []) or CODES
left, middle, right = st.columns([5, 1, 5], vertical_alignment="bottom")
left.selectbox("From", ["auto", *codes], format_func=name_of, key="from", bind="query-params")
middle.button("", icon=":material/swap_horiz:", help="Swap languages", on_click=swap, width="stretch", key="swap")
right.selectbox("To", codes, index=1, format_func=name_of, key="to", bind="query-params")

left, right = st.columns(2, gap="medium")
with left, st.form("translate", border=False):
    st.text_area("Text", str(SAMPLES[0].text), height=240, key="text", bind="query-params", max_chars=20_000)
    is_asked = st.form_submit_button(
        "Translate", type="primary", disabled=model is None, help="Ctrl+Enter in the text does the same"
    )
with left:
    st.caption("Examples")
    with st.container(horizontal=True):
        for number, sample in enumerate(SAMPLES):
            st.button(
                f"{name_of(sample.source)} → {name_of(sample.target)}", on_click=fill, args=(sample,), key=f"ex{number}"
            )

if is_asked and model:
    ask(KEY, TranslateRequest(st.session_state["text"], st.session_state["from"], st.session_state["to"], model.id))
with right:
    st.caption("Translation")
    with st.container(border=True, height="content"):
        answer = show_answer(KEY, lambda request: translate.stream(get_engine(), request))
        if answer is None:
            st.caption("The translation appears here.")
    if answer and answer.result:
        (done,) = answer.result.translations
        sure = "" if done.score is None else f"{confidence_in_words(done.score).capitalize()} ({done.score:.0%}) · "
        st.caption(f"{sure}from {LANGUAGES[done.source]}")
        if done.warning:
            st.warning(done.warning, icon=":material/sync_problem:")
        with st.expander("Sentence by sentence"):
            st.dataframe(
                [
                    {
                        "Source": sentence.source,
                        "Translation": sentence.text,
                        "Sure": None if sentence.score is None else round(100 * sentence.score),
                    }
                    for sentence in done.sentences
                ],
                column_config={"Sure": st.column_config.ProgressColumn(format="%d %%", min_value=0, max_value=100)},
                hide_index=True,
            )
        with st.expander("Settings that acted, and the text to copy"):
            st.code(answer.text, language=None, wrap_lines=True)
            st.json(answer.result.settings, expanded=False)
