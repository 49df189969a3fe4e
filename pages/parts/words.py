"""A translation whose words can be pointed at: doubtful ones are marked, each tells its source, a click picks one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from engine.applications.alignments import Link
from engine.applications.sentences import Translation
from engine.applications.words import is_doubtful
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
.unsure { background: color-mix(in srgb, var(--st-yellow-color, #b8860b) 16%, transparent); }
.doubtful { text-decoration: underline dotted var(--st-primary-color) 2px; text-underline-offset: 3px; }
""",
    js="""
export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector("p"), host = parentElement.getRootNode().host ?? parentElement;
  host.dataset.words = data.pieces.map((piece) => piece.text).join("");  // for the announcer, which sees no shadow
  root.replaceChildren(...data.pieces.map((piece) => {
    const word = document.createElement("span");
    word.textContent = piece.text;
    word.className = ["unsure", "doubtful", "picked"].filter((name) => piece[name]).join(" ");
    if (piece.sentence === undefined) return word;
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
    translation: Translation,
    views: Sequence[Sequence[Link]],
    key: str,
    picked: Place | None,
    pick: Callable[[Place], None],
) -> None:
    """Draw the translation; `views` are each sentence's words, `pick` is called with the one that was clicked."""

    def clicked() -> None:
        if found := st.session_state[key].picked:
            pick((int(found["sentence"]), int(found["start"])))

    _WORDS(key=key, data={"pieces": _pieces(translation, views, picked)}, on_picked_change=clicked)


def _pieces(translation: Translation, views: Sequence[Sequence[Link]], picked: Place | None) -> list[dict[str, Any]]:
    """The text cut into doubtful sentences, words that can be clicked, and what stands between them."""
    pieces: list[dict[str, Any]] = []
    end = 0
    for number, (sentence, place) in enumerate(zip(translation.sentences, translation.places(), strict=True)):
        if place is None:
            continue
        pieces.append({"text": translation.text[end : place[0]]})
        is_whole = place[1] - place[0] == len(sentence.text)
        for link in views[number] if is_whole else ():
            start, stop = place[0] + link.target[0], place[0] + link.target[1]
            pieces.append({"text": translation.text[max(end, place[0]) : start], "unsure": sentence.is_doubtful})
            word = {"text": translation.text[start:stop], "hint": _hint(sentence.source[slice(*link.source)], link)}
            mark = {"doubtful": is_doubtful(link), "picked": picked == (number, link.target[0])}
            where = {"sentence": number, "start": link.target[0], "unsure": sentence.is_doubtful}
            pieces.append(word | mark | where)
            end = stop
        pieces.append({"text": translation.text[max(end, place[0]) : place[1]], "unsure": sentence.is_doubtful})
        end = place[1]
    pieces.append({"text": translation.text[end:]})
    return [piece for piece in pieces if piece["text"]]


def _hint(source: str, link: Link) -> str:
    if link.probability is None:
        return _("from “{source}”", source=source)
    words = _("from “{source}”, {percent} sure", source=source, percent=f"{link.probability:.0%}")
    return words + (" · " + _("doubtful") if is_doubtful(link) else "")
