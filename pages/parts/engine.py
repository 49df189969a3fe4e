"""The one house, as pages get it, and who stands before the page."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from engine.http.callers import role_in
from engine.http.visitors import number_of, visitor_of
from engine.serving import access
from engine.serving.access import Action
from engine.serving.compose import House, open_house
from engine.serving.protocol import Caller
from engine.settings import current
from pages.parts.claims import claims_of


@st.cache_resource(show_spinner=False, on_release=House.close)
def house() -> House:
    """The process's engine and store, shared by all sessions and the HTTP API; made at the first call."""
    home = open_house(current())
    home.hosting.claims = claims_of
    return home


def caller() -> Caller:
    """The visitor of this session: strangers by their browser, at home, and nobody else can come, by a number that ends
    with the session."""
    number: str = st.session_state.setdefault("caller", secrets.token_hex(8))
    home, cookies = house(), st.context.cookies
    visitor, address = visitor_of(cookies), st.context.ip_address or ""
    has_others = home.settings.is_public or home.settings.is_network_trusted
    number = number_of(visitor) if visitor and has_others else number
    return access.caller_of(home.settings, number, address=address, role=role_in(home, claims, cookies))


def claims() -> dict[str, Any]:
    """What a sign-in told of this visitor; nothing where there is none."""
    return dict(st.user.to_dict())


def presence() -> Callable[[], bool] | None:
    """Tells, from any thread, whether this visitor still has the page open; None where no server knows."""
    context = get_script_run_ctx()
    if context is None or not runtime.exists():
        return None
    return partial(runtime.get_instance().is_active_session, context.session_id)


def may(action: Action) -> bool:
    """Whether this visitor may do that, so that a page offers it."""
    return access.may(caller(), action)
