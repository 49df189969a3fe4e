"""The parts of the page Host, one a tab."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import streamlit as st

from engine.applications import APPLICATIONS
from engine.http.callers import OTHERS
from engine.messages import Text
from engine.serving.access import members_may
from engine.serving.allowances import SETTINGS
from engine.serving.limited import PAUSED
from engine.storage.links import Link
from pages.parts.engine import caller, house
from pages.parts.language import _
from pages.parts.sizes import size_in_words
from pages.parts.status import what_it_does
from pages.parts.text import day_of, plain

ROLES = {"visitor": Text("visitor"), "member": Text("member")}
LINK_NAMES = {"share": Text("result"), "demo": Text("demo")}
MADE = "made_key"
"""In the session: the secret of the key just made, which is shown once."""


def show_now() -> None:
    """The pause, and each model with who waits for it."""
    hosting = house().hosting
    st.toggle(
        _("Pause: nobody else gets an answer"), hosting.is_on(PAUSED), key="pause",
        on_change=lambda: hosting.switch(PAUSED, bool(st.session_state["pause"])),
    )  # fmt: skip
    _show_models()
    if house().settings.is_public and st.button(_("End all host sign-ins"), key="sign-out-all"):
        hosting.sign_out_all()
        st.rerun()


@st.fragment(run_every=5)
def _show_models() -> None:
    status = house().engine.status()
    with st.container(horizontal=True):
        st.metric(_("At work"), sum(model.running for model in status.models))
        st.metric(_("Waiting"), sum(model.queued for model in status.models))
        st.metric(
            _("Memory"), size_in_words(status.used_bytes), help=_("of {size}", size=size_in_words(status.budget_bytes))
        )
    if not status.models:
        st.caption(_("No model is loaded."))
    for model in status.models:
        words, button = st.columns([7, 1], vertical_alignment="center")
        words.markdown(f"**{plain(model.title)}** · {what_it_does(model)}")
        button.button(_("Unload"), key=f"host-unload-{model.id}-{model.runtime}", on_click=house().engine.unload,
                      args=(model.id, caller()), disabled=bool(model.running or model.queued))  # fmt: skip


def show_limits() -> None:
    """What each visitor has, by its setting."""
    settings = house().settings
    if not settings.is_public:
        st.caption(_("This site is not public: everybody who reaches it is its host, and nothing is limited."))
    names = [*SETTINGS.values(), "jobs_a_day", "address_visitors", "member_allowance", "public_text_characters",
             "public_rows", "max_text_characters", "max_rows", "queue_length", "deadline_seconds"]  # fmt: skip
    rows = [{_("Setting"): f"PARLANCE_{name.upper()}", _("Value"): getattr(settings, name)} for name in names]
    st.dataframe(rows, hide_index=True, alt=_("Limits by setting."))
    st.caption(
        _("They are read at the start. Members may besides: {list}.", list=", ".join(sorted(members_may(settings))))
    )


def show_keys() -> None:
    """Make, see and revoke keys of the API."""
    hosting = house().hosting
    with (
        st.form("new-key", border=False, clear_on_submit=True),
        st.container(horizontal=True, vertical_alignment="bottom"),
    ):
        title = st.text_input(_("For whom or what"), key="key_title", max_chars=80)
        role = st.selectbox(_("Role"), list(ROLES), format_func=lambda name: _(ROLES[name]), key="key_role")
        scopes = st.multiselect(_("May use"), [*APPLICATIONS, *OTHERS], key="key_scopes", placeholder=_("everything"))
        if st.form_submit_button(_("Make a key"), icon=":material/key:"):
            st.session_state[MADE] = hosting.make_key(title, role, scopes)
    if secret := st.session_state.pop(MADE, None):
        st.success(_("The key, shown this once. Send it as `Authorization: Bearer …`."), icon=":material/key:")
        st.code(secret, language=None, wrap_lines=True)
    keys = hosting.keys()
    for key in keys:
        with st.container(horizontal=True, vertical_alignment="center"):
            role_said, scopes_said = _(ROLES.get(key.role, Text(key.role))), ", ".join(key.scopes) or _("everything")
            facts = (f"**{plain(key.title)}**", role_said, plain(scopes_said), _day(key.made))
            st.markdown(" · ".join(facts), width="stretch")
            st.button(_("Revoke"), key=f"revoke-{key.id}", on_click=hosting.revoke, args=(key.id,))
    if not keys:
        st.caption(_("No keys yet."))


def show_links() -> None:
    """Everybody's links, to pin or delete."""
    links = house().links.of(None)
    for link in links:
        _show_link(link, _(LINK_NAMES[link.kind]))
    if not links:
        st.caption(_("Nothing was shared yet."))


def _show_link(link: Link, words: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        ends = _("pinned") if link.is_pinned else _("until {day}", day=_day(link.ends))
        _show_linked(link.title, link.path, words, ends)
        with st.container(horizontal=True, width="content"):  # both in one line
            st.button(_("Unpin") if link.is_pinned else _("Pin"), key=f"host-pin-{link.key}",
                      on_click=house().links.pin, args=(link.key, not link.is_pinned))  # fmt: skip
            st.button(_("Delete"), key=f"host-delete-{link.key}", on_click=house().links.delete, args=(link.key,))


def _show_linked(title: str, path: str, *facts: str) -> None:
    st.markdown(" · ".join((f"[{plain(title) or '–'}]({path})", *facts)), width="stretch")


def show_reports() -> None:
    """What visitors reported, with the result one click away."""
    reports = house().links.reports()
    for id, report in reports.items():
        with st.container(border=True):
            _show_linked(report["title"], f"/shared/{report['key']}", _day(report["at"]))
            st.markdown(plain(report["reason"]) or _("No reason was given."))
            with st.container(horizontal=True):
                st.button(_("Dismiss"), key=f"dismiss-{id}", on_click=house().storage.remove, args=(id,))
                st.button(_("Delete the result"), key=f"report-delete-{id}", on_click=house().links.delete,
                          args=(report["key"],))  # fmt: skip
    if not reports:
        st.caption(_("Nobody reported anything."))


def show_feedback() -> None:
    """Thumbs by page and model, and what people gave as a reason; what was asked and answered is not kept with them."""
    rows = house().feedback.summed()
    if not rows:
        st.caption(_("No feedback yet."))
        return
    shown = [{_("Page"): row["page"], _("Model"): row["model"], "👍": row["up"], "👎": row["down"]} for row in rows]
    st.dataframe(shown, hide_index=True, alt=_("Thumbs by page and model."))
    why = [
        {
            "": "👍" if one["is_good"] else "👎",
            _("Reason"): one["reason"],
            _("Page"): one["page"],
            _("Model"): one["model"],
        }
        for one in house().feedback.reasons()
    ]
    if why:
        st.dataframe(why, hide_index=True, alt=_("What people gave as a reason."))


def show_storage() -> None:
    """What is kept, by kind."""
    settings = house().settings
    usage: dict[str, Any] = house().storage.usage()
    rows = [
        {_("Kind"): kind or "–", _("Values"): count, _("Size"): size_in_words(size)}
        for kind, (count, size) in usage.items()
    ]
    st.dataframe(rows, hide_index=True, alt=_("What is kept, by kind."))
    where = _("PostgreSQL") if settings.database else _("SQLite")
    st.caption(
        _(
            "{database}, at most {size} of what visitors left.",
            database=where,
            size=size_in_words(settings.storage_bytes),
        )
    )


def _day(seconds: float) -> str:
    return day_of(datetime.fromtimestamp(seconds, UTC))
