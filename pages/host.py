"""What the host of a site sees and decides: a pause, loads, limits, keys, links, reports, feedback, storage."""

from __future__ import annotations

import streamlit as st

from engine.messages import Text
from pages.parts import hosting
from pages.parts.engine import caller
from pages.parts.errors import errors_shown
from pages.parts.language import _
from pages.parts.share import header

PARTS = {
    Text("Now"): hosting.show_now,
    Text("Limits"): hosting.show_limits,
    Text("API keys"): hosting.show_keys,
    Text("Links"): hosting.show_links,
    Text("Reports"): hosting.show_reports,
    Text("Feedback"): hosting.show_feedback,
    Text("Storage"): hosting.show_storage,
}

header(_("Host"), _("Who waits, what is loaded, who may ask, and what others were given."))
if caller().role != "host":
    st.info(_("This page is for whoever runs this site."), icon=":material/lock:")
    st.stop()
for place, show in zip(st.tabs([_(name) for name in PARTS]), PARTS.values(), strict=True):
    with place, errors_shown():
        show()
