"""The page's link, with every setting and input in it."""

from __future__ import annotations

import streamlit as st

LONG_LINK = 8000
"""Characters above which some browsers and mail programs cut a link."""

_BUTTON = st.components.v2.component(
    "copy_link",
    html='<button type="button"><span>Copy link</span></button>',
    css="""
button { font: inherit; font-size: .875rem; color: var(--st-text-color); background: transparent; cursor: pointer;
  border: 1px solid var(--st-border-color); border-radius: 999px; padding: .3rem .9rem; white-space: nowrap; }
button:hover, button:focus-visible { border-color: var(--st-primary-color); color: var(--st-primary-color); }
""",
    js="""
export default function (component) {
  const button = component.parentElement.querySelector("button");
  const say = (text) => {
    button.firstElementChild.textContent = text;
    setTimeout(() => { button.firstElementChild.textContent = "Copy link"; }, 2500);
  };
  const copyOldWay = (text) => {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.appendChild(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  };
  button.onclick = async () => {
    const link = window.location.href;
    let done = false;
    try { await navigator.clipboard.writeText(link); done = true; } catch { done = copyOldWay(link); }
    say(!done ? "Copy it from the address bar" : link.length > component.data.long ? "Copied (very long)" : "Copied");
  };
}
""",
)


def copy_link() -> None:
    """A button that copies the address of the page as it is now; opening it elsewhere restores inputs and settings."""
    _BUTTON(key="copy-link", data={"long": LONG_LINK})


def header(title: str, summary: str) -> None:
    """The head of every page: title, one sentence, and the button that copies the link."""
    left, right = st.columns([5, 1], vertical_alignment="bottom")
    left.title(title, anchor=False)
    left.caption(summary)
    with right:
        copy_link()
