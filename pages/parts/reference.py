"""A translation beside a reference: metrics with their signatures, and a table by sentence."""

from __future__ import annotations

import streamlit as st

from engine.applications.reference import PART, Comparison, compare, request_of
from engine.applications.sentences import Translation
from engine.messages import Text
from pages.parts.engine import house
from pages.parts.errors import errors_shown
from pages.parts.language import _
from pages.parts.pair import KEY
from pages.parts.snippets import note_deed
from pages.parts.text import plain
from pages.parts.visits import answer_of

HELP = {
    "BLEU": Text("Words and runs of words that both share, 0 to 100: higher is better."),
    "chrF": Text("Runs of letters that both share, 0 to 100: higher is better. The best of a single sentence."),
    "TER": Text("Edits from one to the other, of 100 words: lower is better."),
}


def compare_with_reference(translation: Translation, target: str) -> None:
    """A field for somebody's own translation, and how near the model's is to it."""
    with st.expander(_("Compare with a reference"), icon=":material/rule:", key="reference-open"):
        with st.form("reference-form", border=False):
            reference = st.text_area(_("Reference translation"), key="reference", height=110)
            is_asked = st.form_submit_button(_("Compare"), icon=":material/rule:")
        if is_asked or reference.strip():
            with errors_shown():
                limit = house().engine.settings.max_text_characters
                _draw(compare(translation, reference, target, limit))
                if answer := answer_of(KEY):
                    asked = request_of(translation, reference, target)
                    note_deed(answer, _("Compare with a reference"), PART, asked)


def _draw(found: Comparison) -> None:
    with st.container(horizontal=True):
        for one in found.scores:
            st.metric(one.name, f"{one.score:.1f}", border=True, help=_(HELP[one.name]))
    if found.note:
        st.caption(f":material/info: {plain(_(found.note))}")
    if found.pairs:
        table = [
            {
                **{one.name: pair.scores.get(one.name) for one in found.scores},
                _("Translation"): pair.text,
                _("Reference"): pair.reference,
            }
            for pair in found.pairs
        ]
        narrow = st.column_config.NumberColumn(format="%.1f", width=60)
        st.dataframe(
            table, column_config={one.name: narrow for one in found.scores}, hide_index=True, key="reference-table"
        )
    else:
        st.caption(_("The reference has another number of sentences, so that only the whole is compared."))
    st.code("\n".join(f"{one.name}: {one.signature}" for one in found.scores), language=None, wrap_lines=True)
