"""The head of every page, and what *Share* offers: links to settings, result and demo, a QR code, code to embed."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urlencode, urlsplit

import segno
import streamlit as st

from engine.applications import APPLICATIONS, sharing
from engine.http.links import HERE_ALONE, embed_code
from engine.storage.links import Link
from pages.parts.copying import copy_link, copy_text, reached
from pages.parts.engine import house, may
from pages.parts.errors import errors_shown
from pages.parts.language import _
from pages.parts.text import day_of, plain
from pages.parts.visits import HERE, Here, answer_of, show_history, visitor

PLACE = "header_place"
SHARED = "shared_links"
"""In the session: the key of the link to each answer shared in it, by the answer's own."""


def header(title: str, summary: str) -> None:
    """The head of every page: title, one sentence, and room for `tools`."""
    left, right = st.columns([4, 2], vertical_alignment="bottom")
    left.title(title, anchor=False)
    left.caption(summary)
    st.session_state[PLACE] = right.container(horizontal=True, horizontal_alignment="right")


def tools() -> None:
    """Fill the head of the page that was drawn: the answer decides what its link says and what its history holds."""
    place = st.session_state.pop(PLACE, None)
    if place is None or st.context.is_embedded:
        return
    with place:
        show_history()
        opened = st.popover(_("Share"), icon=":material/share:", key="share", on_change="rerun")
        if opened.open:
            with opened:
                _show_share()


def _show_share() -> None:
    st.markdown("**" + _("This page with its settings") + "**")
    copy_link()
    _base, who = reached()
    st.caption(_(who))
    if who == HERE_ALONE:
        words = _("Start with `make serve` to let your network in, or with `make share` to let anybody in for a while.")
        st.caption(f":material/info: {words}")
    here: Here | None = st.session_state.get(HERE)
    link = None
    if here is not None and house().settings.storage_bytes:
        st.markdown("**" + _("This result") + "**")
        with errors_shown():
            link = _show_result(here)
    address = origin() + link.path if link else _page_address()
    with st.expander(_("QR code"), icon=":material/qr_code:", key="share-qr"):
        _show_code(address)
    if here is not None:
        with st.expander(_("Embed in a site"), icon=":material/code:", key="share-embed"):
            _show_embedding(here.application.id, dict(st.query_params))
    if house().settings.storage_bytes:
        with st.expander(_("Your links"), icon=":material/link:", key="share-links"), errors_shown():
            _show_links()


def _show_result(here: Here) -> Link | None:
    """The link to the answer on the page, or the button that makes one."""
    answer = answer_of(here.answer)
    if answer is None or answer.state not in ("done", "stopped") or not (answer.text or answer.result):
        st.caption(_("Ask first: the link then leads to the answer as it stands."))
        return None
    known: dict[str, str] = st.session_state.setdefault(SHARED, {})
    name = answer.visit or str(id(answer))
    link = house().links.find(known.get(name, ""))
    days = house().settings.share_days
    if link is None:
        st.caption(_("Whoever has the link sees what was asked and what came, for {days:g} days.", days=days))
        if st.button(_("Make a link"), icon=":material/add_link:", key="share-result"):
            link = sharing.share(
                house(), here.application, answer.request, answer.result, answer.text, visitor()
            )  # fmt: skip
            known[name] = link.key
            st.rerun()
        return None
    _show_address(origin() + link.path, "shared-result")
    st.caption(_ending(link) + " " + _("You can delete it below; others can only read and report it."))
    return link


def show_demo_link(link: Link) -> None:
    """The ways to give away the page of a tuned model."""
    _base, who = reached()
    _show_address(origin() + link.path, f"demo-{link.key}")
    st.caption(_(who))
    _show_code(origin() + link.path)
    application = APPLICATIONS[link.page]
    _show_embedding(application.id, {application.picker: link.content["model_title"]})


def _show_address(address: str, key: str) -> None:
    st.code(address, language=None, wrap_lines=True)
    with st.container(horizontal=True):
        copy_text(address, key)
        st.link_button(_("Open"), address, icon=":material/open_in_new:")


def _show_code(address: str) -> None:
    picture = segno.make(address, micro=False).svg_inline(scale=4, border=4, dark="#000", light="#fff")
    st.image(picture, alt=_("The address as a QR code"), width=200)


def _show_embedding(page: str, settings: dict[str, str]) -> None:
    sites = house().settings.frame_ancestors
    if not sites:
        words = _("No other site may show this one in a frame. Whoever runs it can allow sites with {setting}.",
                  setting="PARLANCE_FRAME_ANCESTORS")  # fmt: skip
        st.caption(f":material/lock: {words}")
        return
    st.code(embed_code(origin(), page, settings), language="html", wrap_lines=True)
    st.caption(_("Works on {sites}.", sites=plain(sites)))


def _show_links() -> None:
    """The visitor's own links, to open or delete."""
    links = house().links.of(visitor())
    if not links:
        st.caption(_("Nothing yet."))
    for link in links:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"[{plain(link.title) or '–'}]({link.path})", width="stretch")
            st.caption(_ending(link), width="content")
            with st.container(horizontal=True, width="content"):  # both in one line
                if may("pin"):
                    label = _("Unpin") if link.is_pinned else _("Pin")
                    st.button(label, key=f"pin-{link.key}", on_click=_pin, args=(link,))
                st.button(_("Delete"), key=f"unshare-{link.key}", on_click=_delete, args=(link,))


def _ending(link: Link) -> str:
    if link.is_pinned:
        return _("Kept until it is deleted.")
    return _("Kept until {day}.", day=day_of(datetime.fromtimestamp(link.ends, UTC)))


def _pin(link: Link) -> None:
    house().links.pin(link.key, not link.is_pinned)


def _delete(link: Link) -> None:
    house().links.delete(link.key)


def origin() -> str:
    """The beginning of addresses that others can use."""
    base, _who = reached()
    parts = urlsplit(st.context.url or "")
    return base or f"{parts.scheme}://{parts.netloc}"


def _page_address() -> str:
    parts = urlsplit(st.context.url or "")
    words = urlencode({name: st.query_params.get_all(name) for name in st.query_params}, doseq=True)
    return f"{origin()}{parts.path}" + (f"?{words}" if words else "")
