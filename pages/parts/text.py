"""Showing text that people or models wrote: never as Markdown, never as HTML."""

from __future__ import annotations

import html
from typing import Any

import streamlit as st

_STYLE = "white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.65;font-size:1.06rem;"
_MARK = "background:#ffd54f;color:#17211f;border-radius:.25rem;padding:.05rem .15rem;"


def show_text(text: str, place: Any = None, *, is_live: bool = False) -> None:
    """Draw text with its line breaks, exactly as it is. `is_live` has screen readers announce what is added."""
    live = ' aria-live="polite" aria-atomic="false"' if is_live else ""
    (place or st).html(f'<div dir="auto" style="{_STYLE}"{live}>{html.escape(text) or "&nbsp;"}</div>')


def show_passage(passage: str, start: int, end: int) -> None:
    """Draw a passage with the characters [start, end) marked, in a box that scrolls when it is long."""
    before, marked, after = (html.escape(part) for part in (passage[:start], passage[start:end], passage[end:]))
    mark = f'<mark style="{_MARK}">{marked}</mark>' if marked else ""
    st.html(f'<div dir="auto" style="{_STYLE}max-height:26rem;overflow-y:auto">{before}{mark}{after}</div>')
