"""Why this answer: the words that speak for it and against another, asked for by a press, its cost said before."""

from __future__ import annotations

import streamlit as st

from engine.explain.why import MOST_ERROR, WhyRequest
from engine.messages import Text
from pages.parts import plots
from pages.parts.language import _, labelled
from pages.parts.looking import look, show_behind, show_origin, show_plot
from pages.parts.text import plain

METHODS = {"gradients": Text("Integrated gradients"), "occlusion": Text("Occlusion")}
LEVELS = {"words": Text("Words"), "sentences": Text("Sentences"), "tokens": Text("Tokens")}


def show_why(text: str, model_id: str, key: str) -> None:
    """The question, what it costs, and the answer once it was asked for."""
    left, middle, right = st.columns(3)
    answer = left.text_input(_("Why this? Empty: the likeliest"), key=f"{key}-answer", bind="query-params")
    rival = middle.text_input(_("And not this? Empty: the next likeliest"), key=f"{key}-rival", bind="query-params")
    method = right.selectbox(
        _("Method"),
        list(METHODS),
        format_func=labelled(METHODS, f"{key}-method"),
        key=f"{key}-method",
        bind="query-params",
    )
    request = WhyRequest(text, answer, rival, method, model_id)  # type: ignore[arg-type]
    st.caption(_("Integrated gradients take 8 to 120 passes of the model forth and back, occlusion one pass a token."))
    asked = st.session_state.setdefault("why-asked", set())
    if st.button(_("Find out"), key=f"{key}-go", icon=":material/psychology_alt:"):
        asked.add(request)
    result = look("why", request) if request in asked else None
    if result is None:
        return
    words = _("Why {answer} and not {rival}? The difference of their logits is {after}, and {before} without the text.",
              answer=repr(result.answer.strip()), rival=repr(result.rival.strip()), after=f"{result.after:.2f}",
              before=f"{result.before:.2f}")  # fmt: skip
    st.markdown(plain(words))
    level = st.segmented_control(
        _("Told by"), list(LEVELS), default="words", key=f"{key}-level", bind="query-params", required=True,
        format_func=labelled(LEVELS, f"{key}-level"),
    )  # fmt: skip
    parts = getattr(result, level)
    show_plot(plots.speaking(parts), key, _("What each part of the text adds for the answer and against the other."))
    share = f"{result.error:.0%}"
    if result.is_exact:
        st.caption(plain(_("The parts add up to the change but for {share}.", share=share)))
    else:
        words = _("The parts miss the change by {share}, more than {most}: take them as a hint only.", share=share,
                  most=f"{MOST_ERROR:.0%}")  # fmt: skip
        st.warning(plain(words), icon=":material/warning:")
    show_behind([{_("Part"): one.text, _("Adds"): one.value} for one in parts], key)
    show_origin(result)
