"""On Write: choosing a form, and showing what code saw to: syllables and rhymes of each line, tries, drops."""

from __future__ import annotations

import html
from typing import Any

import streamlit as st

from engine.applications import chapters, formed
from engine.applications.commission import Verse
from engine.applications.languages import LANGUAGES
from engine.applications.measures import FORMS
from engine.applications.write import Kind, WriteResult
from engine.messages import Text, counted
from pages.parts.language import _, labelled
from pages.parts.text import STYLE, plain
from pages.parts.visits import Exchange

FREE = Text("As the model likes")
_ROW = "display:flex;flex-wrap:wrap;gap:0 1rem;justify-content:space-between;"
_SIDE = "font-family:'Source Sans',sans-serif;font-size:.85rem;opacity:.8;white-space:nowrap;margin-left:auto;"


def choose_form(kind: Kind, language: str) -> dict[str, Any]:
    """The form and what belongs to it, as fields of a request; nothing where the kind has no forms."""
    known = formed.BY_KIND.get(kind, ())
    offered = [form for form in known if language in formed.languages_of(form)]
    if not known:
        return {}
    if "form" in st.session_state and st.session_state["form"] not in ("", *offered):
        st.session_state["form"] = ""
    titles = {"": FREE, **{form: formed.TITLES[form] for form in offered}}
    form = st.selectbox(
        _("Form"), list(titles), format_func=labelled(titles, "form"), key="form", bind="query-params",
        help=_("Code checks it: lines that do not fit are asked for again, and the rest is ranked."),
    )  # fmt: skip
    if form != "chapters":
        return {"form": form}
    count = st.slider(
        _("Chapters"), chapters.MIN_CHAPTERS, chapters.MAX_CHAPTERS, chapters.CHAPTERS, key="chapters",
        bind="query-params", help=_("The length in tokens is each chapter's."),
    )  # fmt: skip
    return {"form": form, "chapters": count}


def name_missing(kind: Kind, language: str) -> None:
    """Say which forms of the kind there are in other languages alone."""
    missing = [one for one in formed.BY_KIND.get(kind, ()) if language not in formed.languages_of(one)]
    names = "; ".join(f"{_(formed.TITLES[one])} ({_languages(one)})" for one in missing)
    if missing:
        st.caption(_("Not in {language}: {forms}", language=LANGUAGES[language], forms=names))


def _languages(form: str) -> str:
    return ", ".join(_(LANGUAGES[one]) for one in formed.languages_of(form))


def show_verse(answer: Exchange) -> bool:
    """Draw an answer in a form of verse with each line's syllables and rhyme; whether it is one."""
    result: WriteResult | None = answer.result
    if result is None or result.verse is None:
        return False
    breaks = FORMS[result.verse.form].breaks
    rows = ""
    for number, line in enumerate(result.verse.lines, 1):
        facts = [_(counted("{count} syllable", "{count} syllables", line.syllables)), line.rhyme, line.tones]
        gap = "margin-bottom:1rem;" if number in breaks else ""
        fault = " ⚠ " if line.faults else ""
        side = html.escape(fault + " · ".join(one for one in facts if one))
        text = f"<span>{html.escape(line.text)}</span>"
        rows += f'<div style="{_ROW}{gap}">{text}<span style="{_SIDE}">{side}</span></div>'
    st.html(f'<div data-answer dir="auto" style="{STYLE}white-space:normal;">{rows}</div>')
    return True


def show_outcome(result: WriteResult) -> None:
    """Below a text in a form: whether it is kept, how often was tried again, what was dropped."""
    if result.verse:
        st.caption(_outcome(result.verse))
        for number, line in enumerate(result.verse.lines, 1):
            for fault in line.faults:
                words = _("Line {number}: {fault}", number=number, fault=fault)
                st.caption(f":material/warning: {plain(words)}")
    if result.note:
        st.caption(f":material/rule: {plain(_(result.note))}")


def _outcome(verse: Verse) -> str:
    facts = [
        _("The form is kept") if verse.is_kept else _("The form is missed"),
        _(counted("{count} candidate", "{count} candidates", verse.candidates)),
    ]
    if verse.retries:
        facts.append(_(counted("{count} round more than planned", "{count} rounds more than planned", verse.retries)))
    if not verse.is_guided:
        facts.append(_("this model's runtime cannot be held to lines of words, so it hits or misses"))
    icon = ":material/check_circle:" if verse.is_kept else ":material/warning:"
    return f"{icon} {plain(' · '.join(facts))}"
