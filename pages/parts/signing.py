"""Sign-in in the sidebar, where the host named who may (`st.login`, set up in .streamlit/secrets.toml)."""

from __future__ import annotations

import streamlit as st

from engine.messages import Text
from engine.serving.roles import has_ended, has_sign_in
from pages.parts.engine import caller, claims, house
from pages.parts.language import _
from pages.parts.text import plain

ROLES = {"host": Text("host"), "member": Text("member"), "visitor": Text("visitor")}


def sign_in() -> None:
    """Who is signed in, or the button to do so."""
    if not (house().settings.is_public and has_sign_in(house().settings)):
        return
    told = claims()
    if "is_logged_in" not in told:
        st.caption(_("Sign-in is not set up yet: .streamlit/secrets.toml lacks its section [auth]."))
    elif not told["is_logged_in"]:
        st.button(_("Sign in"), icon=":material/login:", key="sign-in", on_click=st.login)
    else:
        if has_ended(told):
            st.caption(_("Your sign-in has ended. Sign in again."))
            st.button(_("Sign in"), icon=":material/login:", key="sign-in", on_click=st.login)
        role = _(ROLES[caller().role])
        st.caption(_("Signed in as {name}, {role}.", name=plain(str(told.get("email") or told.get("name"))), role=role))
        st.button(_("Sign out"), icon=":material/logout:", key="sign-out", on_click=st.logout)
