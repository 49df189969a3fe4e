"""The one house, as pages get it, and who stands before the page."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from engine.http.visitors import number_of, visitor_of
from engine.serving import access
from engine.serving.access import Action
from engine.serving.compose import House, open_house
from engine.serving.protocol import Caller
from engine.settings import current


@st.cache_resource(show_spinner=False, on_release=House.close)
def house() -> House:
    """The process's engine and store, shared by all sessions and the HTTP API; made at the first call."""
    return open_house(current())


def caller() -> Caller:
    """The visitor of this session: strangers by their browser, at home by a number that ends with the session."""
    number: str = st.session_state.setdefault("caller", secrets.token_hex(8))
    settings, visitor = house().settings, visitor_of(st.context.cookies)
    number = number_of(visitor) if visitor and settings.is_public else number
    return access.caller_of(settings, number, address=st.context.ip_address or "")


def presence() -> Callable[[], bool] | None:
    """Tells, from any thread, whether this visitor still has the page open; None where no server knows."""
    context = get_script_run_ctx()
    if context is None or not runtime.exists():
        return None
    return partial(runtime.get_instance().is_active_session, context.session_id)


def may(action: Action) -> bool:
    """Whether this visitor may do that, so that a page offers it."""
    return access.may(caller(), action)
