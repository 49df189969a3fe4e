"""The head of every page, with the button that copies its link; and a button that copies a text."""

from __future__ import annotations

from typing import Any

import streamlit as st

from engine.messages import Text
from pages.parts.language import _

LONG_LINK = 8000
"""Characters above which some browsers and mail programs cut a link."""
WORDS = {
    "copied": Text("Copied"),
    "long": Text("Copied, but long: some programs cut it"),
    "link_failed": Text("Copy it from the address bar"),
    "text_failed": Text("Select the text to copy it"),
}
"""What the button answers."""

_BUTTON = st.components.v2.component(
    "copy_button",
    html='<button type="button"></button>',
    css="""
:host { display: flex; justify-content: flex-end; }
button { font: inherit; font-size: .875rem; color: var(--st-text-color); background: transparent; cursor: pointer;
  border: 1px solid var(--st-border-color); border-radius: 999px; padding: .35rem .95rem; white-space: nowrap; }
button:hover, button:focus-visible { border-color: var(--st-primary-color); color: var(--st-link-color); }
""",
    js="""
export default function (component) {
  const { text, label, words: answers, long } = component.data;
  const button = component.parentElement.querySelector("button");
  if (!button.dataset.saying) button.textContent = label;
  const say = (words) => {
    button.dataset.saying = "1";
    button.textContent = words;
    setTimeout(() => { delete button.dataset.saying; button.textContent = label; }, 2500);
  };
  const copyOldWay = (words) => {
    const area = document.createElement("textarea");
    area.value = words;
    document.body.appendChild(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  };
  button.onclick = async () => {
    const words = text ?? window.location.href;
    let done = false;
    try { await navigator.clipboard.writeText(words); done = true; } catch { done = copyOldWay(words); }
    if (!done) say(text === null ? answers.link_failed : answers.text_failed);
    else say(text === null && words.length > long ? answers.long : answers.copied);
  };
}
""",
)


def copy_link() -> None:
    """A button that copies the address of the page as it is now; opening it elsewhere restores inputs and settings."""
    _button("copy-link", None, _("Copy link"))


def copy_text(text: str, key: str) -> None:
    """A button that copies a text."""
    _button(f"copy-{key}", text, _("Copy"), width="content")


def _button(key: str, text: str | None, label: str, **place: Any) -> None:
    words = {name: _(said) for name, said in WORDS.items()}
    _BUTTON(key=key, data={"text": text, "label": label, "words": words, "long": LONG_LINK}, **place)


def header(title: str, summary: str) -> None:
    """The head of every page: title, one sentence, and the button that copies the link."""
    left, right = st.columns([5, 1], vertical_alignment="bottom")
    left.title(title, anchor=False)
    left.caption(summary)
    with right:
        copy_link()
