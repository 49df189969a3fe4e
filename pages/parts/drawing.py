"""Drawing the next word by lot: one after the other, as a model writes, and a hundred times at one place."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import streamlit as st

from engine.explain.choosing import MOST_DRAWS, NextRequest, NextResult, tally
from engine.requests import MAX_SEED
from pages.parts import plots
from pages.parts.language import _
from pages.parts.looking import look, show_behind, show_plot
from pages.parts.readings import quoted
from pages.parts.text import plain, show_marks

MOST_WORDS, MOST_BARS = 60, 20
"""That can be drawn, whose ids stand in the link; and of a hundred draws those in the picture: the table has all."""
END = "end"
"""In the link, after the ids: a mark was drawn, with which a model ends."""


def draw_words(request: NextRequest, key: str) -> NextRequest:
    """The seed, and a button that draws a word and appends it; the request as it is after the words so far."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        seed = st.number_input(
            _("Seed"), 0, MAX_SEED, 1, key=f"{key}-seed", bind="query-params", width=150,
            help=_("The lot is drawn by numbers that follow from it: the same seed and settings draw the same words."),
        )  # fmt: skip
        drawn = _drawn(request, key)
        is_over = drawn[-1:] == [END] or len(drawn) >= MOST_WORDS
        is_pressed = st.button(_("Draw a word"), key=f"{key}-draw", icon=":material/casino:", disabled=is_over)
        again = st.empty()
    request = replace(request, seed=int(seed), begun=_ids(drawn))
    if is_pressed and (found := look("next", replace(request, draws=1))):
        (word,) = found.drawn
        drawn = [*drawn, END if word.is_end else str(word.id)]
        st.query_params[f"{key}-drawn"] = ".".join([_name(request), *drawn])
    if drawn:
        again.button(_("Start again"), key=f"{key}-afresh", icon=":material/undo:", on_click=_forget, args=(key,))
    return replace(request, begun=_ids(drawn))


def show_words(request: NextRequest, result: NextResult, key: str) -> None:
    """The text with the words that were drawn."""
    drawn = _drawn(request, key)
    if not drawn:
        return
    text, spans = request.text, []
    for piece in result.begun:
        spans.append((len(text), len(text) + len(piece.text)))
        text += piece.text
    show_marks(text, spans)
    if drawn[-1] == END:
        st.caption(_("Here a mark was drawn that stands for no text: with it the model ends."))
    elif len(drawn) >= MOST_WORDS:
        st.caption(_("So many words can be drawn here. Start again, or copy the text into the box above."))
    else:
        st.caption(_("Marked is what was drawn. The bars below are for the word after it."))


def offer_hundred(request: NextRequest, key: str) -> None:
    """How often each word comes in a hundred draws, beside how often it was to be expected."""
    words = _("Draw the next word {count} times", count=MOST_DRAWS)
    if not st.toggle(words, key=f"{key}-hundred", bind="query-params"):
        return
    result = look("next", replace(request, draws=MOST_DRAWS))
    if result is None:
        return
    told = tally(result)
    st.markdown(plain(_(
        "Of {count} draws: {list}. No draw remembers the one before it, so a word often comes some times more or less "
        "than is to be expected; the more draws, the nearer the shares come to the bars. With another seed the counts "
        "are others.",
        count=MOST_DRAWS,
        list=", ".join(f"{quoted(one.text)} {one.count}×" for one in sorted(told, key=lambda one: -one.count)[:5]),
    )))  # fmt: skip
    series = {
        _("to be expected"): {plots.seen(one.text): one.expected for one in told[:MOST_BARS]},
        _("came"): {plots.seen(one.text): float(one.count) for one in told[:MOST_BARS]},
    }
    alt = _("How often each word came in {count} draws. {list}.", count=MOST_DRAWS,
            list=", ".join(f"{one.text.strip()} {one.count}" for one in told))  # fmt: skip
    show_plot(plots.grouped(series, _("times")), f"{key}-tally", alt)
    rows = [
        {_("Token"): one.text, _("Id"): one.id, _("To be expected"): one.expected, _("Came"): one.count} for one in told
    ]
    show_behind(rows, f"{key}-tally")


def _name(request: NextRequest) -> str:
    """What the words were drawn for: they follow no other text, and are no other model's."""
    return hashlib.sha256(f"{request.model}\n{request.text}".encode("utf-8", "replace")).hexdigest()[:6]


def _drawn(request: NextRequest, key: str) -> list[str]:
    """Ids, and perhaps the end, as the link has them."""
    name, *words = str(st.query_params.get(f"{key}-drawn", "")).split(".")
    ids = words[:-1] if words[-1:] == [END] else words
    is_ours = name == _name(request) and all(id.isascii() and id.isdigit() and len(id) < 9 for id in ids)
    return words[:MOST_WORDS] if is_ours else []


def _ids(drawn: list[str]) -> tuple[int, ...]:
    return tuple(int(id) for id in drawn if id != END)


def _forget(key: str) -> None:
    st.query_params.pop(f"{key}-drawn", None)
