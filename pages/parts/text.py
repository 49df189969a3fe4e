"""Showing text that people or models wrote: never as Markdown, never as HTML."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import streamlit as st

STYLE = (
    "white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.7;font-size:1.1rem;"
    "font-family:'Source Serif',Georgia,'Noto Serif CJK SC',serif;"
)
_HEADLINE = "font-size:1.3rem;font-weight:600;line-height:1.4;"
_DOUBT = "text-decoration:underline dotted #c2410c 2px;text-underline-offset:.25rem;"
LONGEST_WORD = 40
_MARK = "background:#ffd54f;color:#17211f;border-radius:.25rem;padding:.05rem .15rem;"


def show_text(
    text: str, place: Any = None, doubts: Sequence[tuple[int, int]] = (), why: str = "", *, is_headline: bool = False
) -> None:
    """Draw text with its line breaks, exactly as it is; doubtful spans are underlined, with the reason as a tooltip."""
    drawn, at = "", 0
    for start, end in doubts:
        mark = f'<span title="{html.escape(why)}" style="{_DOUBT}">{html.escape(text[start:end])}</span>'
        drawn, at = drawn + html.escape(text[at:start]) + mark, end
    drawn += html.escape(text[at:])
    style = STYLE + (_HEADLINE if is_headline else "")
    (place or st).html(f'<div data-answer dir="auto" style="{style}">{drawn or "&nbsp;"}</div>')


def show_passage(passage: str, start: int, end: int, *, around: int = 700) -> None:
    """Draw what lies around the characters [start, end) of a passage with these marked; nothing marked when empty."""
    low, high = _cut_at_words(passage, start, end, around)
    before, marked, after = (html.escape(part) for part in (passage[low:start], passage[start:end], passage[end:high]))
    mark = f'<mark style="{_MARK}">{marked}</mark>' if marked else ""
    lead, trail = "… " if low else "", " …" if high < len(passage) else ""
    st.html(f'<div dir="auto" style="{STYLE}">{lead}{before}{mark}{after}{trail}</div>')


def _cut_at_words(passage: str, start: int, end: int, around: int) -> tuple[int, int]:
    """The characters around [start, end) that are shown, cut between words where there are spaces."""
    low, high = max(0, start - around), min(len(passage), end + around)
    if low:
        low = next((at for at in range(low, min(low + LONGEST_WORD, start)) if passage[at - 1].isspace()), low)
    if high < len(passage):
        high = next((at for at in range(high, max(high - LONGEST_WORD, end), -1) if passage[at].isspace()), high)
    return low, high


def in_short(text: str, most: int = 30) -> str:
    """The beginning of a text, of so many narrow or half as many wide characters: for a select, which cuts words."""
    shown, room = "", float(most)
    for word in re.split(r"(?<=\s)|(?<=[、，。])", text.strip()):
        room -= width_of(word)
        if room < 0:
            return (shown.rstrip() or word[: most // 2]) + "\u00a0…"
        shown += word
    return shown


def width_of(text: str) -> int:
    """In narrow characters; Chinese and Japanese ones count for two."""
    return sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)


def show_marks(text: str, spans: Sequence[tuple[int, int]]) -> None:
    """Draw a whole text with the characters of these spans marked."""
    drawn, at = "", 0
    for start, end in sorted(spans):
        if start >= at:
            mark = f'<mark style="{_MARK}">{html.escape(text[start:end])}</mark>'
            drawn, at = drawn + html.escape(text[at:start]) + mark, end
    st.html(f'<div dir="auto" style="{STYLE}">{drawn}{html.escape(text[at:])}</div>')


def day_of(moment: datetime, form: str = "%Y-%m-%d") -> str:
    """A date, which no browser breaks at its hyphens: word joiners stand around them."""
    return moment.strftime(form).replace("-", "\u2060-\u2060")


def plain(text: str) -> str:
    """Text for a Markdown element that shows every character as it is."""
    return "".join("\\" + character if character in "\\`*_{}[]()#+-.!|<>~$:&" else character for character in text)
