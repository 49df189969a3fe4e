"""Asking for a view and keeping what came, with progress and a Stop button; what stands behind a plot."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from engine.applications.snippets import body_of
from engine.explain import VIEWS, notebook
from engine.explain.view import View
from engine.requests import Generate, Sampling
from pages.parts.curves import draw
from pages.parts.engine import caller, house
from pages.parts.errors import errors_shown, show_error
from pages.parts.language import _
from pages.parts.picker import offer
from pages.parts.snippets import show_request
from pages.parts.tables import as_csv
from pages.parts.text import plain

KEPT, STOPPED = "looked", "looked-stopped"
NUMBERS = itertools.count()
"""Of buttons: the same may be asked for twice on a page."""
MOST_KEPT = 24
MOST_TOLD = 2_000
"""Cells of a table that is drawn whole."""
MOST_ROWS, HEIGHT = 12, 440
"""Rows from which a table scrolls, and its height then in pixels."""


def is_here(view: View, model_id: str) -> bool:
    """Whether the model is on this machine; else what to do about it is drawn."""
    if house().store.availability(model_id).state == "ready":
        return True
    offer(house().catalogue.find(model_id))
    return False


def look(name: str, request: Any) -> Any:
    """The result of a view for a request, worked on now where the session has it not; None where there is none."""
    kept: dict[Any, Any] = st.session_state.setdefault(KEPT, {})
    key = (name, request)
    if key in kept:
        return kept[key]
    if st.session_state.get(STOPPED) == key:
        st.caption(":material/stop_circle: " + _("Stopped."))
        st.button(_("Look again"), key=f"again-{next(NUMBERS)}", on_click=_again)
        return None
    bar = st.empty()
    with bar.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        note = st.empty()
        st.button(_("Stop"), key=f"stop-{next(NUMBERS)}", icon=":material/stop:", on_click=_stop, args=(key,))
    result = _result(VIEWS[name], request, note)
    bar.empty()
    if result is not None:
        kept[key] = result
        while len(kept) > MOST_KEPT:
            del kept[next(iter(kept))]
    return result


def _result(view: View, request: Any, note: Any) -> Any:
    events = view.stream(house().engine, request, caller())
    try:
        for event in events:
            if event.kind == "done":
                return event.result
            note.caption(":material/hourglass_top: " + _progress(event))
    except Exception as error:
        show_error(error)
    finally:
        events.close()  # type: ignore[attr-defined]
    return None


def _progress(event: Any) -> str:
    if event.kind == "loading":
        return _("Reading the model into memory, once…")
    if event.kind == "text":
        return _("Layer {part}", part=event.text.strip())
    return (
        _("Waiting for a turn: number {position} in the queue", position=event.position)
        if event.position
        else _("Looking…")
    )


def _stop(key: Any) -> None:
    st.session_state[STOPPED] = key


def _again() -> None:
    st.session_state.pop(STOPPED, None)


def go_on(model_id: str, prompt: str, temperature: float = 0.0) -> str:
    """How a model goes on, by default with the likeliest token each time; kept in the session."""
    kept: dict[Any, str] = st.session_state.setdefault("gone-on", {})
    key = (model_id, prompt, temperature)
    if key not in kept and prompt.strip():
        with errors_shown(), st.spinner(_("Looking…")):
            asked = Generate(prompt, sampling=Sampling(max_new_tokens=24, temperature=temperature, seed=1))
            (result,) = house().engine.run(model_id, [asked], caller())
            kept[key] = str(getattr(result, "text", ""))
    return kept.get(key, "")


def show_plot(figure: Mapping[str, Any], key: str, alt: str) -> None:
    """A plot that can be saved."""
    draw(figure, key=key, alt=alt, saves=_("Save as"))


def show_behind(
    rows: Sequence[Mapping[str, Any]], key: str, view: str = "", model_id: str = "", request: Any = None
) -> None:
    """The table behind a plot, as a file too, and the code that gives the same figures."""
    with st.expander(_("Table and files"), icon=":material/table:", key=f"{key}-behind"):
        show_table(rows, key)
        if not view:
            return
        code = notebook.cell(view, house().catalogue.find(model_id) if model_id else None, request)
        if code:
            st.caption(_("A notebook's cell that gives the same figures:"))
            st.code(code, language="python")
        else:
            st.caption(_("A notebook's cell cannot give these figures: transformers does not read this model's files, "
                         "or a template of Parlance made what was asked."))  # fmt: skip
        if view and request:
            words = _("The same, asked of the HTTP API:")
            show_request(words, VIEWS[view].id, body_of(VIEWS[view], request), key)


def show_table(rows: Sequence[Mapping[str, Any]], key: str) -> None:
    """Figures as a table, and as a file."""
    show_rows(rows, f"{key}-table")
    st.download_button(
        _("Download CSV"), as_csv(rows), f"{key}.csv", "text/csv", icon=":material/download:", key=f"{key}-csv"
    )


def show_rows(rows: Sequence[Mapping[str, Any]], key: str) -> None:
    """A small table whole, as a screen reader reads tables; a large one to scroll and sort in, of which only what is in
    view is there for a screen reader, and which the arrow keys walk through."""
    if sum(map(len, rows)) > MOST_TOLD:
        st.dataframe(list(rows), hide_index=True, key=key)
        return
    told = [{plain(name): plain(_in_words(cell)) for name, cell in row.items()} for row in rows]
    st.table(told, hide_index=True, height=HEIGHT if len(told) > MOST_ROWS else "content")


def _in_words(cell: Any) -> str:
    """A number to four digits; an absent one is nothing."""
    return "" if cell is None else f"{cell:.4g}" if isinstance(cell, float) else str(cell).replace("\n", "↵")


def show_origin(result: Any) -> None:
    """With what it was computed."""
    st.caption(plain(_(result.origin)))
