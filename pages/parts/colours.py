"""A draft whose words are coloured by how likely the model found them, with what else could have stood there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import streamlit as st

from engine.applications.write import APPLICATION, WriteRequest, WriteResult
from pages.parts.drafts import COLOURED, RIVALS, is_coloured, told_of
from pages.parts.engine import caller, house
from pages.parts.errors import show_error
from pages.parts.language import _
from pages.parts.snippets import note_deed
from pages.parts.tokens import pieces_of, show_pieces
from pages.parts.visits import Exchange

PICKED, FAILED = "draft-picked", "draft-tokens-failed"
"""The token and the rival that were clicked; the answer whose tokens could not be told."""


def offer_colours(answer: Exchange) -> None:
    """The switch below a draft; not of one in a form, which code put together from many."""
    st.toggle(
        _("Probabilities"), key=COLOURED, bind="query-params", disabled=bool(answer.request.form),
        help=_("Colours each word by how likely the model found it. Point at one, or go there with Tab and the arrow "
               "keys, to see what else could have come; choose one, and the text goes on from there."),
    )  # fmt: skip
    if is_coloured() and st.session_state.get(FAILED) is answer:
        st.caption(
            _("The same text did not come again, so that its probabilities are not known. A new draft has them.")
        )


def picked() -> tuple[int, int] | None:
    """The token and its rival that were just chosen, once."""
    found: tuple[int, int] | None = st.session_state.pop(PICKED, None)
    return found


def show_colours(answer: Exchange, before: str, key: str) -> bool:
    """Draw a draft with its tokens where the switch is on and they can be told; whether it did."""
    if not is_coloured() or answer.request.form:
        return False
    tokens = tell_tokens(answer)
    if not tokens:
        return False

    def pick(token: int, rival: int | None) -> None:
        if rival is not None:
            st.session_state[PICKED] = int(token), int(rival)

    pieces = pieces_of(before + answer.text, tokens, len(before))
    show_pieces(pieces, f"{key}-tokens", pick, label=_("The draft, word by word"), is_serif=True)
    st.caption(
        _(
            ":orange[**Orange**]: the model found it unlikely; :green[**green**]: likely. By its own probabilities, "
            "before temperature and filters."
        )
    )
    return True


def tell_tokens(answer: Exchange) -> list[Any]:
    """The tokens of an answer; where they did not come with it, it is written again with its seed, which gives them.

    They are put into its result. Nothing where the same text does not come again.
    """
    if answer.result is None or told_of(answer) or st.session_state.get(FAILED) is answer:
        return told_of(answer)
    seed = answer.result.settings.get("seed", answer.request.seed)
    asked = replace(answer.request, seed=seed, model=answer.result.model, rivals=RIVALS)
    result = _written(asked, lambda part: _("Asking how likely each word was: {percent}", percent=f"{part:.0%}"))
    if result is not None and result.text == answer.text:
        answer.result = replace(answer.result, tokens=result.tokens, probability=result.probability)
        note_deed(answer, _("Probabilities"), APPLICATION, asked, result)
    else:
        st.session_state[FAILED] = answer
    return told_of(answer)


def _written(asked: WriteRequest, said: Callable[[float], str]) -> WriteResult | None:
    """What comes of a request, with how far it is; nothing where it fails, which is said."""
    place, most, count = st.empty(), asked.max_new_tokens or 1, 0
    events = APPLICATION.stream(house().engine, asked, caller())
    try:
        for event in events:
            count += event.kind == "text"
            place.caption(":material/hourglass_top: " + said(min(1.0, count / most)))
            if event.kind == "done":
                found: WriteResult = event.result
                return found
    except Exception as error:
        show_error(error)
    finally:
        events.close()  # type: ignore[attr-defined]
        place.empty()
    return None
