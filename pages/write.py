"""Write stories, poems, lyrics, slogans or anything, and feel what temperature does."""

from __future__ import annotations

import streamlit as st

from engine.applications import write
from engine.applications.languages import LANGUAGES
from engine.applications.write import APPLICATION, SAMPLES, WriteRequest
from pages.parts import colours, drafts, forms
from pages.parts.actions import offer_actions
from pages.parts.again import ask_again
from pages.parts.chat import show_chat, system_prompt
from pages.parts.decoding import keys_of, main_controls, more_controls
from pages.parts.examples import offer_examples
from pages.parts.kinds import ABOUT, GENRES, KIND_NAMES, TONES, example_name, fill, fit_kind, fitting_model
from pages.parts.language import _, labelled
from pages.parts.picker import pick_model
from pages.parts.ranking import rank_beside
from pages.parts.share import header
from pages.parts.streaming import show_answer
from pages.parts.temperature import offer_temperature
from pages.parts.visits import Exchange, answer_of, is_tried, resume
from pages.parts.written import opening_of, show_draft

KEY = "draft"

header(_(APPLICATION.title), _("Choose what to write, set the temperature, and watch the words arrive one by one."))
resume(
    APPLICATION, KEY, ["about"],
    ["kind", "language", "genre", "tone", "form", "chapters", "system", *keys_of("write")],
)  # fmt: skip
kind = st.pills(
    _("Kind"), list(KIND_NAMES), default="story", format_func=labelled(KIND_NAMES, "kind"), key="kind",
    bind="query-params", on_change=fit_kind, required=True, label_visibility="collapsed", wrap=True,
) or "story"  # fmt: skip
if kind == "chat":  # what is said stands before the settings, on a phone too
    page, controls = st.columns([7, 5], gap="large")
else:
    controls, page = st.columns([5, 7], gap="large")
wide = st.container()
with controls:
    form, errors, front, examples = st.container(), st.container(), st.container(), st.container()
    with front:
        sampling = main_controls("write", write.TOKENS[kind])
    language = st.selectbox(
        _("Language"), list(LANGUAGES)[:5], format_func=labelled(LANGUAGES, "language"), key="language",
        bind="query-params", on_change=fit_kind,
    )  # fmt: skip
    is_plain = kind in ("free", "chat")
    left, right = st.columns(2)
    genre = left.selectbox(
        _("Genre"), list(GENRES), format_func=labelled(GENRES, "genre"), key="genre", bind="query-params",
        disabled=is_plain,
    )  # fmt: skip
    tone = right.selectbox(
        _("Tone"), list(TONES), format_func=labelled(TONES, "tone"), key="tone", bind="query-params", disabled=is_plain
    )
    form_of = forms.choose_form(kind, language)
    forms.name_missing(kind, language)
    model = pick_model(APPLICATION, fitting_model(kind, language), below=errors)
    system = system_prompt(model, is_open=kind == "chat")
    sampling |= more_controls("write")
if kind == "chat":
    with page:
        now = None
        if model:
            settings = {"system": system, "model": model.id, **sampling}
            now = WriteRequest("", kind, language=language, is_finished=True, **settings)
        show_chat(KEY, now, errors)
        offer_actions(KEY)
else:
    with form, st.form("write", border=False):
        about = st.text_area(_(ABOUT[kind]), SAMPLES[0].text, height=110, key="about", persist_state="session")
        is_asked = st.form_submit_button(_("Write"), type="primary", icon=":material/edit:", disabled=model is None)
    with examples:
        offer_examples({example_name(sample): sample for sample in SAMPLES}, fill, "write_example")

    if is_plain:
        genre = tone = ""
    with page:
        now = None
        drafts.note(KEY)
        if model:
            settings = {**form_of, **sampling, "system": system, "model": model.id}
            now = WriteRequest(about, kind, genre, tone, language, is_finished=True, **settings)
            if is_asked or is_tried(APPLICATION):
                drafts.write_anew(KEY, now)
            elif st.session_state.get("again"):
                drafts.write_again(KEY, now)
            elif st.session_state.get("continue"):
                drafts.carry_on(KEY, {"model": model.id, **sampling})
            elif word := colours.picked():
                drafts.take_word(KEY, *word)
            else:
                ask_again(KEY, drafts.in_place(now, answer_of(KEY)))
        draft = answer_of(KEY)
        before = opening_of(draft) if draft else ""
        with st.container(border=True, key="answer-box"):
            names = {"text": f"“{_(ABOUT[kind])}”"}
            now = drafts.in_place(now, draft) if now else None

            def finished(answer: Exchange) -> bool:
                return forms.show_verse(answer) or colours.show_colours(answer, before=before, key=KEY)

            show_answer(KEY, APPLICATION.stream, prefix=before, errors=errors, now=now, names=names, finished=finished)
            if draft is None or draft.is_empty:
                st.caption(_("Press Write. The text appears here as the model writes it."))
        if draft:
            drafts.note(KEY)
            if not draft.is_empty:
                show_draft(draft, before, is_ready=model is not None)
            drafts.show_tree(KEY)
            if not draft.request.form:
                offer_temperature(draft, sampling)
        offer_actions(KEY, beside=wide)
    with wide:
        rank_beside(KEY)
