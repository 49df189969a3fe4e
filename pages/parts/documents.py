"""Documents of this visitor: brought, listed with how far they are, chosen to be asked, and deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from engine.applications.snippets import curl_document, python_document
from engine.documents import ENDINGS
from engine.documents.shelf import Kept
from engine.errors import PeopleError
from engine.messages import counted
from engine.serving import access
from engine.serving.indexing import Progress
from engine.sizes import seconds_in_words
from pages.parts.engine import caller, house, may
from pages.parts.errors import errors_shown, show_error
from pages.parts.language import _
from pages.parts.share import origin
from pages.parts.snippets import show_code
from pages.parts.text import plain

UPLOADER, LEFT_OUT, STOPPED = "documents_turn", "documents_left_out", "documents_stopped"
READ, AGAIN = "documents_read", "documents_again"
"""Files of this session that were read, and what is said of each document that the last ones brought again."""
DRAW_SECONDS = 1.0


def owner() -> str:
    """Whose documents this visitor's are."""
    return access.owner_of(house().settings, caller())


def choose_documents(errors: Any) -> list[str]:
    """Bring documents, list this visitor's, and return the ids of those that are to be asked."""
    if not may("upload"):
        st.info(_("This public site takes no documents. Paste a passage instead."), icon=":material/info:")
    else:
        _bring(errors)
    try:
        documents = house().documents.of(owner())
        progress = {one.id: house().indexing.progress(owner(), one.id) for one in documents}
    except PeopleError as error:
        show_error(error, errors)
        return []
    _go_on(documents, progress)
    if not documents:
        st.caption(_("No documents yet. Bring reports, notes or pages; they are searched by words and by meaning."))
        return []
    is_moving = any(one.state in ("waiting", "working") for one in progress.values())
    st.fragment(_list, run_every=DRAW_SECONDS if is_moving else None)(is_moving)
    left_out = st.session_state.setdefault(LEFT_OUT, set())
    return [one.id for one in documents if one.id not in left_out]


def _bring(errors: Any) -> None:
    turn = st.session_state.setdefault(UPLOADER, 0)
    kinds = [ending[1:] for ending in ENDINGS]
    files = st.file_uploader(
        _("Documents"), kinds, accept_multiple_files=True, key=f"documents_{turn}", on_change=_forget_notes
    )
    if not files:
        return
    read = st.session_state.setdefault(READ, set())
    for number, file in enumerate(files, 1):
        if file.file_id in read:
            continue
        words = _("Reading {name}, file {number} of {count}…", name=file.name, number=number, count=len(files))
        with st.spinner(words), errors_shown(errors):
            _note(house().bring(file.getvalue(), file.name, caller()))
            read.add(file.file_id)
    if all(file.file_id in read for file in files):  # else they stay beside what is wrong with them
        st.session_state[UPLOADER] = turn + 1
        st.rerun()


def _note(kept: Kept) -> None:
    """One that was here already says so where it stands."""
    if kept.is_again:
        st.session_state.setdefault(AGAIN, {})[kept.id] = kept.notes[0]


def _forget_notes() -> None:
    st.session_state.pop(AGAIN, None)


def _go_on(documents: list[Kept], progress: dict[str, Progress]) -> None:
    """Indexes that a restart of the server interrupted begin anew; those that were stopped by hand do not."""
    for one in documents:
        if progress[one.id].state == "stopped" and one.id not in st.session_state.setdefault(STOPPED, set()):
            house().indexing.begin(owner(), one.id, caller())
            progress[one.id] = house().indexing.progress(owner(), one.id)


def _list(was_moving: bool) -> None:
    """The documents, drawn anew while their indexes are made."""
    with errors_shown():
        documents = house().documents.of(owner())
        found = [(one, house().indexing.progress(owner(), one.id)) for one in documents]
        for one, progress in found:
            _show(one, progress)
        with st.container(horizontal=True, vertical_alignment="center"):
            days = house().settings.document_days
            st.caption(_("Yours alone, and kept for {days:g} days.", days=days), width="stretch")
            with st.container(horizontal=True, width="content"):  # both in one line
                _offer_code(documents)
                if len(documents) > 1:
                    st.button(_("Delete all"), icon=":material/delete:", type="tertiary", on_click=_forget)
        if was_moving and not any(progress.state in ("waiting", "working") for _, progress in found):
            st.rerun()


def _offer_code(documents: list[Kept]) -> None:
    """The code that brings the latest document, looks how far it is, and deletes it."""
    if not documents:
        return
    opened = st.popover(_("Code"), icon=":material/terminal:", type="tertiary", key="documents-code", on_change="rerun")
    if opened.open:
        with opened:
            words = _("Bring a document, see how far its index is, and delete it, by the HTTP API:")
            name = documents[0].name
            show_code(words, curl_document(origin(), name), python_document(origin(), name))


def _show(one: Kept, progress: Progress) -> None:
    left_out = st.session_state.setdefault(LEFT_OUT, set())
    with st.container(horizontal=True, vertical_alignment="center", key=f"document-{one.id}"):
        st.checkbox(
            plain(one.title), one.id not in left_out, key=f"asked-{one.id}", width="stretch", on_change=_choose,
            args=(one.id,), help=plain(one.name),
        )  # fmt: skip
        st.caption(_size(one), width="content")
        if progress.state in ("waiting", "working"):
            _icon_button(_("Stop"), "stop", one.id, _stop)
        elif progress.state in ("stopped", "failed"):
            _icon_button(_("Go on"), "play_arrow", one.id, _begin)
        _icon_button(_("Delete"), "delete", one.id, _delete)
    if progress.state != "done":
        st.progress(progress.done / max(1, progress.total), _state(progress))
    again = st.session_state.get(AGAIN, {}).get(one.id)
    for note in (again, *one.notes) if again else one.notes:
        st.caption(f":material/info: {plain(_(note))}")


def _icon_button(label: str, icon: str, id: str, act: Callable[[str], None]) -> None:
    """Its label is heard and not seen: `icon-` in the key."""
    st.button(label, icon=f":material/{icon}:", key=f"icon-{icon}-{id}", help=label, on_click=act, args=(id,))


def _size(one: Kept) -> str:
    words = _(counted("{count:,} word", "{count:,} words", one.words))
    return words if not one.pages else f"{_(counted('{count} page', '{count} pages', one.pages))} · {words}"


def _state(progress: Progress) -> str:
    if progress.error is not None:
        return plain(_(progress.error.text))
    if progress.state == "stopped":
        return _("Searched by words; by meaning up to where it was stopped.")
    if progress.state == "failed":
        return _("Searched by words alone: its index by meaning could not be made.")
    if progress.seconds_left is None:
        return _("Searched by words; its index by meaning waits for its turn.")
    left = seconds_in_words(max(1, round(progress.seconds_left)))
    return _("Searched by words; by meaning in about {time}.", time=_(left))


def _choose(id: str) -> None:
    chosen = st.session_state[f"asked-{id}"]
    (st.session_state[LEFT_OUT].discard if chosen else st.session_state[LEFT_OUT].add)(id)


def _stop(id: str) -> None:
    st.session_state.setdefault(STOPPED, set()).add(id)
    house().indexing.stop(id)


def _begin(id: str) -> None:
    st.session_state.setdefault(STOPPED, set()).discard(id)
    house().indexing.begin(owner(), id, caller())


def _delete(id: str) -> None:
    house().indexing.stop(id)
    house().documents.delete(owner(), id)


def _forget() -> None:
    for one in house().documents.of(owner()):
        _delete(one.id)
