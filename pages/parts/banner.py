"""What a public site tells its visitors: what is off and why, and what is left of their allowance."""

from __future__ import annotations

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from engine.messages import Text
from engine.serving.access import may
from engine.serving.allowances import Allowance, Use
from engine.serving.limited import PAUSED
from engine.sizes import seconds_in_words
from pages.parts.engine import caller, house
from pages.parts.language import _
from pages.parts.visits import CAME_BACK

NAMES = {
    "fetch": Text("downloads"), "upload": Text("files"), "delete": Text("deletions"), "train": Text("fine-tuning"),
    "export": Text("exports"), "publish": Text("publishing"),
}  # fmt: skip
LEFT: dict[Use, Text] = {
    "requests": Text("{rest:,} of {limit:,} requests this minute"),
    "tokens": Text("{rest:,} of {limit:,} tokens"),
    "seconds": Text("{rest:,} of {limit:,} seconds of computing"),
    "uploads": Text("{rest:,} of {limit:,} files"),
}
LOW = 0.2
"""Of an allowance: what is less is marked."""


def banner() -> None:
    """Above each page: what happened to the server, and on a public site what is off for whoever may not do all."""
    who = caller()
    if _is_left_behind():
        st.session_state[CAME_BACK] = True
        st.info(
            _(
                "This page has lost its server, which was restarted or had forgotten it. What it was writing then is "
                "lost; what you typed is still here, and everything works again."
            ),
            icon=":material/restart_alt:",
        )
    if house().hosting.is_on(PAUSED):
        st.warning(_("Whoever runs this server has paused it: nothing is answered for now."), icon=":material/pause:")
    off = [_(name) for action, name in NAMES.items() if not may(who, action)]  # type: ignore[arg-type]
    if who.role == "host" or not off:
        return
    words = _("A public site, which all visitors share. Off: {list}.", list=", ".join(off))
    days = house().settings.keep_days
    kept = _("What you ask is kept for you alone, for {days:g} days.", days=days)
    st.caption(f":material/public: {words}" + (f" {kept}" if house().settings.storage_bytes else ""))


def _is_left_behind() -> bool:
    """Whether the browser comes back with a session that this server does not have; true once."""
    told, context = st.context.headers.get("Sec-WebSocket-Protocol", ""), get_script_run_ctx()
    earlier = (*map(str.strip, told.split(",")), "", "", "")[2]  # after the protocol's name and a token
    is_first = "is_known" not in st.session_state
    st.session_state["is_known"] = True
    return is_first and context is not None and bool(earlier) and earlier != context.session_id


def allowance_lines() -> None:
    """What is left, and when it begins anew; nothing where nothing is limited."""
    found = house().allowances.of(caller())
    if not found:
        return
    lines = [":material/hourglass: " + _("Left for you, until it begins anew:")]
    st.caption("  \n".join([*lines, *map(_line, found)]))


def _line(one: Allowance) -> str:
    words = _(Text(LEFT[one.use].template, rest=one.rest, limit=one.limit))
    words += " · " + _("anew in {time}", time=seconds_in_words(one.reset_seconds))
    return f":material/warning: **{words}**" if one.rest < LOW * one.limit else words
