"""The frame around every page: one list of pages, the status line, and the page itself."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from engine.applications import APPLICATIONS
from pages.parts.announce import announcer
from pages.parts.applications import page_of
from pages.parts.banner import banner
from pages.parts.engine import caller
from pages.parts.language import _, choose_language
from pages.parts.notices import notices
from pages.parts.share import tools
from pages.parts.signing import sign_in
from pages.parts.status import status_line
from pages.parts.visits import note_page

PARTS = Path(__file__).parent / "parts"

st.set_page_config(page_icon=PARTS / "icon.svg", layout="wide")
st.logo(PARTS / "logo.svg", size="large", icon_image=PARTS / "icon.svg")

page = st.navigation(
    {
        "": [st.Page("home.py", title=_("Home"), icon=":material/home:", default=True)],
        _("Use"): [page_of(application) for application in APPLICATIONS.values()],
        _("Learn"): [st.Page("explore.py", title=_("Explore"), icon=":material/visibility:")],
        _("Make"): [st.Page("finetune.py", title=_("Fine-tune"), icon=":material/model_training:")],
        _("Manage"): [
            st.Page("models.py", title=_("Models"), icon=":material/deployed_code:"),
            *([st.Page("host.py", title=_("Host"), icon=":material/dns:")] if caller().role == "host" else []),
        ],
    },
    position="hidden" if st.context.is_embedded else "sidebar",
)
if not st.context.is_embedded:  # a frame of another site shows one application alone
    with st.sidebar:
        sign_in()
        status_line()
        choose_language()
        announcer()
note_page(page.url_path)
st.set_page_config(page_title=f"{page.title} · Parlance")
banner()
page.run()
tools()
with st.container() if st.context.is_embedded else st.sidebar:
    notices()
