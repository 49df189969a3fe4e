"""Buttons that copy: the page's address, and a text; and who can open an address of this server."""

from __future__ import annotations

from typing import Any

import streamlit as st
from streamlit import net_util
from streamlit.config import get_option as option

from engine.http.door import is_loopback
from engine.http.links import reach
from engine.messages import Text
from pages.parts.language import _
from pages.parts.visits import link_additions

WORDS = {
    "copied": Text("Copied"),
    "link_failed": Text("Copy it from the address bar"),
    "text_failed": Text("Select the text to copy it"),
}
"""What the button answers."""

_BUTTON = st.components.v2.component(
    "copy_button",
    html='<button type="button"></button><span role="status"></span>',
    css="""
:host { display: flex; flex-direction: column; align-items: flex-end; gap: .15rem; }
button { font: inherit; font-size: .875rem; color: var(--st-text-color); background: transparent; cursor: pointer;
  border: 1px solid var(--st-widget-border-color, var(--st-border-color)); border-radius: 999px;
  padding: .35rem .95rem; white-space: nowrap; min-height: 2.5rem; }
button:hover, button:focus-visible { border-color: var(--st-primary-color); color: var(--st-link-color); }
button:focus-visible { outline: 2px solid var(--st-link-color); outline-offset: 2px; }
span:empty { display: none; }
span { font-size: .8rem; color: var(--st-text-color); text-align: end; overflow-wrap: anywhere; }
""",
    js="""
export default function (component) {
  const { text, label, words: answers, add, base, note } = component.data;
  const button = component.parentElement.querySelector("button");
  const status = component.parentElement.querySelector("span");
  if (!button.dataset.saying) button.textContent = label;
  const say = (words, more) => {
    button.dataset.saying = "1";
    button.textContent = words;
    status.textContent = more;
    setTimeout(() => { delete button.dataset.saying; button.textContent = label; status.textContent = ""; }, 6000);
  };
  const link = () => {
    const url = new URL(window.location.href);
    for (const [name, value] of Object.entries(add ?? {})) url.searchParams.set(name, value);
    return base ? base + url.pathname + url.search : url.href;
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
    const words = text ?? link();
    let done = false;
    try { await navigator.clipboard.writeText(words); done = true; } catch { done = copyOldWay(words); }
    if (!done) say(text === null ? answers.link_failed : answers.text_failed, "");
    else say(answers.copied, note);
  };
}
""",
)


def reached() -> tuple[str, Text]:
    """The beginning of addresses that others can use ("" for the page's own), and who can open them."""
    address = net_util.get_internal_ip() if not listens_here() else None
    return reach(st.context.url or "", option("server.address"), address)


def copy_link() -> None:
    """A button that copies the page's address with the seed that was drawn, and says who can open it."""
    base, words = reached()
    _button("copy-link", _("Copy link"), add=link_additions(), base=base, note=_(words))


def listens_here() -> bool:
    """Whether only this machine reaches the server."""
    return is_loopback(option("server.address") or "0.0.0.0")


def copy_text(text: str, key: str) -> None:
    """A button that copies a text."""
    _button(f"copy-{key}", _("Copy"), text=text)


def _button(key: str, label: str, **data: Any) -> None:
    words = {name: _(said) for name, said in WORDS.items()}
    _BUTTON(key=key, data={"text": None, "label": label, "words": words, "note": "", **data}, width="content")
