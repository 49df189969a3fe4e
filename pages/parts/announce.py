"""Accessibility of an answer that streams in: phones scroll to it, screen readers read it out."""

from __future__ import annotations

import streamlit as st

_ANNOUNCER = st.components.v2.component(
    "announcer",
    html="<span></span>",
    js="""
// A live region must stay in place while its content changes, so it lives outside of what Streamlit redraws.
const HIDDEN = "position:fixed;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:pre-wrap";
export default function () {
  if (document.getElementById("parlance-live")) return;
  const region = document.createElement("div");
  region.id = "parlance-live";
  region.setAttribute("aria-live", "polite");
  region.style.cssText = HIDDEN;
  document.body.appendChild(region);
  let said = "", wasBusy = false, timer = 0;

  const look = () => {
    timer = 0;
    const box = document.querySelector(".st-key-answer-box");
    const text = [...(box?.querySelectorAll("[data-answer]") ?? [])].map((part) => part.innerText).join("\\n");
    const isBusy = !!box?.querySelector("[class*='-stop'] button");
    if (isBusy && !wasBusy && box.getBoundingClientRect().top > window.innerHeight * 0.75) {
      const isCalm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
      box.scrollIntoView({ behavior: isCalm ? "auto" : "smooth", block: "start" });
    }
    if (isBusy || wasBusy) {
      if (!text.startsWith(said)) said = "";
      const fresh = text.slice(said.length);
      const ends = [". ", "! ", "? ", "\\n", "。"].map((mark) => fresh.lastIndexOf(mark) + 1);
      const end = isBusy ? Math.max(...ends) : fresh.length;
      if (end > 0) { region.textContent = fresh.slice(0, end); said += fresh.slice(0, end); }
    } else said = text;
    wasBusy = isBusy;
  };
  new MutationObserver(() => { timer ||= setTimeout(look, 400); })
    .observe(document.body, { childList: true, subtree: true, characterData: true });
}
""",
)


def announcer() -> None:
    """Watch the container with the key `answer-box`; once a page, anywhere on it."""
    _ANNOUNCER(key="announcer", height="content")
