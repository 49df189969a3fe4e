"""A tuned model's demo: one click has the model answer on its page and makes the link to give away."""

from __future__ import annotations

import streamlit as st

from engine.applications import sharing
from engine.storage.links import Link
from engine.training import runs as jobs
from engine.training.runs import RunView
from pages.parts.engine import caller, house, may
from pages.parts.errors import errors_shown
from pages.parts.language import _
from pages.parts.share import show_demo_link
from pages.parts.visits import visitor


def show_demo(run: RunView) -> None:
    """The button, and then the link; a model that is not in use yet comes into use first."""
    wanted = f"demo-wanted-{run.id}"
    with errors_shown():
        link = _demo_of(run)
        if link is None and st.session_state.get(wanted) and run.is_used:
            link = sharing.demo(house(), run.model_id, visitor())
        if link is not None:
            st.session_state.pop(wanted, None)
            st.markdown("**" + _("The demo of this model") + "**")
            show_demo_link(link)
            st.button(_("Delete the link"), key="demo-delete", on_click=house().links.delete, args=(link.key,))
        elif st.button(_("Share a demo"), icon=":material/share:", key="demo", disabled=not may("train")):
            st.session_state[wanted] = True
            if not run.is_used:
                jobs.begin_use(house().settings, house(), run.id, caller())
            st.rerun()


def _demo_of(run: RunView) -> Link | None:
    own = (link for link in house().links.of(visitor()) if link.kind == "demo")
    return next((link for link in own if link.content["model"] == run.model_id), None)
