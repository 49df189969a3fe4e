"""A translation whose words can be pointed at: doubtful ones are marked, each tells its source, a click picks one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from engine.applications.alignments import Link
from engine.applications.sentences import Translation
from engine.applications.words import is_doubtful, places_of
from pages.parts.language import _

_WORDS = st.components.v2.component(
    "translated_words",
    html="""<p dir="auto"></p>
""",
    css="""
p { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; font-family: var(--st-font); color: var(--st-text-color);
    line-height: 1.6; }
span[role=button] { cursor: pointer; border-radius: 3px; }
span[role=button]:hover, span[role=button]:focus-visible, .picked { background: var(--st-secondary-background-color); }
span[role=button]:focus-visible { outline: 2px solid var(--st-primary-color); }
.doubtful { text-decoration: underline dotted var(--st-primary-color) 2px; text-underline-offset: 3px; }
""",
    js="""
export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector("p");
  root.replaceChildren(...data.pieces.map((piece) => {
    if (piece.sentence === undefined) return document.createTextNode(piece.text);
    const word = document.createElement("span");
    word.textContent = piece.text;
    word.className = [piece.doubtful ? "doubtful" : "", piece.picked ? "picked" : ""].join(" ").trim();
    word.title = piece.hint;
    word.tabIndex = 0;
    word.setAttribute("role", "button");
    word.setAttribute("aria-label", `${piece.text}. ${piece.hint}`);
    const pick = () => setTriggerValue("picked", { sentence: piece.sentence, start: piece.start });
    word.onclick = pick;
    word.onkeydown = (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); pick(); }
    };
    return word;
  }));
}
""",
)

Place = tuple[int, int]
"""Number of a sentence, and where in its translation a word begins."""


def show_words(
    translation: Translation, views: Sequence[Sequence[Link]], key: str, picked: Place | None
) -> Place | None:
    """Draw the translation; returns the word that was just clicked."""
    clicked: Any = _WORDS(
        key=key, data={"pieces": _pieces(translation, views, picked)}, on_picked_change=lambda: None
    ).picked
    return (int(clicked["sentence"]), int(clicked["start"])) if clicked else None


def _pieces(translation: Translation, views: Sequence[Sequence[Link]], picked: Place | None) -> list[dict[str, Any]]:
    """The text cut into words that can be clicked and what stands between them."""
    pieces: list[dict[str, Any]] = []
    end = 0
    for number, (place, links) in enumerate(zip(places_of(translation), views, strict=True)):
        source = translation.sentences[number].source
        for link in links:
            start, stop = place + link.target[0], place + link.target[1]
            pieces.append({"text": translation.text[end:start]})
            pieces.append(
                {
                    "text": translation.text[start:stop],
                    "hint": _hint(source[slice(*link.source)], link),
                    "doubtful": is_doubtful(link),
                    "picked": picked == (number, link.target[0]),
                    "sentence": number,
                    "start": link.target[0],
                }
            )
            end = stop
    pieces.append({"text": translation.text[end:]})
    return [piece for piece in pieces if piece["text"]]


def _hint(source: str, link: Link) -> str:
    if link.probability is None:
        return _("from “{source}”", source=source)
    words = _("from “{source}”, {percent} sure", source=source, percent=f"{link.probability:.0%}")
    return words + (" · " + _("doubtful") if is_doubtful(link) else "")
