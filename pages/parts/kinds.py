"""Kinds of texts to write: what they are called, what is asked for each, and what suits a newly chosen one."""

from __future__ import annotations

import streamlit as st

from engine.applications import write
from engine.applications.languages import LANGUAGES
from engine.applications.write import Kind, WriteRequest
from engine.messages import Text
from pages.parts.engine import house
from pages.parts.language import _
from pages.parts.picker import title_of

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
    writer = sample.model or write.default_model(house().engine, sample.kind, sample.language)
    st.session_state.update(words | numbers | {"language": sample.language, "writer": writer, "filled": writer})


def example_name(sample: WriteRequest) -> str:
    if sample.model:
        return f"{title_of(sample.model)}: {sample.text}"
    if sample.language == "en":
        return _(KIND_NAMES[sample.kind])
    return _("{kind} in {language}", kind=KIND_NAMES[sample.kind], language=LANGUAGES[sample.language])


def fitting_model(kind: str, language: str) -> str:
    """The model that does it best, which stands chosen until somebody chooses another."""
    st.session_state["fitting"] = write.default_model(house().engine, kind, language)
    return str(st.session_state["fitting"])


def fit_kind() -> None:
    """The model and the length that suit a newly chosen kind or language; a model chosen by hand stays if it can."""
    chosen, language = st.session_state["kind"] or "story", st.session_state["language"]
    if not _is_kept(st.session_state.get("writer"), chosen, language):
        st.session_state["writer"] = write.default_model(house().engine, chosen, language)
    st.session_state["write_max_new_tokens"] = write.TOKENS[chosen]
    st.session_state["form"] = ""


def _is_kept(writer: str | None, kind: str, language: str) -> bool:
    """Whether somebody chose this model, not we or an example, and it does what is chosen now."""
    model = house().engine.catalogue.models.get(writer or "")
    if model is None or writer in (st.session_state.get("fitting"), st.session_state.get("filled")):
        return False
    return (model.is_chat or kind != "chat") and (kind == "free" or not model.languages or language in model.languages)
