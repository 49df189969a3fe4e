"""See inside the models: a lesson in steps, and a free mode for any model and text."""

from __future__ import annotations

import streamlit as st

from engine.catalogue.models import Model
from engine.explain import VIEWS
from engine.messages import Text
from pages.parts.engine import house
from pages.parts.language import _, labelled
from pages.parts.lesson import ON, STEPS, show_step
from pages.parts.picker import pick_model
from pages.parts.share import header
from pages.parts.text import in_short, plain
from pages.parts.views import show_view

MODES = {"lesson": Text("Lesson"), "free": Text("Free")}
BESIDE = {"none": Text("Nothing"), "text": Text("Another text"), "model": Text("Another model")}
SENTENCE = "The cat sat on the mat because it was tired."


def go_to(step: int) -> None:
    st.session_state["step"] = step


def show_lesson() -> None:
    """One step, and the ways to the others; `?step=3` leads there."""
    numbers = list(STEPS)
    step = st.segmented_control(
        _("Step"), numbers, default=numbers[0], key="step", bind="query-params", required=True, format_func=str
    )
    st.progress((numbers.index(step) + 1) / len(numbers))
    show_step(step)
    later = numbers[numbers.index(step) + 1 :]
    if later:
        words = _("Next: {title}", title=plain(_(STEPS[later[0]].title)))
        st.button(words, icon=":material/arrow_forward:", key="next-step", on_click=go_to, args=(later[0],))


def say_where(name: str) -> None:
    """Where no embedded model has the view, which of the Hub has."""
    models = VIEWS[name].models(house().catalogue)
    if models and not any(model.is_embedded for model in models):
        titles = ", ".join(plain(model.title) for model in models[:4])
        st.info(_("No embedded model has this view. From the Hub these have: {models}.", models=titles))


def choose_view() -> str:
    """Which view."""
    titles = {name: view.title for name, view in VIEWS.items() if view.needs}
    name: str = st.pills(
        _("View"), list(titles), default="attention", key="view", bind="query-params", required=True,
        format_func=labelled(titles, "view"),
    )  # fmt: skip
    st.caption(_(VIEWS[name].summary))
    say_where(name)
    return name


def choose_other(name: str, first: Model | None) -> Model | None:
    """Another model than the first, of those that are here."""
    ready = house().catalogue.ready(VIEWS[name].models(house().catalogue))
    ready = [one for one in ready if first is None or one.id != first.id] or ready
    names = {one.id: one.title for one in ready}
    chosen = st.selectbox(
        _("Another model"), list(names), format_func=lambda id: names[id], key="other-model", bind="query-params"
    )
    return house().catalogue.find(chosen) if chosen else None


def type_texts(name: str, model: Model | None, beside: str) -> tuple[str, str, str]:
    """The text, what it translates, and another text where one is to stand beside it."""
    source = ""
    with st.form("free", border=False):
        start = VIEWS[name].samples[0].text if name in ("masked", "meaning", "why") else SENTENCE
        text = st.text_area(_("Text"), start, key=f"text-{name}", height=90, bind="query-params")
        if model and model.architecture == "seq2seq" and name in ("attention", "chain"):
            source = st.text_area(_("Source that it translates"), key="source", height=90, bind="query-params")
        other = text
        if beside == "text":
            other = st.text_area(_("Another text"), SENTENCE, key=f"other-{name}", height=90, bind="query-params")
        words, icon = _("Look inside"), ":material/visibility:"
        if st.form_submit_button(words, type="primary", icon=icon, disabled=model is None):
            st.query_params[ON] = "yes"
    return text, source, other


def show_free() -> None:
    """Any model, any text, every view; two beside each other."""
    name = choose_view()
    model = pick_model(VIEWS[name])
    beside = st.segmented_control(
        _("Beside it"), list(BESIDE), default="none", key="beside", bind="query-params", required=True,
        format_func=labelled(BESIDE, "beside"),
    )  # fmt: skip
    text, source, other_text = type_texts(name, model, beside)
    other = choose_other(name, model) if beside == "model" else model
    if model is None or st.query_params.get(ON) != "yes" or not text.strip():
        return
    if beside == "none":
        show_view(name, text, model.id, "free", source)
        return
    pairs = ((text, model, "free"), (other_text, other, "second"))
    for column, (own, shown, key) in zip(st.columns(2, gap="large"), pairs, strict=True):
        with column:
            if shown and own.strip():
                st.markdown(f"**{plain(shown.title if beside == 'model' else in_short(own, 60))}**")
                show_view(name, own, shown.id, key, source)


header(
    _("Explore"),
    _("See inside the models that serve the other pages: how text becomes numbers, and numbers become the next word."),
)
mode = st.segmented_control(
    _("How"), list(MODES), default="lesson", key="mode", bind="query-params", required=True,
    format_func=labelled(MODES, "mode"),
)  # fmt: skip
if mode == "lesson":
    show_lesson()
else:
    show_free()
