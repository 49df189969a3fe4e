"""The article's three questions at the end of the lesson, each with an example that is worked on live."""

from __future__ import annotations

import streamlit as st

from engine.explain import VIEWS
from engine.explain.chain import ChainRequest
from engine.messages import Text
from pages.parts.language import _
from pages.parts.looking import go_on, is_here, look
from pages.parts.picker import title_of
from pages.parts.text import show_text

MODEL, WRITER = "gemma-3-270m", "smollm2-135m-instruct"
TRIALS = {
    "17 + 25 =": Text(
        "Digits come that often stand after such signs. Whoever knew the rule would be right each time; it is wrong "
        "often, and now and then right. Then it goes on with more sums, since such lines stand together."
    ),
    "The opposite of hot is not": Text("*Not* turns the meaning round, but the words around it stay the likely ones."),
    "My sister has two brothers, me and one more. So my sister's brothers are, together with my sister,": Text(
        "To answer one would have to count people; it continues a sentence that sounds like many others."
    ),
    "The first person who walked on Mars was": Text("Nobody was. It never says so: after such words a name comes."),
}
"""Beginnings at which small models fail, and why."""
BEGINNING = "The old clock in the kitchen"
TEMPERATURES = {0.0: Text("T = 0: the likeliest"), 0.8: Text("T = 0.8"), 1.8: Text("T = 1.8: nearly anything")}


def show_questions() -> None:
    """Understanding and creativity; the run above has answered the first."""
    st.subheader(_("Three questions to end with"), anchor=False)
    words = _(
        "**Can I train one on my own computer?** Yes, a tiny one from nothing, with a few million weights, or a "
        "small one further. A processor with two cores and nothing else to do needs about four minutes for the tiny "
        "one (a busy one more), in which it learns how words and sentences look, and hardly what they mean. A "
        "finished run tells above "
        "how long it took and what it cost."
    )
    st.markdown(words)
    if not is_here(VIEWS["next"], MODEL):
        return
    words = _(
        "**Does it understand?** Not as you do: it foretells what usually stands there. Where the usual is also true, "
        "that looks like understanding; where it is not, one sees the difference. Choose a beginning, and judge how "
        "{model} goes on.",
        model=title_of(MODEL),
    )
    st.markdown(words)
    prompt = st.selectbox(_("A beginning"), list(TRIALS), key="trial8", bind="query-params")
    if _is_asked("tried8", is_pressed=st.button(_("Let it go on"), key="try8", icon=":material/psychology_alt:")):
        show_text(prompt + go_on(MODEL, prompt))
        st.caption(_(TRIALS[prompt]))
    words = _(
        "**Can it be creative?** It can write what nobody has written; whether that is good, a reader has to say. "
        "The same beginning at three temperatures, written by {model}, which tells stories better than {other}. "
        "The bits say how surprised the model itself is by what was drawn: the more, the less usual the words. With "
        "new ideas comes nonsense, which is their price.",
        model=title_of(WRITER),
        other=title_of(MODEL),
    )
    st.markdown(words)
    is_asked = _is_asked("wrote8", is_pressed=st.button(_("Write three"), key="write8", icon=":material/edit:"))
    if is_asked and is_here(VIEWS["next"], WRITER):
        _show_three()


def _is_asked(name: str, *, is_pressed: bool) -> bool:
    """Whether its button was pressed, now or as the link says."""
    if is_pressed:
        st.query_params[name] = "yes"
    return st.query_params.get(name) == "yes"


def _show_three() -> None:
    for column, (temperature, words) in zip(st.columns(len(TEMPERATURES)), TEMPERATURES.items(), strict=True):
        with column:
            st.markdown(f"**{_(words)}**")
            text = BEGINNING + go_on(WRITER, BEGINNING, temperature)
            show_text(text)
            found = look("chain", ChainRequest(text, model=WRITER))
            if found is not None:
                st.caption(_("{number} bits of surprise a byte", number=f"{found.bits_per_byte:.2f}"))
