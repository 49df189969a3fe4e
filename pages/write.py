"""Write stories, poems, lyrics, slogans or anything, and feel what temperature does."""

from __future__ import annotations

import streamlit as st

from engine.applications import write
from engine.applications.languages import LANGUAGES
from engine.applications.write import APPLICATION, SAMPLES, Kind, WriteRequest
from engine.messages import Text
from pages.parts import colours, drafts, forms
from pages.parts.actions import offer_actions
from pages.parts.again import ask_again
from pages.parts.chat import show_chat, system_prompt
from pages.parts.decoding import keys_of, main_controls, more_controls
from pages.parts.examples import offer_examples
from pages.parts.language import _, labelled
from pages.parts.picker import pick_model, title_of
from pages.parts.ranking import rank_beside
from pages.parts.share import header
from pages.parts.streaming import show_answer
from pages.parts.temperature import offer_temperature
from pages.parts.visits import Exchange, answer_of, is_tried, resume
from pages.parts.written import opening_of, show_draft

KEY = "draft"
KIND_NAMES: dict[Kind, Text] = {
    "story": Text("Story"),
    "poem": Text("Poem"),
    "lyrics": Text("Lyrics"),
    "slogan": Text("Slogan"),
    "free": Text("Free"),
    "chat": Text("Chat"),
}
ABOUT: dict[Kind, Text] = {
    "story": Text("What is the story about?"),
    "poem": Text("What is the poem about?"),
    "lyrics": Text("What are the lyrics about?"),
    "slogan": Text("What is the slogan about?"),
    "free": Text("Beginning, which the model continues"),
    "chat": Text("Your message"),
}
GENRES = {
    "": Text("any"), "fantasy": Text("fantasy"), "adventure": Text("adventure"), "mystery": Text("mystery"),
    "science fiction": Text("science fiction"), "romance": Text("romance"), "comedy": Text("comedy"),
    "horror": Text("horror"), "fairy tale": Text("fairy tale"),
}  # fmt: skip
TONES = {
    "": Text("any"), "cheerful": Text("cheerful"), "calm": Text("calm"), "melancholic": Text("melancholic"),
    "dramatic": Text("dramatic"), "playful": Text("playful"), "hopeful": Text("hopeful"), "dark": Text("dark"),
}  # fmt: skip
"""What is offered; others can be asked for."""


def fill(sample: WriteRequest) -> None:
    """Take over a sample, its model and its settings."""
    words = {"kind": sample.kind, "form": sample.form, "about": sample.text, "genre": sample.genre, "tone": sample.tone}
    numbers = {
        "write_temperature": sample.temperature,
        "write_max_new_tokens": sample.max_new_tokens or write.TOKENS[sample.kind],
    }
    writer = sample.model or write.default_model(sample.kind, sample.language)
    st.session_state.update(words | numbers | {"language": sample.language, "writer": writer})


def example_name(sample: WriteRequest) -> str:
    if sample.model:
        return f"{title_of(sample.model)}: {sample.text}"
    if sample.language == "en":
        return _(KIND_NAMES[sample.kind])
    return _("{kind} in {language}", kind=KIND_NAMES[sample.kind], language=LANGUAGES[sample.language])


def fit_kind() -> None:
    """The model and the length that suit a newly chosen kind or language."""
    chosen = st.session_state["kind"] or "story"
    st.session_state["writer"] = write.default_model(chosen, st.session_state["language"])
    st.session_state["write_max_new_tokens"] = write.TOKENS[chosen]
    st.session_state["form"] = ""


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
    model = pick_model(APPLICATION, write.default_model(kind, language), below=errors)
    system = system_prompt(model, is_open=kind == "chat")
    sampling |= more_controls("write")
if kind == "chat":
    with page:
        now = model and WriteRequest("", kind, language=language, system=system, model=model.id, **sampling)
        show_chat(KEY, now or None, errors)
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
