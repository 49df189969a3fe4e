"""What can be done here, an example of each, and what this machine has ready."""

from __future__ import annotations

import streamlit as st

from engine.applications import APPLICATIONS
from pages.parts.engine import get_engine
from pages.parts.picker import show_progress
from pages.parts.share import copy_link

TEXT = "Bonjour ! Je cherche un petit restaurant tranquille."
EXAMPLES = {
    "translate": (TEXT, {"text": TEXT, "from": "fr", "to": "en"}),
    "write": ("A poem about the first snow in the city", {"kind": "poem", "about": "the first snow in the city"}),
    "sentiment": ("Not bad at all, though a little loud.", {"review": "Not bad at all, though a little loud."}),
    "answer": ("Who built the harbour?", {"question": "Who built the harbour?"}),
}  # fmt: skip

left, right = st.columns([5, 1], vertical_alignment="bottom")
left.title("What language models are for", anchor=False)
left.caption("Pick a page, try the example or your own text, and watch a real model work on this very machine.")
with right:
    copy_link()

columns = st.columns(2, gap="medium")
for number, application in enumerate(APPLICATIONS.values()):
    words, parameters = EXAMPLES.get(application.id, ("", {}))
    with columns[number % 2].container(border=True, height="stretch"):
        st.subheader(f":material/{application.icon}: {application.title}", anchor=False)
        st.write(application.summary)
        if words:
            st.caption(f"“{words}”")
        st.page_link(f"{application.id}.py", label="Try it", icon=":material/arrow_forward:", query_params=parameters)


@st.fragment(run_every="2s")
def machine() -> None:
    """Embedded models and how far they are; drawn on its own so that the page never waits for a download."""
    engine = get_engine()
    embedded = [model for model in engine.catalogue.models.values() if model.is_embedded]
    states = {model.id: engine.store.availability(model.id) for model in embedded}
    ready = [model.title for model in embedded if states[model.id].state == "ready"]
    st.markdown(f":material/check_circle: Ready: {', '.join(ready)}." if ready else "The models are on their way.")
    for model in embedded:
        now = states[model.id]
        if now.state == "fetching":
            st.caption(model.title)
            show_progress(now)
        elif now.state != "ready":
            st.caption(f"{model.title}: {now.message or 'not here yet'} See the page Models.")


st.subheader("This machine", anchor=False)
machine()
