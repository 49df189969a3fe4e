"""What was asked on a page and what came of it belong together: on reload, back and forward, in links and in a history.

Each answer is kept under a key, and the address carries the key; short texts stand in the address too, so that a link
outlives it. Long texts never do: addresses have limits on their way.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, tzinfo
from typing import Any, Literal
from urllib.parse import quote
from zoneinfo import ZoneInfo

import streamlit as st

from engine.applications import APPLICATIONS, Application
from engine.applications.records import as_record, from_record
from engine.http.visitors import visitor_of
from engine.serving.access import owner_of
from engine.storage import StorageError
from engine.storage.visits import Visit
from pages.parts.engine import caller, house
from pages.parts.errors import show_error
from pages.parts.language import _
from pages.parts.text import day_of, plain

KEPT = "kept"
"""Of the key, in an address."""
MAX_LINK_BYTES = 1_000
"""Of texts in an address, as they are written there; the shortest limit on the way is 8 KB for all headers."""
MOST_BESIDE = 4
"""Answers beside the first."""
IGNORED = {"seed", "continuation", "rivals"}
"""Of requests, when it is asked whether they are the same."""
TEXTS = {"text", "question", "context"}
TYPED = {"labels", "glossary", "system", "reference", "stop"}
"""Fields of requests that are typed too, beside the settings."""
HERE, PAGE, ARRIVED, TRIED = "visit_here", "visit_page", "visit_arrived", "visit_tried"
CAME_BACK = "came_back"
"""In the session: its browser had a page of an earlier server open, and sends what stands in its inputs."""


@dataclass
class Exchange:
    """One answer: what was asked, the text so far, and how it stands."""

    request: Any
    text: str = ""
    state: Literal["asked", "coming", "done", "stopped", "failed"] = "asked"
    result: Any = None
    error: Exception | None = None
    pieces: int = 0
    """Tokens drawn so far, give or take those that came together."""
    started: float = field(default_factory=time.monotonic)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """The page's inputs by key, as they stood."""
    seconds: float | None = None
    """How long the last answer that came whole here took, loading not counted."""
    deeds: dict[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)
    """What else was asked about it, by name, as the API takes it."""
    visit: str | None = None
    """The key under which it is kept; "" where it could not be, None until it was tried."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing came of it that could be shown."""
        return self.state == "failed" and not self.text


def answer_of(key: str) -> Exchange | None:
    """The answer under this key, if something was asked."""
    answer: Exchange | None = st.session_state.get(key)
    return answer


@dataclass(frozen=True)
class Here:
    """The page that is drawn: its application, where its answer is in the session, and the keys of its inputs."""

    application: Application[Any, Any]
    answer: str
    texts: Sequence[str]
    settings: Sequence[str]

    @property
    def known(self) -> str:
        """Where the session has the key of what is shown."""
        return f"{self.application.id}-visit"


def note_page(name: str) -> None:
    """Called by the frame before a page is drawn: whether the visitor comes from another page."""
    st.session_state[ARRIVED] = st.session_state.get(PAGE) != name
    st.session_state[PAGE] = name
    st.session_state.pop(HERE, None)


def resume(application: Application[Any, Any], answer: str, texts: Sequence[str], settings: Sequence[str] = ()) -> None:
    """Before a page's inputs are drawn: put into them, and into its answer, what the address tells of."""
    here = st.session_state[HERE] = Here(application, answer, texts, (application.picker, *settings))
    link, known = st.query_params.get(KEPT, ""), st.session_state.get(here.known)
    if known is not None and link == known:
        return _tell_end(here, link)
    if known and not link and st.session_state[ARRIVED] and not any(name in st.query_params for name in texts):
        return _into_address(here, known)  # come back by the navigation, which leaves addresses bare
    st.session_state[here.known] = link
    try:
        found = house().visits.find(link, application.id) if link else None
    except StorageError as error:
        st.session_state.pop(here.known)  # another look comes with the next run
        show_error(error)
        return None
    if found:
        _restore(here, link, found)
        if known is not None:  # else the address of the page just opened has settings of its own
            st.rerun()  # on the way back an address sets its widgets once; what is set now stays
        return None
    st.session_state.pop(answer, None)
    if not st.session_state.pop(CAME_BACK, False):
        st.session_state.update({name: st.query_params[name] for name in texts if name in st.query_params})
    return _tell_end(here, link)


def is_tried(application: Application[Any, Any]) -> bool:
    """Whether the visitor just asked on Home to try it; a link cannot say so."""
    return bool(st.session_state.pop(TRIED, None) == application.id)


def take_inputs(answer: str) -> dict[str, Any]:
    """The inputs as they stand, for the answer under that key; nothing where the page keeps none."""
    here: Here | None = st.session_state.get(HERE)
    if here is None or here.answer != answer:
        return {}
    return {name: st.session_state.get(name) for name in (*here.texts, *here.settings)}


def keep(key: str, answer: Exchange) -> None:
    """Keep an answer that has come, once, and have the address carry it."""
    here: Here | None = st.session_state.get(HERE)
    if answer.visit is not None or here is None or here.answer != key or not (answer.text or answer.result):
        return
    content = record_of(here.application, answer)
    title = " · ".join(str(answer.inputs[name]).strip() for name in here.texts)
    answer.visit = house().visits.keep(visitor(), here.application.id, title, content)
    if not answer.visit and house().settings.storage_bytes:
        st.toast(
            _("This answer could not be kept: it has no link and stands in no history."), icon=":material/link_off:"
        )
    st.session_state[here.known] = answer.visit
    _into_address(here, answer.visit)


def keep_again(answer: Exchange) -> None:
    """Have what is kept of an answer hold it as it is now, where it is this visitor's own."""
    here: Here | None = st.session_state.get(HERE)
    if here is not None and answer.visit:
        with suppress(StorageError):
            house().visits.add(visitor(), answer.visit, here.application.id, record_of(here.application, answer))


def record_of(application: Application[Any, Any], answer: Exchange) -> dict[str, Any]:
    """An answer as it is kept."""
    content = as_record(application, answer.request, answer.result)
    return content | {"text": answer.text, "state": answer.state, "inputs": answer.inputs}


def leave(key: str) -> None:
    """Begin anew: nothing is shown under that key, and the address tells of nothing."""
    here: Here | None = st.session_state.get(HERE)
    st.session_state.pop(key, None)
    if here is not None:
        st.session_state[here.known] = ""
        st.query_params.pop(KEPT, None)


def beside_name(key: str, number: int) -> str:
    """Where the session has what was asked beside the answer under that key."""
    return f"{key}-beside-{number}"


def keep_beside(answer: Exchange, others: Sequence[Exchange]) -> None:
    """Have what is kept of an answer hold those that came beside it, once all have."""
    here: Here | None = st.session_state.get(HERE)
    if here is None or not answer.visit or all(other.visit == answer.visit for other in others):
        return
    if any(other.state != "done" for other in others):
        return
    records = [record_of(here.application, other) for other in others]
    try:
        house().visits.add(visitor(), answer.visit, here.application.id, {"beside": records})
    except StorageError:
        return
    for other in others:
        other.visit = answer.visit


def difference(answer: Exchange, now: Any) -> str:
    """Which of the inputs are others than those of the answer: "" for none, "text", "settings", or "typed" alone."""
    if now is None:
        return ""
    before, after = asdict(answer.request), asdict(now)
    changed = {name for name in before.keys() - IGNORED if before[name] != after.get(name)}
    drawn = getattr(answer.result, "settings", {}).get("seed")
    if after.get("seed") not in (None, before.get("seed"), drawn):
        changed.add("seed")
    if changed & TEXTS:
        return "text"
    return "settings" if changed - TYPED else "typed" if changed else ""


def is_new(key: str, now: Any) -> bool:
    """Whether the answer under that key is of another request than this."""
    answer = answer_of(key)
    return answer is None or answer.request != now


def link_additions() -> dict[str, str]:
    """What a copied link says besides the page's address: the seed that was drawn, so that the text comes again."""
    here: Here | None = st.session_state.get(HERE)
    answer = answer_of(here.answer) if here else None
    if here is None or answer is None:
        return {}
    seed = getattr(answer.result, "settings", {}).get("seed")
    names = [name for name in here.settings if name.endswith("_seed")]
    return {} if seed is None else {name: str(seed) for name in names if answer.inputs.get(name) is None}


def show_history() -> None:
    """The visitor's own visits of the page, to load again or to delete."""
    here: Here | None = st.session_state.get(HERE)
    if here is None or not house().settings.storage_bytes:
        return
    opened = st.popover(_("History"), icon=":material/history:", key="history", on_change="rerun")
    if not opened.open:
        return
    with opened:
        try:
            visits = house().visits.of(visitor(), here.application.id)
        except StorageError as error:
            return show_error(error)
        st.caption(_("Kept for {days:g} days, for this browser alone. Links to a visit end with it.",
                     days=house().settings.keep_days))  # fmt: skip
        for visit in visits:
            _show_visit(here, visit)
        if not visits:
            st.caption(_("Nothing yet."))
        else:
            st.button(
                _("Delete all"), icon=":material/delete:", key="history-delete", on_click=_forget, args=(here, None)
            )
        _show_everything()


def _show_everything() -> None:
    """The visitor's own of all pages, to take along or to delete."""
    st.caption(_("Everything that is kept of this browser, visits of all pages and what was shared:"))
    with st.container(horizontal=True):
        st.download_button(
            _("Download"), _everything, "parlance.json", "application/json", icon=":material/download:",
            key="everything", on_click="ignore",
        )  # fmt: skip
        st.button(_("Delete"), icon=":material/delete_forever:", key="everything-delete", on_click=_forget_everything)


def _everything() -> str:
    documents = house().documents
    owner = owner_of(house().settings, caller())
    kept = [documents.read(owner, one.id).as_json() for one in documents.of(owner)]
    found = house().visits.all_of(visitor(), APPLICATIONS) | ({"documents": kept} if kept else {})
    return json.dumps(found, ensure_ascii=False, indent=1)


def _forget_everything() -> None:
    house().visits.forget_all(visitor(), APPLICATIONS)
    house().documents.forget(owner_of(house().settings, caller()))


def _show_visit(here: Here, visit: Visit) -> None:
    when = day_of(datetime.fromtimestamp(visit.at, _zone()), "%Y-%m-%d %H:%M")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(plain(visit.title), width="stretch")
        st.caption(when, width="content")
        st.button(_("Load again"), key=f"load-{visit.key}", on_click=_load, args=(here, visit.key))
        st.button(_("Delete"), key=f"forget-{visit.key}", on_click=_forget, args=(here, visit.key))


def _load(here: Here, key: str) -> None:
    if found := house().visits.find(key, here.application.id):
        st.session_state[here.known] = key
        _restore(here, key, found)
        _into_address(here, key)


def _forget(here: Here, key: str | None) -> None:
    house().visits.forget(visitor(), here.application.id, key)


def _restore(here: Here, link: str, found: Mapping[str, Any]) -> None:
    inputs = {name: value for name, value in found["inputs"].items() if name in (*here.texts, *here.settings)}
    if not st.session_state.pop(CAME_BACK, False):
        st.session_state.update(inputs)
    request, result = from_record(here.application, dict(found))
    st.session_state.pop(here.answer, None)
    if request is not None:
        st.session_state[here.answer] = Exchange(
            request, found["text"], found["state"], result, visit=link, inputs=inputs
        )
    for number in range(MOST_BESIDE):
        st.session_state.pop(beside_name(here.answer, number), None)
    for number, record in enumerate(found.get("beside", ())[:MOST_BESIDE]):
        request, result = from_record(here.application, record)
        if result is not None:
            other = Exchange(request, record["text"], "done", result, visit=link)
            st.session_state[beside_name(here.answer, number)] = other


def _into_address(here: Here, key: str) -> None:
    """Short texts as they are, and the key of what is kept."""
    texts = {name: str(st.session_state.get(name) or "") for name in here.texts}
    is_short = sum(len(quote(text)) for text in texts.values()) <= MAX_LINK_BYTES
    said = (texts if is_short else {}) | ({KEPT: key} if key else {})
    for name in (*here.texts, KEPT):
        if name not in said and name in st.query_params:
            del st.query_params[name]
    st.query_params.update(said)


def _tell_end(here: Here, link: str) -> None:
    if link and answer_of(here.answer) is None:
        days = house().settings.keep_days
        words = _(
            "What this link led to is not kept any more: visits end after {days:g} days, or when deleted.", days=days
        )
        st.info(words, icon=":material/link_off:")


def visitor() -> str:
    """The browser's own number; one of this session where it takes no cookies."""
    own: str = st.session_state.setdefault("visitor", secrets.token_urlsafe(24))
    return visitor_of(st.context.cookies) or own


def _zone() -> tzinfo | None:
    try:
        return ZoneInfo(st.context.timezone or "")
    except (ValueError, LookupError, OSError):
        return None
