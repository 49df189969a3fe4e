"""What a public site tells its visitors: what is off and why, and what is left of their allowance."""

from __future__ import annotations

import streamlit as st

from engine.messages import Text
from engine.serving.access import may
from engine.serving.allowances import Allowance, Use
from engine.serving.limited import PAUSED
from engine.sizes import seconds_in_words
from pages.parts.engine import caller, house
from pages.parts.language import _

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
    """Above each page of a public site, for whoever may not do everything."""
    who = caller()
    if house().hosting.is_on(PAUSED):
        st.warning(_("Whoever runs this server has paused it: nothing is answered for now."), icon=":material/pause:")
    off = [_(name) for action, name in NAMES.items() if not may(who, action)]  # type: ignore[arg-type]
    if who.role == "host" or not off:
        return
    words = _("A public site, which all visitors share. Off: {list}.", list=", ".join(off))
    days = house().settings.keep_days
    kept = _("What you ask is kept for you alone, for {days:g} days.", days=days)
    st.caption(f":material/public: {words}" + (f" {kept}" if house().settings.storage_bytes else ""))


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
