"""Files on Translate: brought with their languages, and what came of one, sentence by sentence."""

from __future__ import annotations

from typing import Any

import streamlit as st

from engine.applications.languages import NAMED
from engine.jobs.files import desk
from engine.jobs.files.translating import ENDINGS, OUTPUTS, TranslateFile
from engine.jobs.work import JobView
from engine.messages import Text, read
from pages.parts.errors import errors_shown
from pages.parts.files import begin, bring, choose_column, is_asked, show_files
from pages.parts.language import _, labelled
from pages.parts.pair import Pair
from pages.parts.tables import as_csv
from pages.parts.text import plain

INPUTS = {"text": Text("Text"), "file": Text("A file")}
OUTPUT_NAMES = {"docx": Text("Word document"), "txt": Text("Text file")}


def choose_input() -> bool:
    """Whether a file is translated and not a text."""
    chosen = st.segmented_control(
        _("Input"), list(INPUTS), default="text", key="input", bind="query-params", required=True,
        format_func=labelled(INPUTS, "input"), label_visibility="collapsed",
    )  # fmt: skip
    return bool(chosen == "file")


def choose_glossary() -> list[str]:
    """Terms with translations of the visitor's own, a line each."""
    with st.expander(_("Glossary"), icon=":material/dictionary:", key="glossary-open"):
        lines = st.text_area(
            _("Terms, one a line"), key="glossary", persist_state="session", height=110,
            placeholder=_("invoice = facture"),
            help=_("Obeyed in texts and files; where one does not come through, it is told."),
        )  # fmt: skip
    return [line for line in lines.splitlines() if line.strip()]


def translate_files(pair: Pair) -> None:
    """A field for a file with its button, and the visitor's files."""
    left, right = st.columns([2, 3], gap="medium")
    with left, errors_shown():
        brought = bring("translate", ENDINGS)
        column, has_names, output = "", None, ""
        if brought:
            column, _dates, has_names = choose_column("translate", brought)
            if brought[0].lower().endswith(".pdf"):
                output = st.segmented_control(
                    _("Write a"), list(OUTPUTS), default="docx", key="translate_output", required=True,
                    format_func=labelled(OUTPUT_NAMES, "translate_output"),
                )  # fmt: skip
        glossary = choose_glossary()
        is_ready = brought is not None and pair.is_able
        is_pressed = is_asked("translate", _("Translate the file"), ":material/translate:", is_ready=is_ready)
        if brought and is_pressed:
            order = TranslateFile(
                pair.source, pair.target, pair.model_id, column, has_names, output or "", glossary
            )  # fmt: skip
            begin("translate", brought, order)
        words = _("Headings, lists, links, tables and time stamps stay; code and addresses are not translated.")
        st.caption(words)
    with right:
        show_files("translate", show_translated)


def show_translated(job: JobView) -> None:
    """Languages and models, and the sentences: those to look at first."""
    result = job.result
    names = [NAMED.get(result[end], result[end]) for end in ("source", "target")]
    st.caption(f"{plain(_(names[0]))} → {plain(_(names[1]))}")
    shown = desk.figures(job).get("sentences", [])
    percent = st.column_config.ProgressColumn(format="%d %%", min_value=0, max_value=100, width=80)
    columns: dict[str, Any] = {_("Sure"): percent, _("Number"): st.column_config.NumberColumn(width=60)}
    columns |= {} if any(row["warning"] for row in shown) else {_("Note"): None}
    st.dataframe([_sentence(row) for row in shown], column_config=columns, hide_index=True, key=f"table-{job.id}")
    if result["doubtful"]:
        st.caption(_("Shown are the sentences to look at, with the reason; the file of sentences has all."))
    st.download_button(
        _("Sentences as CSV"), lambda: as_csv([_sentence(row) for row in desk.report(job)["sentences"]]),
        "sentences.csv", "text/csv", icon=":material/table:", key=f"sentences-{job.id}", on_click="ignore",
    )  # fmt: skip


def _sentence(row: dict[str, Any]) -> dict[str, Any]:
    return {
        _("Number"): row["row"],
        _("Sure"): None if row["score"] is None else round(100 * row["score"]),
        _("Translation"): row["text"],
        _("Note"): _(read(row["warning"])),
        _("Source"): row["source"],
    }
